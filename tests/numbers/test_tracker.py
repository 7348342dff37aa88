"""With WANDB_PROJECT a run's lines go to Weights & Biases too. Its package is stood in for: what it is told is looked at."""

import pathlib
import sys
import types
from typing import Any

import pytest
from tiny_run import NumberedFeed, tiny_run

from t0jax.errors import InputError
from t0jax.training.loop import train


class Wandb(types.ModuleType):
    """What t0jax uses of wandb 0.2x."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.begun: list[dict[str, Any]] = []
        self.said: list[dict[str, Any]] = []
        self.ended: list[int] = []
        self.refuses = False
        self.errors = types.SimpleNamespace(Error=type("Error", (Exception,), {}))

    def init(self, **about: Any) -> Any:
        if self.refuses:
            raise self.errors.Error("api_key not configured")
        self.begun.append(about)
        return types.SimpleNamespace(
            define_metric=lambda name, step_metric: None,
            log=self.said.append,
            finish=lambda exit_code: self.ended.append(exit_code),
        )


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Wandb:
    stand_in = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", stand_in)
    return stand_in


def follow(folder: pathlib.Path, steps: int) -> None:
    run = tiny_run(folder, train_steps=steps, stats_period=2, wandb_project="mine")
    train(run, NumberedFeed(), config_text="the recipe")


def test_a_resumed_run_goes_on_in_the_same_place(wandb: Wandb, tmp_path: pathlib.Path) -> None:
    follow(tmp_path / "run", 2)
    follow(tmp_path / "run", 4)
    follow(tmp_path / "other", 2)
    assert [line["step"] for line in wandb.said] == [2, 4, 2]
    assert {"train/loss", "train/goodput", "train/seconds_startup"} < wandb.said[0].keys() and "train/mfu" not in wandb.said[0]
    one, again, other = (about["id"] for about in wandb.begun)
    assert one == again != other and wandb.ended == [0, 0, 0]
    assert wandb.begun[0]["project"] == "mine" and wandb.begun[0]["config"]["config.gin"] == "the recipe"


def test_a_refusal_and_a_missing_package_are_one_sentence_before_the_first_step(
    wandb: Wandb, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb.refuses = True
    with pytest.raises(InputError, match=r"does not take the run .api_key not configured.: log in .* WANDB_MODE=offline"):
        follow(tmp_path, 2)
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match=r"wandb is not installed .*: install t0jax\[wandb\]"):
        follow(tmp_path, 2)
    assert not list(tmp_path.glob("checkpoint_*")) and not wandb.said


def test_a_run_that_does_not_ask_needs_no_package(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    train(tiny_run(tmp_path, train_steps=2), NumberedFeed(), config_text="")
