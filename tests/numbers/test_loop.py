"""The loop keeps its promises about order, files and ends."""

import dataclasses
import json
import os
import pathlib
import signal
from typing import Any

import jax
import numpy as np
import pytest
from tiny_run import MODEL, NumberedFeed, tiny_run, untimed

from t0jax.batch import Batch
from t0jax.checkpoints import whole
from t0jax.checkpoints.orbax import Checkpoints
from t0jax.errors import InputError
from t0jax.model.flops import step_flops
from t0jax.training.interruption import Stopped
from t0jax.training.log import Log, drop_lines_after
from t0jax.training.loop import Hook, train
from t0jax.training.step import State
from t0jax.training.throughput import Stopwatch, load_of, peak_flops


def lines(folder: pathlib.Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def assert_equal(left: Any, right: Any) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(np.asarray(a), np.asarray(b)), left, right)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, State, list[tuple[int, int]]]:
    """A run of 12 steps that saved at 5, 10 and 12 and whose hook looked every 4 steps."""
    folder = tmp_path_factory.mktemp("run")
    seen: list[tuple[int, int]] = []
    hook = Hook(period=4, call=lambda step, state: seen.append((step, int(state.step))))
    state = train(tiny_run(folder), NumberedFeed(), config_text="text", hooks=[hook])
    return folder, state, seen


Finished = tuple[pathlib.Path, State, list[tuple[int, int]]]


def test_saving_and_hooks_see_the_state_before_the_step(finished: Finished) -> None:
    folder, state, seen = finished
    assert int(state.step) == 12
    assert seen == [(0, 0), (4, 4), (8, 8), (12, 12)]
    assert whole.steps(folder) == [5, 10, 12]
    saved = json.loads((folder / "checkpoint_5/position.json").read_text())
    assert saved["data"] == {"streams": {"0": {"at": 5}}}, "the next batch is the one that step 5 will see"
    assert (folder / "checkpoint_5/config.gin").read_text() == "text"


def test_every_line_says_what_the_issue_asks_for(finished: Finished) -> None:
    folder, _, _ = finished
    said = lines(folder)
    assert [line["step"] for line in said] == [2, 4, 6, 8, 10, 12]
    names = {"loss", "accuracy", "learning_rate", "gradient_norm", "tokens_per_second", "encoder_fill", "decoder_fill"}
    assert names | {"seconds_per_step", "mfu"} <= said[0].keys()
    assert said[0]["mfu"] is None, "the peak of a CPU is not known"
    assert 0 < said[0]["encoder_fill"] <= 1
    assert list((folder / "tensorboard").iterdir())


