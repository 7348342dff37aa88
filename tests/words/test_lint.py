"""Lint names what is wrong with a wording, and nothing where nothing is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from quiz import LISTED, Quiz, quiz_row

from t0jax.data.lint.finding import Finding
from t0jax.data.lint.linter import LintConfig, lint
from t0jax.data.sources.places import Places
from t0jax.data.universe import universe_of

SOUND: dict[str, dict[str, Any]] = {
    "listed": LISTED,
    "not listed": {"jinja": "{{ question }} ||| {{ answer_choices[label] }}", "answer_choices": LISTED["answer_choices"]},
    "the passage quotes the answer": {
        "jinja": "{{ article }} {{ question }} ||| {{ answer_choices[label] }}",
        "answer_choices": LISTED["answer_choices"],
    },
    "extractive": {"jinja": "Read: {{ article }} {{ question }} ||| {{ answers.text | choice }}"},
    "letters": {
        "jinja": "{{ question }}{% for o in options %}\n{{ 'ABCD'[loop.index0] }}: {{ o }}{% endfor %} ||| {{ answer }}",
        "answer_choices": "A ||| B ||| C ||| D",
    },
    "verdict on a random one": {
        "jinja": "{% set n = [0, 1, 2, 3] | choice %}{{ question }} Is it {{ options[n] }}? ||| "
        "{{ answer_choices[0 if n == label else 1] }}",
        "answer_choices": "Yes ||| No",
    },
    "verdict on the first one": {
        "jinja": "{{ question }} Is it {{ options[0] | upper }}? ||| {{ answer_choices[label == 0] }}",
        "answer_choices": "No ||| Yes",
    },
    "the question for an answer": {"jinja": "What is {{ answers.text[0] }} the answer to? ||| {{ question }}"},
    "random words": {"jinja": "{{ ['Say', 'Tell'] | choice }}: {{ question }} ||| {{ article }}"},
    "only some rows": {"jinja": "{% if label == 2 %}{{ question }} ||| {{ article }}{% endif %}"},
}
CHOICES = {"answer_choices": LISTED["answer_choices"]}
YES_NO = {"answer_choices": "Yes ||| No"}


@pytest.fixture
def quiz(tmp_path: Path) -> Quiz:
    return Quiz(tmp_path)


def said(findings: list[Finding]) -> set[tuple[str, str, str]]:
    return {(finding.task.removeprefix("quiz_"), finding.check, finding.severity) for finding in findings}


def test_sound_wordings_give_no_finding(quiz: Quiz) -> None:
    quiz.write(SOUND, rows=500)
    assert quiz.lint() == []


PLANTED: list[tuple[str, Mapping[str, Any], str, str, float]] = [
    ("not jinja", {"jinja": "{{ question ||| {{ article }}"}, "syntax", "error", 0),
    ("unknown filter", {"jinja": "{{ question | shout }} ||| {{ article }}"}, "syntax", "error", 0),
    ("internals", {"jinja": "{{ question }} ||| {{ ''.__class__ if false else article }}"}, "internals", "error", 0),
    ("fails", {"jinja": "{% set n = 12 // (label - 1) %}{{ question }} ||| {{ article }}"}, "fails", "error", 0.25),
    ("no field", {"jinja": "{{ questions }} ||| {{ article }}"}, "field", "error", 1),
    ("no inner field", {"jinja": "{{ question }} ||| {{ article }} {{ answers.texts }}"}, "field", "error", 1),
    ("no target", {"jinja": "{{ question }} {{ article }}"}, "separator", "error", 1),
    ("two separators", {"jinja": "{{ question }} ||| {{ article }} ||| {{ label }}"}, "separator", "error", 1),
    ("never", {"jinja": "{% if label == 9 %}{{ question }} ||| {{ article }}{% endif %}"}, "empty", "error", 1),
    ("empty target", {"jinja": "{{ question }} ||| {{ options[label + 4] }}"}, "empty", "error", 1),
    ("empty on some", {"jinja": "{{ question }} ||| {{ options[label + 1] }}"}, "empty", "warning", 0.25),
    ("not a choice", {"jinja": "{{ question }} ||| {{ answer }}", **CHOICES}, "target", "error", 1),
    (
        "choice again",
        {"jinja": "{{ question }} ||| {{ answer_choices[label] }}", "answer_choices": "a ||| b ||| c ||| b"},
        "choices",
        "error",
        1,
    ),
    ("always the same", {"jinja": "{{ question }} ||| Yes", **YES_NO}, "label", "error", 1),
    (
        "never no",
        {"jinja": "{{ question }} ||| {{ 'ab'[label % 2] }}", "answer_choices": "a ||| b ||| c"},
        "label",
        "warning",
        1,
    ),
    (
        "shows the answer",
        {"jinja": "{{ question }} {{ options[label] }} ||| {{ answer_choices[label] }}", **CHOICES},
        "leak",
        "error",
        1,
    ),
    ("shows the target", {"jinja": "{{ question }} {{ article }} ||| {{ article }}"}, "leak", "error", 1),
    (
        "another verdict",
        {"jinja": "{{ question }} Is it {{ options[1] }}? ||| {{ 'Yes' if label == 0 else 'No' }}", **YES_NO},
        "verdict",
        "error",
        1 / 3,
    ),
    (
        "first",
        {
            "jinja": "{{ question }} {{ options[label] }}, {{ options[label - 1] }}, {{ options[label - 2] }}, "
            "{{ options[label - 3] }} ||| {{ answer_choices[label] }}",
            **CHOICES,
        },
        "position",
        "error",
        1,
    ),
    (
        "lists the wrong ones",
        {
            "jinja": "{{ question }} {{ options[label - 1] }}, {{ options[label - 2] }} ||| {{ answer_choices[label] }}",
            **CHOICES,
        },
        "option",
        "error",
        1,
    ),
    (
        "hidden draw",
        {"jinja": "{{ question }} Yes or no? ||| {{ ['Yes', 'No'] | choice }}", **YES_NO},
        "draw",
        "error",
        1,
    ),
    ("idle draw", {"jinja": "{% set n = [1, 2] | choice %}{{ question }} ||| {{ article }}"}, "draw", "warning", 1),
    (
        "half a draw",
        {
            "jinja": "{% set n = range(3) | choice %}{{ question }} Is it {{ options[n] }}? ||| "
            "{{ 'Yes' if n == label else 'No' }}",
            **YES_NO,
        },
        "draw",
        "warning",
        1,
    ),
    ("listed again", LISTED, "duplicate", "warning", 0),
    (
        "the question for the answer",
        {"jinja": "What is {{ options[label] }} the answer to? ||| {{question}}"},
        "duplicate",
        "warning",
        0,
    ),
]


@pytest.mark.parametrize(("name", "wording", "check", "severity", "share"), PLANTED, ids=[case[0] for case in PLANTED])
def test_a_planted_defect_is_found_and_nothing_else(
    quiz: Quiz, name: str, wording: Mapping[str, Any], check: str, severity: str, share: float
) -> None:
    sound = {name: SOUND[name] for name in ("listed", "the question for an answer")}
    quiz.write(sound | {name: wording}, rows=300)
    findings = quiz.lint()
    assert said(findings) == {(name.replace(" ", "_"), check, severity)}
    assert findings[0].share == pytest.approx(share, abs=0.08)
    assert findings[0].message[-1] in ".?"


def test_a_name_that_twins_for_scoring_have_is_told(quiz: Quiz) -> None:
    quiz.write(
        {"told_score_eval": {"jinja": "{{ question }} ||| {{ article }}"}, "?": {"jinja": "{{ article }} ||| {{ question }}"}}
    )
    assert [(finding.check, finding.severity) for finding in quiz.lint()] == [("name", "error")] * 2


def test_a_missing_field_is_named_with_what_is_near(quiz: Quiz) -> None:
    quiz.write({"one": {"jinja": "{{ questoin }} {{ answers.texts[0] }} ||| {{ article }}"}})
    messages = [finding.message for finding in quiz.lint()]
    assert messages == [
        "It reads the field answers.texts. Did you mean text?",
        "It reads the field questoin. Did you mean question?",
    ]


def test_rows_are_taken_from_all_over_a_file_that_is_sorted_by_label(quiz: Quiz) -> None:
    wording = {"jinja": "{{ article }} Good or bad? ||| {{ answer_choices[label] }}", "answer_choices": "bad ||| good"}
    quiz.write({"one": wording}, rows=1000, row=lambda index: quiz_row(index) | {"label": index // 500})
    assert quiz.lint(num_rows=100) == []


def test_lengths_are_counted_by_the_vocabulary_and_estimated_without(quiz: Quiz, t5_vocabulary: Path) -> None:
    quiz.write({"one": {"jinja": "{{ question }} ||| {{ article }}"}})
    (told,) = quiz.lint(targets_length=5)
    assert (told.check, told.severity, told.share) == ("length", "warning", 1)
    assert "estimated at four characters" in told.message
    (counted,) = quiz.lint(targets_length=5, vocabulary=str(t5_vocabulary))
    assert "The targets exceed 4 tokens, and" in counted.message
    assert quiz.lint(targets_length=40, vocabulary=str(t5_vocabulary)) == []


def test_a_text_beyond_promptsources_limit_is_told(quiz: Quiz) -> None:
    long = {"article": "word " * 420 + "end"}
    quiz.write(
        {
            "long": {"jinja": "{{ article }} {{ question }} ||| {{ answer }}"},
            "short": {"jinja": "{{ question }} ||| {{ answer }}"},
        },
        row=lambda index: quiz_row(index) | (long if index % 10 == 0 else {}),
    )
    (cut,) = quiz.lint()
    assert (cut.task, cut.check, cut.share, cut.row) == ("quiz_long", "cut", 0.1, 0)


def test_without_rows_the_templates_alone_are_looked_at(quiz: Quiz) -> None:
    quiz.write(
        {"bad": {"jinja": "{{ ''.__class__ }} ||| {{ article }}"}, "good": {"jinja": "{{ question }} ||| {{ article }}"}}
    )
    (quiz.folder / "rows/quiz/default/train.jsonl").unlink()
    (finding,) = quiz.lint()
    assert (finding.task, finding.check, finding.rows, finding.split) == ("quiz_bad", "internals", 0, None)


def test_without_rows_the_fields_are_held_against_the_schema_of_the_hub(tmp_path: Path) -> None:
    line = "dataset,subset,train_size\nsquad_v2,,9\n"
    wordings = {"good": "{{ question }} ||| {{ answers.text[0] }}", "bad": "{{ question }} ||| {{ answers.start }}{{ contxt }}"}
    file = yaml.safe_dump({"templates": [{"name": name, "jinja": jinja} for name, jinja in wordings.items()]})
    (tmp_path / "templates/squad_v2").mkdir(parents=True)
    (tmp_path / "templates/squad_v2/templates.yaml").write_text(file)
    (tmp_path / "tasks.csv").write_text(line)
    tasks = [one for one in universe_of((str(tmp_path),)).mixture_tasks("squad_v2") if one.templates]
    (linted,) = lint(tasks, LintConfig(places=Places()))
    assert {finding.message for finding in linted.findings} == {
        "It reads the field contxt. Did you mean context?",
        "It reads the field answers.start. Did you mean answer_start?",
    }
