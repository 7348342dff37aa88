"""`t0jax infer` as a person types it: prompts and a checkpoint in, answers out."""

import io
import json

import pytest
from furnished import furnish

from t0jax.cli import main


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return furnish(tmp_path_factory.mktemp("place"))


def test_infer_generates_an_answer_for_every_line(place, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("the cat\n\na dog ran\n"))
    assert main(["infer", f"--checkpoint_path={place / 'model'}", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["input"] for line in lines] == ["the cat", "a dog ran"]
    assert all(isinstance(line["output"], str) for line in lines)


def answers(place, capsys, *flags) -> list[dict[str, object]]:
    assert main(["infer", f"--checkpoint_path={place / 'model'}", "--json", *flags]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_lines_with_choices_are_ranked_and_those_without_are_answered_in_their_order(place, capsys):
    lines = [
        {"input": "the cat"},
        {"input": "a dog\nran", "choices": ["yes", "no", "door"]},
        {"input": "the mat"},
        {"input": "the cat", "choices": ["no", "yes"]},
    ]
    path = place / "asked.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    found = answers(place, capsys, f"--file={path}")
    assert [line["input"] for line in found] == [line["input"] for line in lines]
    assert [list(line.get("scores", {})) for line in found] == [line.get("choices", []) for line in lines]
    flags = (f"--prompt={line['input']}" for line in lines if "choices" not in line)
    assert [line["output"] for line in found if "scores" not in line] == [
        line["output"] for line in answers(place, capsys, *flags)
    ]
    assert all("scores" in line for line in answers(place, capsys, f"--file={path}", "--choices=yes|no"))


def test_flags_say_how_an_answer_is_written(place, capsys):
    prompts = [f"--prompt={text}" for text in ("the cat", "a dog ran", "does it follow")]
    greedy, drawn = answers(place, capsys, *prompts), answers(place, capsys, *prompts, "--temperature=5", "--decode_seed=3")
    assert drawn == answers(place, capsys, *prompts, "--gin.DecodeConfig.temperature=5.0", "--gin.DecodeConfig.decode_seed=3")
    assert drawn != greedy == answers(place, capsys, *prompts, "--temperature=5", "--topk=1")
    beams = answers(place, capsys, *prompts, "--num_decodes=4", "--alpha=2")
    short = answers(place, capsys, *prompts, "--max_decode_len=1")
    assert beams != greedy != short
    assert all(len(one["output"]) < len(other["output"]) for one, other in zip(short, greedy, strict=True))


def test_prompts_that_are_cut_are_counted(place, capsys):
    assert main(["infer", f"--checkpoint_path={place / 'model'}", f"--prompt={'the cat ' * 30}", "--prompt=yes"]) == 0
    assert "1 of 2 prompts are cut to 32 tokens" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line", ["no object", "[]", "{}", '{"input": 3}', '{"input": "a", "choices": ["b"]}', '{"input": "a", "choices": "bc"}']
)
def test_a_line_that_is_no_question_is_named(place, capsys, line):
    path = place / "wrong.jsonl"
    path.write_text('{"input": "the cat"}\n' + line + "\n")
    assert main(["infer", f"--checkpoint_path={place / 'model'}", f"--file={path}"]) == 2
    assert f"{path}, line 2 is no question" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "Which model is to answer"),
        (["--choices=yes"], "two or more different answers"),
        (["--prompt=a", "--file=b"], "either by --prompt or by --file"),
        (["--file=nowhere.txt"], "nowhere.txt cannot be read"),
        (["--prompt=a", "--topk=3"], "DecodeConfig.topk is 3; it must be 0 where temperature is 0"),
    ],
)
def test_infer_refuses_what_it_cannot_answer(place, capsys, flags, message):
    checkpoint = [f"--checkpoint_path={place / 'model'}"] if flags else []
    assert main(["infer", *checkpoint, *flags]) == 2
    assert message in capsys.readouterr().err
