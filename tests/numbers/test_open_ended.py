"""`t0jax eval` and `report` on tasks without choices: answers are generated and measured as their templates ask."""

import json
import sys

import numpy as np
import pytest
from furnished import SENTENCES, TASK, furnish, write_open_cache

from t0jax.cli import main
from t0jax.cli.recipe import read_run
from t0jax.cli.weights import open_model
from t0jax.data.vocabulary import Vocabulary
from t0jax.evaluation.generate import Generator
from t0jax.metrics import squad

TASKS = ("adversarial_qa_dbert_based_on", "adversarial_qa_dbert_tell_what_it_is", "trivia_qa_unfiltered_question_answer")
ASKED = [f"{SENTENCES[n % 6]} {SENTENCES[(n + 2) % 6]}" for n in range(9)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """With tables of our own: `mine` has three tasks without choices."""
    folder = furnish(tmp_path_factory.mktemp("place"))
    (folder / "tables").mkdir()
    (folder / "tables/members.csv").write_text("mixture,member\n" + "".join(f"mine,{name}\n" for name in TASKS))
    for number, name in enumerate(TASKS):
        write_open_cache(folder / "cache" / name, Vocabulary(folder / "spiece.model"), rows(folder)[number:])
    return folder


def rows(folder):
    """What is asked, and what is right: every other time what the model answers, in other letters."""
    rights = [f"The  {one.upper()}\u00fc!" if n % 2 else f"  {one}" for n, one in enumerate(answers(folder))]
    return list(zip(ASKED, rights, strict=True))


def answers(folder):
    """The model's answers to ASKED."""
    run = read_run([str(folder / "run.gin")], [f"CHECKPOINT_PATH={folder / 'model'}"])
    opened, vocabulary = open_model(run), Vocabulary(folder / "spiece.model")
    generator = Generator(opened.model, opened.params, task_feature_lengths=run.data.task_feature_lengths, mesh=opened.mesh)
    return [vocabulary.decode(one.tolist()) for one in generator.generate(list(map(np.array, vocabulary.encode(ASKED))))]


def evaluate(place, name, *bindings):
    flags = [f"--gin_file={place / 'run.gin'}", f"--gin.EVAL_OUTPUT_DIR={place / name}", f"--gin.TABLES={place / 'tables'}"]
    return main(["eval", *flags, f"--gin.CHECKPOINT_PATH={place / 'model'}", "--gin.MIXTURE_OR_TASK_NAME=mine", *bindings])


@pytest.fixture(scope="module")
def both(place):
    """Answers, and in the same place scores of a task with choices."""
    assert evaluate(place, "both") == evaluate(place, "both", f"--gin.MIXTURE_OR_TASK_NAME={TASK}") == 0
    return place / "both"


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_row_is_answered_as_the_generator_answers_it(place, both):
    lines = lines_of(both / "predictions.jsonl")
    expected = list(zip(answers(place), rows(place), strict=True))
    assert len(lines) == 9 + 8 + 7
    for number, name in enumerate(TASKS):
        own = [line for line in lines if line["task"] == name]
        assert [line["example"] for line in own] == list(range(9 - number))
        assert [line["prediction"] for line in own] == [answer for answer, _ in expected[number:]]
        assert [line["targets"] for line in own] == [[right] for _, (_, right) in expected[number:]]  # not its tokens' text


def test_results_hold_the_metrics_that_the_templates_name(both):
    results, lines = json.loads((both / "generated.json").read_text()), lines_of(both / "predictions.jsonl")
    assert list(results["tasks"]) == list(TASKS) and results["step"] == 3
    for name in TASKS[:2]:
        own = [line for line in lines if line["task"] == name]
        expected = squad([line["prediction"] for line in own], [line["targets"] for line in own])
        assert results["tasks"][name]["values"] == expected and results["tasks"][name]["examples"] == len(own)
        assert 40 < expected["exact match"] < 60 < expected["F1"] < 100
    assert results["tasks"][TASKS[2]]["values"] == {"accuracy": pytest.approx(100 * 4 / 7)}  # rows 2, 4, 6 and 8
    assert list(json.loads((both / "results.json").read_text())["tasks"]) == [TASK]


def test_eval_prints_and_report_shows_what_is_generated_beside_what_is_ranked(place, both, capsys):
    assert evaluate(place, "other", "--gin.DecodeConfig.num_decodes=3") == 0
    assert "adversarial_qa/dbert  F1" in capsys.readouterr().out
    page, text = place / "report.html", place / "report.md"
    flags = ["--markdown", str(text), "--html", str(page), "--wordings"]
    assert main(["report", str(both), f"beams={place / 'other'}", *flags]) == 0
    printed = capsys.readouterr().out
    assert "super_glue/rte" in printed and "Generated answers" in printed and "tell_what_it_is" in printed
    assert "| adversarial\\_qa/dbert | F1 | 2 | 9 |" in text.read_text()
    assert "adversarial_qa/dbert" in page.read_text() and "beams" in page.read_text()


def test_report_of_generated_answers_alone_says_the_median_over_wordings(place, capsys):
    assert evaluate(place, "alone") == 0
    assert not (place / "alone/scores.jsonl").exists()
    capsys.readouterr()
    assert main(["report", str(place / "alone"), "--json"]) == 0
    found = {(line["dataset"], line["metric"]): line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    tasks = json.loads((place / "alone/generated.json").read_text())["tasks"]
    values = [tasks[name]["values"]["F1"] for name in TASKS[:2]]
    line = found["adversarial_qa/dbert", "F1"]
    assert line["median"] == pytest.approx(sum(values) / 2) and sorted(line["wordings"].values()) == sorted(values)
    assert main(["report", str(place / "alone"), f"--html={place / 'no.html'}"]) == 2
    assert "nothing was ranked here" in capsys.readouterr().err


def test_answers_and_scores_of_two_evaluations_in_one_place_are_refused(place, both, capsys):
    mixed = place / "mixed"
    mixed.mkdir()
    results = json.loads((both / "results.json").read_text())
    for name in ("scores.jsonl", "generated.json"):
        (mixed / name).write_bytes((both / name).read_bytes())
    (mixed / "results.json").write_text(json.dumps({**results, "step": 4}))
    assert main(["report", str(mixed)]) == 2
    assert "holds answers of the step 3 and scores of 4" in capsys.readouterr().err
    (mixed / "generated.json").write_text('{"tasks": {"a": {}}}')
    assert main(["report", str(mixed)]) == 2
    assert "generated.json is not what `t0jax eval` writes" in capsys.readouterr().err


def test_a_dataset_s_tasks_with_choices_are_passed_over_and_a_training_mixture_is_refused(place, capsys):
    assert evaluate(place, "refused", "--gin.MIXTURE_OR_TASK_NAME=mini_t0_train") == 2
    assert "mini_t0_train is not for rank classification" in capsys.readouterr().err
    assert evaluate(place, "refused", "--gin.MIXTURE_OR_TASK_NAME=app_reviews", "--gin.SPLIT=train") == 2  # no rows
    assert "tasks have choices and are ranked under names with _score_eval" in capsys.readouterr().err
    assert not (place / "refused").exists()


def test_a_metric_whose_package_is_missing_is_said_before_anything_is_computed(place, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)  # another test may have imported it
    assert evaluate(place, "refused", "--gin.MIXTURE_OR_TASK_NAME=samsum") == 2
    assert "a metric of the package rouge-score" in capsys.readouterr().err
