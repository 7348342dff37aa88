"""What a wording is like, read off its template; and the report says so when the templates are not there."""

from pathlib import Path

import pytest

from t0jax.cli.known import known_of
from t0jax.prompts.properties import properties
from t0jax.prompts.templates import Template, load_templates
from t0jax.report.evaluation import Evaluation

TASK = "super_glue_rte_GPT_3_style_score_eval"


def template(jinja: str, **metadata: bool) -> Template:
    about = {"original_task": True, "metrics": (), "choices_in_prompt": None, **metadata}
    return Template(name="t", jinja=jinja, answer_choices="no ||| yes", **about)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("jinja", "expected"),
    [
        ("{{ a }} Is it so? ||| {{ answer_choices[b] }}", (3, 1, 0)),
        ("{% if a %}Say {{ answer_choices | join(' or ') }}.{% endif %} ||| why?", (1, 0, 1)),
        ('{{ "Always" }} or {{ \'never?\' }} {{ a + "?" }} ||| x', (3, 1, 0)),
        ("{{ a }} ||| {{ answer_choices[b] }}", (0, 0, 0)),
    ],
)
def test_own_words_questions_and_shown_choices_are_those_of_the_input(jinja: str, expected: tuple[int, int, int]) -> None:
    assert tuple(properties(template(jinja)).values()) == expected


def test_the_metadata_decides_whether_choices_are_shown() -> None:
    assert properties(template("yes or no ||| x", choices_in_prompt=True))["shows the choices"] == 1
    wic = load_templates("super_glue", "wic")
    assert [properties(wic[name])["shows the choices"] for name in ("GPT-3-prompt", "GPT-3-prompt-with-label")] == [0, 1]


def evaluation(*tasks: str) -> Evaluation:
    return Evaluation("e", (), {"split": "validation", "tasks": {task: {} for task in tasks}}, {})


def test_what_is_known_of_an_evaluation_is_of_t0_s_wordings_and_the_hub_s_rows() -> None:
    known = known_of([evaluation(TASK, "somebody_s_own_score_eval")], ())
    counts = {name: (one.wordings, one.rows) for name, one in known.expected.items()}
    assert counts["super_glue/rte"] == (10, 277)
    assert (counts["anli/r3"], counts["super_glue/copa"]) == ((15, 1200), (12, 100))
    assert (counts["hellaswag"], counts["winogrande/winogrande_xl"]) == ((4, 10042), (5, 1267))
    assert known.properties.keys() == {TASK}


def test_without_promptsource_s_files_the_report_says_why_no_property_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        return Path("/nowhere")

    monkeypatch.setattr("t0jax.prompts.templates.templates_folder", nowhere)
    known = known_of([evaluation(TASK)], ())
    assert not known.properties
    assert known.why_no_properties.startswith("The properties of the wordings are not known: There are no templates")