def test_batches_of_two_shapes_are_each_compiled_once_and_counted_by_their_own(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train(tiny_run(tmp_path, train_steps=4, stats_period=4), NumberedFeed(8, 4), config_text="")
    compiled = [line for line in capfd.readouterr().err.splitlines() if line.startswith("Compiled")]
    assert [line.split(" in ")[0] for line in compiled] == [f"Compiled the step for 8 rows of 16/{t}" for t in (8, 4)]
    feed = NumberedFeed(8, 4)
    batches = [next(feed) for _ in range(4)]
    tokens = sum(int((batch["decoder_segment_ids"] > 0).sum()) for batch in batches)
    assert lines(tmp_path)[0]["decoder_fill"] == pytest.approx(tokens / (8 * (8 + 4 + 8 + 4)))
    load = load_of(batches[1], MODEL, processes=2)
    assert (load.encoder_slots, load.decoder_slots, load.flops) == (2 * 8 * 16, 2 * 8 * 4, step_flops(MODEL, 16, 16, 4))


def test_a_finished_run_is_left_as_it_is(finished: Finished) -> None:
    folder, state, _ = finished
    before = (folder / "metrics.jsonl").read_text()
    again = train(tiny_run(folder), NumberedFeed(), config_text="text")
    assert_equal(again, state)
    assert (folder / "metrics.jsonl").read_text() == before
    assert whole.steps(folder) == [5, 10, 12]


def test_a_longer_run_goes_on_where_the_shorter_one_ended(finished: Finished, tmp_path: pathlib.Path) -> None:
    folder, state, _ = finished
    for _ in range(2):  # the second time there is nothing left to do, or to say
        train(tiny_run(tmp_path, train_steps=7), NumberedFeed(), config_text="")
        assert [line["step"] for line in lines(tmp_path)] == [2, 4, 6, 7]
    longer = train(tiny_run(tmp_path), NumberedFeed(), config_text="")
    assert_equal(longer, state)
    assert [line["step"] for line in lines(tmp_path)] == [2, 4, 6, 7, 8, 10, 12]
    assert [untimed(line) for line in lines(tmp_path) if line["step"] != 7] == [untimed(line) for line in lines(folder)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_the_same_command_resumes(
    finished: Finished, tmp_path: pathlib.Path, number: signal.Signals
) -> None:
    def ask(step: int, state: State) -> None:
        if step == 3:
            os.kill(os.getpid(), number)

    handler = signal.getsignal(number)
    with pytest.raises(Stopped, match=f"stopped at step 4 by {number.name}") as stopped:
        train(tiny_run(tmp_path), NumberedFeed(), config_text="", hooks=[Hook(1, ask)])
    assert stopped.value.signal_number == number
    assert signal.getsignal(number) == handler
    assert whole.steps(tmp_path) == [4]
    assert_equal(train(tiny_run(tmp_path), NumberedFeed(), config_text=""), finished[1])


def test_a_loss_that_is_no_number_stops_training_and_is_not_saved(finished: Finished, tmp_path: pathlib.Path) -> None:
    state = finished[1]
    broken = state.replace(params=jax.tree.map(lambda leaf: leaf * np.nan, state.params))
    with Checkpoints(tmp_path / "broken") as checkpoints:
        checkpoints.save(2, broken.replace(step=state.step * 0 + 2), {}, {})
    run = tiny_run(tmp_path / "run", initial_checkpoint_path=str(tmp_path / "broken"), checkpoint_period=1)
    with pytest.raises(InputError, match=r"loss is nan in step 3, so training has stopped.*learning_rate"):
        train(run, NumberedFeed(), config_text="")
    assert whole.steps(tmp_path / "run") == []


class PoisonedFeed(NumberedFeed):
    """A batch of an endless weight among others, like rows that no model can learn from."""

    def __init__(self, *poisoned: int) -> None:
        super().__init__()
        self.poisoned = poisoned

    def __next__(self) -> Batch:
        is_poisoned = self.at in self.poisoned
        batch = super().__next__()
        weights = batch["decoder_loss_weights"].astype(np.float32)
        return {**batch, "decoder_loss_weights": np.full_like(weights, np.inf) if is_poisoned else weights}


def test_a_loss_that_is_no_number_goes_back_and_passes_over_the_batches_since(tmp_path: pathlib.Path) -> None:
    """Steps 1 to 5 have batches 0 to 4; of batches 5, 6 and 7 the last is the bad one; step 6 has batch 8."""

    class Skipping(PoisonedFeed):
        def __next__(self) -> Batch:
            self.at += 3 if self.at == 5 else 0
            return super().__next__()

    expected = train(tiny_run(tmp_path / "skipping", train_steps=9), Skipping(), config_text="")
    said = tmp_path / "said"
    state = train(tiny_run(said, train_steps=9, nan_restores=1), PoisonedFeed(7), config_text="")
    assert_equal(state, expected)
    assert lines(said)[-1]["step"] == 9 and [line["step"] for line in lines(said)] == [2, 4, 6, 8, 9]
    assert json.loads((said / "checkpoint_9/position.json").read_text())["nan_restores"] == 1
    killed, visits = tmp_path / "killed", list[int]()

    def kill(step: int, state: State) -> None:
        visits.append(step)
        if visits.count(7) == 2:  # it has gone back
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny_run(killed, train_steps=9, nan_restores=1), PoisonedFeed(7), config_text="", hooks=[Hook(1, kill)])
    assert_equal(train(tiny_run(killed, train_steps=9, nan_restores=1), PoisonedFeed(7), config_text=""), expected)
    # A run that has gone back once and was stopped does not go back a second time.
    longer = tiny_run(said, train_steps=12, nan_restores=1)
    with pytest.raises(InputError, match=r"loss is (nan|inf) in step 11, so training has stopped.*NAN_RESTORES"):
        train(longer, PoisonedFeed(13), config_text="")
    assert whole.steps(said) == [5, 9, 10]


def test_without_a_checkpoint_there_is_nothing_to_go_back_to(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match="in step 3, so training has stopped"):
        train(tiny_run(tmp_path, nan_restores=5), PoisonedFeed(2), config_text="")


def test_another_run_s_checkpoint_begins_a_run_at_its_step(finished: Finished, tmp_path: pathlib.Path) -> None:
    folder, state, _ = finished
    path = str(folder / "checkpoint_10")
    restored = train(tiny_run(tmp_path / "a", initial_checkpoint_path=path), feed_at(10), config_text="")
    assert_equal(restored, state)
    run = tiny_run(tmp_path / "b", initial_checkpoint_path=path, restore_optimizer=False, train_steps=11)
    fresh = train(run, feed_at(10), config_text="")
    assert int(fresh.step) == int(fresh.opt_state.step) == 11
    with pytest.raises(AssertionError):
        assert_equal(fresh.params, state.params)
    with pytest.raises(InputError, match=r"TRAIN_STEPS is 10, but .*checkpoint_10 is already at step 10.*10 \+ the steps"):
        train(tiny_run(tmp_path / "c", initial_checkpoint_path=path, train_steps=10), NumberedFeed(), config_text="")


def feed_at(place: int) -> NumberedFeed:
    feed = NumberedFeed()
    feed.at = place
    return feed


def test_another_model_is_refused(finished: Finished, tmp_path: pathlib.Path) -> None:
    other = dataclasses.replace(MODEL, mlp_dim=64)
    run = tiny_run(tmp_path, model=other, initial_checkpoint_path=str(finished[0]), train_steps=20)
    with pytest.raises(InputError, match=r"mlp/wi_0/kernel the checkpoint holds \(1, 16, 32\) and this run has \(1, 16, 64\)"):
        train(run, NumberedFeed(), config_text="")
    with pytest.raises(InputError, match="has no MODEL_DIR"):
        train(dataclasses.replace(run, train=dataclasses.replace(run.train, model_dir=None)), NumberedFeed(), config_text="")


def test_lines_beyond_the_resumed_step_and_broken_ones_are_dropped(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 2}\n{"step": 4}\n{"step": 6}\n{"st')
    drop_lines_after(pathlib.Path(path), 4)
    assert path.read_text() == '{"step": 2}\n{"step": 4}\n'


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written .Not a directory.*another MODEL_DIR"):
        Log(tmp_path / "file" / "run", step=0, last_step=1)


def test_the_stopwatch_leaves_out_the_first_step_and_what_is_held() -> None:
    clock = iter([0.0, 5.0, 8.0, 12.0, 20.0])
    watch = Stopwatch(now=lambda: next(clock))
    watch.step(tokens=100)  # at 0: the first step ends
    with watch.hold():  # 5 to 8
        pass
    watch.step(tokens=90)
    rates = watch.lap()  # at 12
    assert rates == {"steps": 1 / 9, "tokens": 10.0}


def test_the_peak_of_a_device_is_found_by_the_longest_name() -> None:
    assert peak_flops("TPU v5 lite") == 197e12
    assert peak_flops("TPU v5") == 459e12
    assert peak_flops("NVIDIA H100 80GB HBM3") == 989e12
    assert peak_flops("NVIDIA H100 NVL") == 835e12
    assert peak_flops("NVIDIA L4") == 121e12
    assert peak_flops("NVIDIA L40S") is None
    assert peak_flops("cpu") is None
