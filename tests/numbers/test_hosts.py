"""Several processes train what one trains, and go on in another number after a kill: the same examples, the same losses.

The examples are real rows where there are any.

The examples and their places are equal, the numbers to float32's rounding: processes add gradients up in another order than the
devices of one (one unit in the last place after 14 steps). On as many processes as before a run repeats bit for bit.
"""

import dataclasses
import itertools
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest
from conftest import SHARED
from test_resume import Example, restored, said, write_cache
from tiny_run import MODEL

from t0jax.checkpoints import whole
from t0jax.data.vocabulary import Vocabulary

DEVICES, STEPS, STREAMS = 4, 14, 4
VOCAB_SIZE, LENGTH = 32_128, 64
SENTIMENT, TOPICS = ("negative", "positive"), ("World", "Sports", "Business", "Science")
TRAINING = """
    import os, signal, sys, time
    tests, folder, cache, dies_at = sys.argv[1:]
    sys.path.insert(0, tests)
    import jax
    from t0jax.hosts import start_distributed
    start_distributed()
    import dataclasses
    from tiny_run import MODEL, tiny_run
    from t0jax.checkpoints import whole
    from t0jax.data import feed as feed_module
    from t0jax.training.loop import Hook, train

    def die(step, state):
        if step == int(dies_at):
            while step - 3 not in whole.steps(folder):
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)

    model = dataclasses.replace(MODEL, vocab_size={vocab_size})
    run = tiny_run(folder, model=model, train_steps={steps}, stats_period=3, data=dict(
        cache_dir=cache, task_feature_lengths=dict(inputs={length}, targets=16), packing_bins=4, num_streams={streams}))
    feed_module.SAMPLE = 4000
    here = dict(process_index=jax.process_index(), process_count=jax.process_count())
    feed = feed_module.open_feed(run.data, [("one", 2), ("two", 1)], **here)
    train(run, feed, config_text="", hooks=[Hook(1, die)])
    feed.close()
"""


def real_rows() -> tuple[list[Example], ...]:
    """Film reviews and news, 200 of either as T5's pieces; nothing where there are no real rows."""
    if not (SHARED / "data").is_dir():
        return ()
    pieces = Vocabulary(SHARED / "models/t5_vocab/spiece.model")
    found = []
    for split, labels in (("rotten_tomatoes/default/train", SENTIMENT), ("ag_news/default/test", TOPICS)):
        with (SHARED / f"data/{split}.jsonl").open(encoding="utf-8") as lines:
            rows = [json.loads(line) for line in itertools.islice(lines, 200)]
        asked, answers = pieces.encode([row["text"] for row in rows]), pieces.encode([labels[row["label"]] for row in rows])
        found.append([(list(inputs), list(targets)) for inputs, targets in zip(asked, answers, strict=True)])
    return tuple(found)


def train_on(processes: int, folder: pathlib.Path, cache: pathlib.Path, dies_at: int = -1) -> None:
    """Train with `DEVICES` devices dealt to so many processes, until the end or until all are killed before a step."""
    script = textwrap.dedent(TRAINING.format(steps=STEPS, streams=STREAMS, vocab_size=VOCAB_SIZE, length=LENGTH))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    children = []
    for index in range(processes):
        environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={DEVICES // processes}"}
        if processes > 1:
            environment |= {
                "JAX_COORDINATOR_ADDRESS": address,
                "JAX_NUM_PROCESSES": str(processes),
                "JAX_PROCESS_ID": str(index),
            }
        arguments = [str(pathlib.Path(__file__).parent), str(folder), str(cache), str(dies_at)]
        log = open(folder.parent / f"{folder.name}_{processes}_{index}.log", "ab")  # noqa: SIM115 - closed below
        children.append((subprocess.Popen([sys.executable, "-c", script, *arguments], env=environment, stderr=log), log))
    try:
        statuses = [child.wait(timeout=240) for child, _ in children]
    finally:
        for child, log in children:
            child.kill()
            log.close()
    said = pathlib.Path(children[0][1].name).read_text()
    if dies_at < 0:
        assert statuses == [0] * processes, said[-3000:]
    else:
        assert -signal.SIGKILL in statuses, said[-3000:]


def test_four_two_and_four_processes_killed_in_between_equal_one(tmp_path: pathlib.Path) -> None:
    cache = write_cache(tmp_path / "cache", *real_rows())
    straight, moved = tmp_path / "straight", tmp_path / "moved"
    train_on(1, straight, cache)
    train_on(4, moved, cache, dies_at=8)
    assert whole.steps(moved) == [5]
    train_on(2, moved, cache, dies_at=13)
    assert whole.steps(moved) == [5, 10]
    train_on(4, moved, cache)
    model = dataclasses.replace(MODEL, vocab_size=VOCAB_SIZE)
    (state, position), (expected, expected_position) = (restored(folder, model) for folder in (moved, straight))
    assert int(state.step) == STEPS
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), state, expected)
    assert position["data"] == expected_position["data"]
    lines, expected_lines = said(moved), said(straight)
    assert [line["step"] for line in lines] == [3, 6, 9, 12, 14]
    for line, wanted in zip(lines, expected_lines, strict=True):
        for of in (line, wanted):
            del of["examples_per_step"]  # a host counts its own and takes the others' for as many
        assert line == pytest.approx(wanted, rel=1e-5)
