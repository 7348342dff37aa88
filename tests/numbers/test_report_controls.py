"""Control prompts: shipped as tables like a user's, reported beside the real wordings, with the same rows and answers."""

import made_evaluation
import pytest

from t0jax.cli.known import known_of
from t0jax.data.universe import universe_of
from t0jax.prompts.templates import load_templates
from t0jax.report.controls import controls
from t0jax.report.evaluation import read_evaluation
from t0jax.report.whole import report
from t0jax.street import mixtures_folder

FOLDER = mixtures_folder() / "controls"
KINDS = ("irrelevant", "misleading", "empty")


def test_each_kind_is_compared_with_the_real_wordings_on_the_same_rows(tmp_path):
    datasets = {
        "super_glue/rte": made_evaluation.noisy([0.9, 0.85, 0.8]),
        "super_glue/rte/control": {
            f"{kind} 1": made_evaluation.noisy([accuracy])[0] for kind, accuracy in zip(KINDS, (0.85, 0.5, 0.7), strict=True)
        },
        "super_glue/cb/control": {"empty 1": made_evaluation.noisy([0.5])[0]},
    }
    evaluation = read_evaluation(str(made_evaluation.write(tmp_path / "e", datasets)))
    found = {one.kind: one.difference for one in controls(evaluation)}
    assert list(found) == list(KINDS)
    assert [found[kind].verdict for kind in KINDS] == ["no difference", "higher", "higher"]
    assert found["misleading"].first == pytest.approx(evaluation.outcomes[0].median)
    said = report([evaluation], known_of([evaluation], ()))
    assert "Control prompts" in [section.title for section in said.sections]
    assert said.further["super_glue/rte"]["controls"]["empty"]["difference"] == found["empty"].difference


def test_the_shipped_controls_score_beside_the_real_wordings():
    tasks = universe_of((str(FOLDER),)).mixture_tasks("controls_score_eval")
    real = [task for task in tasks if not task.name.endswith("_control_score_eval")]
    assert {(task.dataset, task.subset) for task in real} == {("super_glue", "rte"), ("super_glue", "cb")}
    assert (len(real), len(tasks)) == (25, 43)


@pytest.mark.parametrize(("subset", "choices"), [("rte", "Yes ||| No"), ("cb", "Yes ||| No ||| Maybe")])
def test_the_shipped_controls_are_three_of_a_kind_with_the_answers_of_the_task(subset, choices):
    templates = load_templates("super_glue", subset, FOLDER / "templates")
    assert sorted(templates) == sorted(f"{kind} {number}" for kind in KINDS for number in (1, 2, 3))
    for template in templates.values():
        assert template.answer_choices == choices
        shown, target = template.jinja.split(" ||| ")
        assert "{{ premise }}" in shown and "{{ hypothesis }}" in shown
        assert target == "{{ answer_choices[label] }}"
