"""A run that is killed and started again ends where an uninterrupted one ends, bit for bit."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from tiny_run import MODEL, tiny_run, untimed

from t0jax.checkpoints import whole
from t0jax.checkpoints.orbax import Checkpoints
from t0jax.config import ModelConfig
from t0jax.data.records import RecordWriter, encode_example
from t0jax.mesh import make_mesh
from t0jax.training.step import State, abstract_state

Example = tuple[list[int], ...]
TRAINING = """
    import dataclasses, os, pathlib, signal, sys, time
    tests, folder, cache, dies_at = sys.argv[1:]
    sys.path.insert(0, tests)
    from tiny_run import MODEL, tiny_run
    from t0jax.checkpoints import whole
    from t0jax.data import feed as feed_module
    from t0jax.training.loop import Hook, train

    def die(step, state):
        if step == int(dies_at):
            while not whole.steps(folder):
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)

    run = tiny_run(folder, model=dataclasses.replace(MODEL, dropout_rate=0.1), stats_period=3, data=dict(
        cache_dir=cache, task_feature_lengths={"inputs": 16, "targets": 16}, packing_bins=4, num_streams=2, narrow_targets=13))
    feed_module.SAMPLE = 4000  # of an even smaller cache
    feed = feed_module.open_feed(run.data, [("one", 2), ("two", 1)], process_index=0, process_count=1)
    train(run, feed, config_text="", hooks=[Hook(1, die)])
    feed.close()
"""


def made_up(count: int, random: np.random.Generator) -> list[Example]:
    """Inputs and targets without their EOS."""
    return [tuple(random.integers(3, 64, random.integers(2, longest)).tolist() for longest in (8, 5)) for _ in range(count)]


def write_cache(folder: pathlib.Path, one: Sequence[Example] = (), two: Sequence[Example] = ()) -> pathlib.Path:
    """Two tasks, of 40 and 9 made-up examples unless others are given, in SeqIO's layout."""
    random = np.random.default_rng(0)
    for task, examples in (("one", one or made_up(40, random)), ("two", two or made_up(9, random))):
        (folder / task).mkdir(parents=True)
        with RecordWriter(folder / task / "train.tfrecord-00000-of-00001") as writer:
            for inputs, targets in examples:
                writer.write(encode_example({"inputs": inputs, "targets": [*targets, 1]}))
        feature = {"shape": [None], "dtype": "int32"}
        info = {"num_shards": 1, "features": {"inputs": feature, "targets": feature}, "seqio_version": "0.0.20"}
        (folder / task / "info.train.json").write_text(json.dumps(info))
        (folder / task / "stats.train.json").write_text(json.dumps({"examples": len(examples)}))
        (folder / task / "COMPLETED").touch()
    return folder


def start(folder: pathlib.Path, cache: pathlib.Path, dies_at: int = -1) -> int:
    arguments = [str(pathlib.Path(__file__).parent), str(folder), str(cache), str(dies_at)]
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=1"}
    command = [sys.executable, "-c", textwrap.dedent(TRAINING), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def restored(folder: pathlib.Path, model: ModelConfig = MODEL) -> tuple[State, dict[str, Any]]:
    run = tiny_run(folder, model=model)
    with Checkpoints(folder) as checkpoints:
        found = checkpoints.restore(abstract_state(run.model, run.optimizer, make_mesh(run.mesh)))
    assert found is not None
    found[1].pop("goodput", None)  # clocks do not repeat
    return found


def said(folder: pathlib.Path) -> list[dict[str, Any]]:
    """The lines of the log, without what the clock says."""
    return [untimed(json.loads(line)) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_killed_run_resumed_equals_an_uninterrupted_one(tmp_path: pathlib.Path) -> None:
    cache = write_cache(tmp_path / "cache")
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    assert start(straight, cache) == 0
    assert start(killed, cache, dies_at=8) == -signal.SIGKILL
    assert whole.steps(killed) == [5]
    streams = json.loads((killed / "checkpoint_5/position.json").read_text())["data"]["streams"]
    assert any(stream["waiting"] for stream in streams.values()), "a wide row was put off by a narrow step"
    assert [line["step"] for line in said(killed)] == [3, 6], "the second line is beyond the checkpoint"
    assert start(killed, cache) == 0
    (state, position), (expected, expected_position) = restored(killed), restored(straight)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(np.asarray(a), np.asarray(b)), state, expected)
    assert int(state.step) == 12
    assert position == expected_position
    assert [line["step"] for line in said(killed)] == [3, 6, 9, 12]
    assert said(killed) == said(straight)
