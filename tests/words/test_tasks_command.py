"""`t0jax tasks` and `t0jax cache` on rows, good and bad: each mistake is one clear sentence and leaves nothing behind."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from t0jax.cli import main
from t0jax.data.records import RecordFile, decode_example

COPA_EFFECT = "super_glue_copa__As_a_result_C1_or_C2_"
COPA_ROW = {"premise": "It rained.", "choice1": "I slept.", "choice2": "I got wet.", "question": "effect", "idx": 0, "label": 1}


def write(data_dir: Path, *lines: str, name: str = "super_glue/copa/train") -> None:
    path = data_dir / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def said(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    """The one sentence on standard error of a command that must fail."""
    assert main([str(argument) for argument in arguments]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("t0jax: ")
    assert len(output.err.splitlines()) == 1
    return output.err


def cache_arguments(tmp_path: Path, vocabulary: Path) -> list[Any]:
    return ["cache", "--output_cache_dir", tmp_path / "cache", "--data_dir", tmp_path, "--vocabulary", vocabulary]


def test_rendering_prints_rows_and_skips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, *(json.dumps(COPA_ROW | {"question": kind}) for kind in ("cause", "effect", "effect")))
    command = ["tasks", "--render", COPA_EFFECT, "--data_dir", str(tmp_path), "--split", "train", "--num", "2", "--json"]
    assert main(command) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        {"row": 0, "skipped": True},
        {
            "row": 1,
            "inputs": 'It rained. As a result, "I slept." or "I got wet."?',
            "targets": "I got wet.",
            "answer_choices": ["I slept.", "I got wet."],
        },
    ]


def test_rendering_draws_the_same_as_the_cache_and_another_process(
    shared_data: Path, t5_vocabulary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "hellaswag_Randomized_prompts_template"
    places = ["--data_dir", str(shared_data)]
    command = ["tasks", "--render", name, *places, "--split", "validation", "--num", "20", "--json"]
    assert main(command) == 0
    here = capsys.readouterr().out
    there = subprocess.run([sys.executable, "-m", "t0jax", *command], capture_output=True, text=True, check=True)
    assert there.stdout == here
    limits = ["--splits", "validation", "--num_examples", "20", "--vocabulary", str(t5_vocabulary)]
    assert main(["cache", "--tasks", name, "--output_cache_dir", str(tmp_path), *places, *limits]) == 0
    records = RecordFile(tmp_path / name / "validation.tfrecord-00000-of-00001")
    cached = [decode_example(record, ["inputs_pretokenized"])["inputs_pretokenized"][0].decode() for record in records]
    assert cached == [json.loads(line)["inputs"] for line in here.splitlines()]


def test_missing_rows_are_named_with_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    render = ["tasks", "--render", COPA_EFFECT, "--data_dir"]
    assert "There is no data directory" in said(capsys, *render, tmp_path / "nowhere")
    write(tmp_path, "{}", name="super_glue/rte/train")
    assert "has no subset 'copa'; it has rte" in said(capsys, *render, tmp_path)
    write(tmp_path, "{}")
    assert "has no split 'validation'; it has train" in said(capsys, *render, tmp_path, "--split", "validation")
    assert "has no split 'dev'; it has train, validation, test" in said(capsys, *render, tmp_path, "--split", "dev")
    assert "no --data_dir is given" in said(capsys, *render[:-1])
    imdb = ["tasks", "--render", "imdb_Writer_Expressed_Sentiment", "--data_dir", tmp_path]
    assert "has no dataset 'imdb'; it has super_glue" in said(capsys, *imdb)


def test_unknown_names_are_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Did you mean demo_train" in said(capsys, "tasks", "--mixture", "demo_trian", "--json")
    assert f"Did you mean {COPA_EFFECT}" in said(capsys, "tasks", "--render", COPA_EFFECT[:-1], "--data_dir", tmp_path)


@pytest.mark.parametrize("command", ["tasks", "cache"])
@pytest.mark.parametrize(
    "case",
    [
        (['{"premise": "x"'], "line 1 is not JSON"),
        ([json.dumps(COPA_ROW), "[1, 2]"], "line 2 is not a JSON object"),
        (
            [json.dumps(COPA_ROW), json.dumps({k: v for k, v in COPA_ROW.items() if k != "choice2"})],
            f"Task {COPA_EFFECT}, row 1 of train: The template '…As a result, C1 or C2?' needs the field choice2",
        ),
    ],
)
def test_broken_rows_are_named_and_nothing_is_cached(
    command: str, case: tuple[list[str], str], vocabulary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, sentence = case
    write(tmp_path, *lines)
    if command == "tasks":
        assert main(["tasks", "--render", COPA_EFFECT, "--data_dir", str(tmp_path)]) == 2
        assert sentence in capsys.readouterr().err
    else:
        arguments = cache_arguments(tmp_path, vocabulary)
        assert sentence in said(capsys, *arguments, "--tasks", COPA_EFFECT)
        assert not (tmp_path / "cache").exists()


def test_a_file_that_is_no_vocabulary_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, json.dumps(COPA_ROW))
    absent, wrong = tmp_path / "absent.model", tmp_path / "wrong.model"
    wrong.write_bytes(b"not a model")
    for path, sentence in ((absent, f"no vocabulary at {absent}"), (wrong, f"{wrong} is not a SentencePiece model")):
        assert sentence in said(capsys, *cache_arguments(tmp_path, path), "--tasks", COPA_EFFECT)
    assert "give --vocabulary" in said(capsys, *cache_arguments(tmp_path, absent)[:-2], "--tasks", COPA_EFFECT)
    assert not (tmp_path / "cache").exists()


def test_what_to_cache_must_be_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = cache_arguments(tmp_path, tmp_path)
    assert "either --mixture M or --tasks" in said(capsys, *arguments)
    assert "either --mixture M or --tasks" in said(capsys, *arguments, "--mixture", "t0_train", "--tasks", COPA_EFFECT)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tsks"], "no command 'tsks'. Did you mean tasks?"),
        (["tasks", "--mixtur", "demo_train"], "no flag --mixtur. Did you mean --mixture"),
        (["tasks", "--num", "x"], "--num: invalid int value: 'x'. 't0jax tasks --help'"),
        (["cache"], "arguments are required: --output_cache_dir"),
        (["tasks", "--gin.BATCH_SIZE=1"], "takes no gin bindings"),
    ],
)
def test_wrong_arguments_are_one_sentence(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in said(capsys, *arguments)


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    assert "Not a directory" in said(capsys, "demo", "--output_dir", tmp_path / "file/demo")
