"""Goodput is the share of wall-clock time that trained steps which still stand, over every attempt."""

import json
import pathlib

import pytest
from tiny_run import NumberedFeed, tiny_run

from t0jax.training.goodput import CAUSES, Goodput
from t0jax.training.loop import train


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_every_cause_is_taken_off_and_a_restart_pays_for_what_was_trained_in_vain() -> None:
    clock = Clock(110.0)
    first = Goodput(None, started=100.0, now=clock)
    first.end_startup()  # 10 seconds of start-up
    with first.spend("compile"):
        clock.now = 130.0  # 20 of compiling
    first.end_startup()
    clock.now = 180.0  # 50 of training
    with first.spend("save"):
        kept = first.saved()
        clock.now = 200.0
    assert first.values() == pytest.approx(
        {
            "goodput": 0.5,
            "seconds_startup": 10,
            "seconds_compile": 20,
            "seconds_save": 20,
            "seconds_hooks": 0,
            "seconds_interrupted": 0,
        }
    )
    clock.now = 245.0  # trained on, killed; the next process begins at 240
    again = Goodput(kept, started=240.0, now=clock)
    again.end_startup()
    clock.now = 300.0
    values = again.values()
    assert values["seconds_interrupted"] == 60 and values["seconds_startup"] == 15 and values["seconds_compile"] == 20
    assert values["goodput"] == pytest.approx((200 - 60 - 15 - 20) / 200)


def test_a_run_that_goes_back_has_lost_the_time_since_its_checkpoint() -> None:
    clock = Clock(0.0)
    goodput = Goodput(None, started=0.0, now=clock)
    clock.now = 6.0
    kept = goodput.saved()
    with goodput.spend("hooks"):
        clock.now = 8.0
    goodput.go_back(kept)
    clock.now = 10.0
    assert goodput.values()["goodput"] == pytest.approx(0.8) and goodput.values()["seconds_hooks"] == 0


def test_the_lines_of_a_run_say_it_and_a_resumed_run_counts_from_the_first_start(tmp_path: pathlib.Path) -> None:
    train(tiny_run(tmp_path, train_steps=4, stats_period=2), NumberedFeed(), config_text="")
    train(tiny_run(tmp_path, train_steps=8, stats_period=2), NumberedFeed(), config_text="")
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6, 8]
    assert all(0 < line["goodput"] < 1 and line["seconds_compile"] > 0 for line in lines)
    lost = [sum(line[f"seconds_{cause}"] for cause in CAUSES) for line in lines]
    assert lost == sorted(lost) and lines[2]["seconds_startup"] > lines[1]["seconds_startup"]
    position = json.loads((tmp_path / "checkpoint_8/position.json").read_text())
    first = json.loads((tmp_path / "checkpoint_4/position.json").read_text())
    assert position["goodput"]["began"] == first["goodput"]["began"] < first["goodput"]["at"] < position["goodput"]["at"]
