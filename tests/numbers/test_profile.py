"""A profile of some steps lies beside the run, whether the run reaches their end or not, and changes nothing."""

import pathlib

import pytest
from test_loop import assert_equal
from tiny_run import NumberedFeed, tiny_run

from t0jax.config import TrainConfig
from t0jax.errors import InputError
from t0jax.training.loop import train


@pytest.mark.parametrize("steps", [(3, 4), (6, 40)])
def test_the_steps_asked_for_are_profiled(
    steps: tuple[int, int], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = train(tiny_run(tmp_path / "run", train_steps=8, profile_steps=steps), NumberedFeed(), config_text="")
    assert list((tmp_path / "run/profile").rglob("*.xplane.pb"))
    assert f"The profile of steps {steps[0]} to {steps[1]} lies in" in capsys.readouterr().err
    assert_equal(state, train(tiny_run(tmp_path / "plain", train_steps=8), NumberedFeed(), config_text=""))


def test_without_steps_there_is_no_profile(tmp_path: pathlib.Path) -> None:
    train(tiny_run(tmp_path, train_steps=2), NumberedFeed(), config_text="")
    assert not (tmp_path / "profile").exists()


@pytest.mark.parametrize("steps", [(3,), (4, 3), (0, 2)])
def test_steps_that_are_no_span_are_refused(steps: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"profile_steps is .*; it must be empty, or the first and the last"):
        TrainConfig(profile_steps=steps)
