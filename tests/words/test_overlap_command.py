"""`t0jax tasks overlap`: its status, what it prints, and T0's rule by pair."""

import argparse
import json
from pathlib import Path

import pytest

from t0jax.cli.tasks import overlap
from t0jax.errors import InputError

LONG = "the quick brown fox jumps over the lazy dog and then it sleeps for a while"


def command(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    overlap.add_arguments(parser)
    return overlap.run(parser.parse_args([str(argument) for argument in arguments]))


def write(folder: Path, name: str, *texts: str) -> None:
    path = folder / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": text, "label": 0}) + "\n" for text in texts))


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A training dataset and 200 held-out rows of which one repeats a training row and one a part of it: 1 %."""
    write(tmp_path, "rotten_tomatoes/default/train", "another film of no interest to anyone at all", LONG)
    write(tmp_path, "super_glue/rte/validation", LONG.title(), f"So {LONG}, they say.", *(f"unlike {n}" for n in range(198)))
    return tmp_path


def test_a_pair_is_to_be_inspected_above_one_percent(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--train_mixture", "rotten_tomatoes", "--eval_mixture", "super_glue_rte_score_eval", "--data_dir", rows, "--json"]
    assert command(*flags) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {
        "train": "rotten_tomatoes",
        "train_split": "train",
        "held_out": "super_glue/rte",
        "held_out_split": "validation",
        "train_rows": 2,
        "rows": 200,
        "exact": 1,
        "overlapping": 2,
        "share": 0.01,
        "train_overlapping": 1,
        "examples": [{"row": 0, "train_row": 1}, {"row": 1, "train_row": 1}],
        "rule": None,
        "inspect": False,
    }
    assert "2 training rows of 1 splits, 200 held-out rows of 1; 0 pairs to inspect" in printed.err
    write(rows, "super_glue/rte/validation", LONG, f"So {LONG}, they say.", *(f"unlike {n}" for n in range(148)))
    assert command(*flags[:-1]) == 1
    assert capsys.readouterr().out == (
        "inspect rotten_tomatoes train -> super_glue/rte validation: 2 of 150 held-out rows (1.33%) overlap, 1 exactly, "
        "with 1 training rows; row 0 with 1, row 1 with 1\n"
    )


def test_t0s_rule_is_told_by_pair(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("super_glue/rte/train", "super_glue/cb/train"):
        write(rows, name, "a text")
    for train, rule in (("super_glue_rte", "the same dataset"), ("super_glue_cb", "the same family, NLI")):
        assert command("--train_mixture", train, "--eval_mixture", "super_glue_rte", "--data_dir", rows) == 1
        assert (
            f"by T0's rule it is not held out: it is of {rule}".replace("of the same d", "the same d")
            in capsys.readouterr().out
        )


def test_t0s_rule_needs_no_rows(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--train_mixture", "t0++_train", "--eval_mixture", "t0_eval_score_eval", "--data_dir", rows, "--json") == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    same = {line["train"] for line in lines if line["rule"] == "it is the same dataset"}
    assert same == {"hellaswag", "super_glue/copa", "super_glue/wic", "super_glue/wsc.fixed"}
    family = {(line["train"], line["held_out"]) for line in lines if line["rule"] and "family" in line["rule"]}
    assert family == {("hellaswag", "story_cloze/2016"), ("super_glue/wsc.fixed", "winogrande/winogrande_xl")}
    assert {line["overlapping"] for line in lines if line["rule"]} == {None}


def test_what_has_no_rows_is_named(rows: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--train_mixture", "mini_t0_train", "--eval_mixture", "mini_t0_eval_score_eval", "--data_dir", rows) == 0
    printed = capsys.readouterr().err
    assert "not compared, for want of rows: imdb train, trec train, ag_news test, paws/labeled_final test," in printed
    with pytest.raises(InputError, match=r"There are no rows to compare of imdb\. .* has no dataset 'imdb'"):
        command("--train_mixture", "rotten_tomatoes", "--eval_mixture", "imdb", "--data_dir", rows)
    with pytest.raises(InputError, match="has no split 'dev'"):
        command("--train_mixture", "rotten_tomatoes", "--eval_mixture", "imdb", "--eval_split", "dev", "--data_dir", rows)
