"""What no source has is refused, or skipped and said: in the cache, by the reader, and as long as it is so."""

import json
from pathlib import Path
from typing import Any

import pytest
from cache_run import IMDB, IMDB_OTHER, cache, command, contents, run, write_reviews, write_rows

from t0jax.data.missing import missing_tasks
from t0jax.data.reader import CachedSplit
from t0jax.data.sources.split import MissingRowsError
from t0jax.errors import InputError

COPA = "super_glue_copa_plausible_alternatives"
COPA_ROW = {"premise": "The dog ran.", "choice1": "It sat.", "choice2": "It ate.", "question": "cause", "idx": 0, "label": 0}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    write_reviews(tmp_path / "rows", 5)
    return tmp_path / "rows"


def test_missing_rows_are_refused_before_anything_is_written(rows: Path, vocabulary: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingRowsError, match="has no dataset 'super_glue'"):
        cache(tmp_path / "cache", rows, vocabulary, IMDB, COPA)
    assert not (tmp_path / "cache").exists()


def test_skipped_tasks_are_noted_until_their_rows_are_there(rows: Path, vocabulary: Path, tmp_path: Path) -> None:
    output = tmp_path / "cache"
    cached = cache(output, rows, vocabulary, IMDB, COPA, splits=["train"], skip_missing=True)
    assert [item.task for item in cached] == [IMDB]
    missing = missing_tasks(output, [IMDB, COPA], "train")
    assert list(missing) == [COPA] and "has no dataset 'super_glue'" in missing[COPA]
    assert missing_tasks(output, [IMDB, COPA], "validation") == {}
    with pytest.raises(InputError, match=f"Task '{COPA}' was skipped when .* was made: .*has no dataset"):
        CachedSplit(output, COPA, "train")

    write_rows(rows, "super_glue/copa", "train", [COPA_ROW])
    cached = cache(output, rows, vocabulary, IMDB, COPA, splits=["train"], skip_missing=True)
    assert {item.task: item.was_cached for item in cached} == {IMDB: True, COPA: False}
    assert missing_tasks(output, [IMDB, COPA], "train") == {}
    assert not [name for name in contents(output) if "missing" in name]


def test_what_is_cached_whole_is_not_missing_when_its_rows_have_gone(
    rows: Path, vocabulary: Path, tmp_path: Path, capsys: Any
) -> None:
    output = tmp_path / "cache"
    path = write_rows(rows, "super_glue/copa", "train", [COPA_ROW])
    cache(output, rows, vocabulary, COPA, splits=["train"])
    path.unlink()
    cached = cache(output, rows, vocabulary, IMDB, COPA, splits=["train"], skip_missing=True)
    assert {item.task: item.was_cached for item in cached} == {IMDB: False, COPA: True}
    assert f"train of {COPA} is kept as cached before" in capsys.readouterr().err
    assert missing_tasks(output, [COPA], "train") == {} and len(CachedSplit(output, COPA, "train")) == 1
    with pytest.raises(MissingRowsError):
        cache(output, rows, vocabulary, IMDB, COPA, splits=["train"])


def test_labels_that_no_wording_knows_are_refused(rows: Path, vocabulary: Path, tmp_path: Path) -> None:
    write_rows(rows, "imdb/default", "train", [{"text": "A film.", "label": 7}] * 3)
    words = command(tmp_path / "cache", rows, vocabulary, "--tasks", f"{IMDB},{IMDB_OTHER}", "--splits=train")
    assert "No wording of imdb that was asked for applies to any of the 3 rows of train" in run(words, status=2)


def test_a_task_that_has_one_of_its_splits_is_not_missing(rows: Path, vocabulary: Path, tmp_path: Path) -> None:
    cache(tmp_path / "cache", rows, vocabulary, IMDB, skip_missing=True)
    assert missing_tasks(tmp_path / "cache", [IMDB], "test") == {}
    cache(tmp_path / "cache", rows, vocabulary, IMDB, splits=["train", "test"], skip_missing=True)
    assert list(missing_tasks(tmp_path / "cache", [IMDB], "test")) == [IMDB]
    assert len(CachedSplit(tmp_path / "cache", IMDB, "train")) == 5


def test_a_cache_of_nothing_is_refused(rows: Path, vocabulary: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"No source has rows of any of the 1 tasks, so there is nothing to cache\. .*super_glue"
    ):
        cache(tmp_path / "cache", rows, vocabulary, COPA, skip_missing=True)


def test_the_command_says_what_it_skipped(rows: Path, vocabulary: Path, tmp_path: Path) -> None:
    words = command(tmp_path / "cache", rows, vocabulary, "--tasks", f"{IMDB},{COPA}", "--splits=train")
    assert "has no dataset 'super_glue'" in run(words, status=2)
    said = run([*words, "--skip_missing"])
    assert f"t0jax: skipped {COPA}, train: " in said and "1 splits of 1 tasks" in said


def test_tasks_are_named_by_regular_expressions_too(rows: Path, vocabulary: Path, tmp_path: Path) -> None:
    words = command(tmp_path / "cache", rows, vocabulary, "--tasks", "imdb_.*_Expressed_Sentiment", "--splits=train")
    run([*words, "--excluded_tasks", "imdb_Movie.*,imdb_Rev.*"])
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["imdb_Text_Expressed_Sentiment", IMDB]
    assert "leaves none of the" in run([*words, "--excluded_tasks", ".*"], status=2)
    assert "neither a task nor a regular expression" in run([*words[:-2], "imdb_(", "--splits=train"], status=2)


def test_a_broken_note_is_an_error(tmp_path: Path) -> None:
    (tmp_path / COPA).mkdir()
    (tmp_path / COPA / "missing.train.json").write_text(json.dumps([]))
    with pytest.raises(InputError, match=r"missing\.train\.json is damaged"):
        missing_tasks(tmp_path, [COPA], "train")


def test_reports_say_that_the_mixture_is_incomplete(tmp_path: Path, capsys: Any) -> None:
    from t0jax.report.evaluation import Evaluation
    from t0jax.report.page import page
    from t0jax.report.table import print_table

    results = {"mixture": "t0_eval_score_eval", "missing_tasks": {"a": "Ask StoryCloze's authors.", "b": "", "c": "", "d": ""}}
    evaluation = Evaluation("trained", (), results, {})
    [note] = evaluation.warnings
    assert note == (
        "trained: t0_eval_score_eval is incomplete, 4 of its tasks had no rows: a, b, c and 1 more. Ask StoryCloze's authors."
    )
    print_table((), comparisons={}, title="Title", notes=evaluation.warnings)
    assert capsys.readouterr().out.startswith("trained: t0_eval_score_eval is incomplete")
    assert Evaluation("whole", (), {"mixture": "m", "missing_tasks": {}}, {}).warnings == []
    html = page("Title", (), comparisons={}, notes=(), facts=evaluation.facts)
    assert 0 < html.index("is incomplete") < html.index("<figure")
