"""`t0jax eval --continuous` evaluates every checkpoint of a run once, as it appears, and ends with the run's last one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from furnished import furnish

from t0jax.checkpoints.orbax import Checkpoints
from t0jax.cli import continuous, main
from t0jax.cli.recipe import read_run, run_text
from t0jax.mesh import make_mesh
from t0jax.training.step import initial_state

LAST = 9


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return furnish(tmp_path_factory.mktemp("place"))


def save(place, model_dir, step):
    """What training leaves at a step; the recipe ends at LAST."""
    run = read_run([str(place / "run.gin")], [f"TRAIN_STEPS={LAST}"])
    state = initial_state(run.model, run.optimizer, make_mesh(run.mesh), jax.random.key(step))
    with Checkpoints(model_dir) as checkpoints:
        checkpoints.save(step, state.replace(step=np.int32(step)), {"streams": {}}, {"config.gin": run_text(run)})


def command(place, folder, *bindings):
    places = [f"--gin.CHECKPOINT_PATH={folder / 'model'}", f"--gin.EVAL_OUTPUT_DIR={folder / 'scores'}"]
    return ["eval", f"--gin_file={place / 'run.gin'}", "--continuous", *places, *bindings]


def steps_of(folder):
    return [json.loads(line)["step"] for line in (folder / "scores/summary.jsonl").read_text().splitlines()]


def test_each_checkpoint_is_evaluated_once_until_the_last(place, tmp_path, monkeypatch, capsys):
    still_to_come = [4, 6, LAST]
    monkeypatch.setattr(continuous.time, "sleep", lambda _: save(place, tmp_path / "model", still_to_come.pop(0)))
    assert main(command(place, tmp_path)) == 0
    assert steps_of(tmp_path) == [4, 6, LAST] and not still_to_come
    said = capsys.readouterr().err
    for step in (4, 6, LAST):
        results = json.loads((tmp_path / f"scores/step_{step}/results.json").read_text())
        assert (results["step"], results["checkpoint"]) == (step, str(tmp_path / f"model/checkpoint_{step}"))
        assert f"step {step}  mean {100 * results['datasets'][0]['median']:.1f}  super_glue/rte " in said
    scores = {(tmp_path / f"scores/step_{step}/scores.jsonl").read_bytes() for step in (4, 6, LAST)}
    assert len(scores) == 3  # each of its own weights
    assert list((tmp_path / "scores/tensorboard").iterdir())
    alone = [f"--gin.CHECKPOINT_PATH={tmp_path / 'model/checkpoint_6'}", f"--gin.EVAL_OUTPUT_DIR={tmp_path / 'alone'}"]
    assert main(["eval", f"--gin_file={place / 'run.gin'}", *alone]) == 0
    assert (tmp_path / "alone/scores.jsonl").read_bytes() == (tmp_path / "scores/step_6/scores.jsonl").read_bytes()
    shutil.rmtree(tmp_path / "scores/step_6")
    opened = []
    monkeypatch.setattr("t0jax.cli.weights.restore_parameters", opening(opened))
    assert main(command(place, tmp_path)) == 0
    assert opened == [6]  # what is evaluated is passed over
    assert main(command(place, tmp_path, "--gin.SPLIT=test")) == 2
    assert "step_4 holds scores of another evaluation: its split is validation, not test" in capsys.readouterr().err


def opening(opened):
    """`restore_parameters` that notes the steps it is asked for."""
    from t0jax.checkpoints.load import restore_parameters

    def restore(form, *given):
        opened.append(form.step)
        return restore_parameters(form, *given)

    return restore


def test_a_checkpoint_that_training_deletes_meanwhile_is_passed_over_and_named(place, tmp_path, monkeypatch, capsys):
    for step in (4, LAST):
        save(place, tmp_path / "model", step)
    at_step = continuous.at_step

    def delete(described, step):
        if step == 4 and len(calls) == 2:  # it has been chosen
            shutil.rmtree(tmp_path / "model/checkpoint_4")
        calls.append(step)
        return at_step(described, step)

    calls = []
    monkeypatch.setattr(continuous, "at_step", delete)
    assert main(command(place, tmp_path)) == 0
    assert steps_of(tmp_path) == [LAST]
    assert "checkpoint_4 was deleted before it was evaluated" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "message"),
    [("model/checkpoint_3", "is one checkpoint: --continuous follows a run"), (None, "Which run to follow")],
)
def test_what_is_no_run_is_not_followed(place, tmp_path, capsys, path, message):
    where = None if path is None else place / path
    assert main(command(place, tmp_path, f"--gin.CHECKPOINT_PATH={where}")) == 2
    assert message in capsys.readouterr().err


def test_sigterm_ends_the_wait(place, tmp_path):
    save(place, tmp_path / "model", 4)
    child = subprocess.Popen([sys.executable, "-m", "t0jax", *command(place, tmp_path)], env=os.environ, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 120
        while not (tmp_path / "scores/summary.jsonl").exists() and time.monotonic() < deadline:
            time.sleep(0.2)
        child.send_signal(signal.SIGTERM)
        said = child.communicate(timeout=60)[1].decode()
    finally:
        child.kill()
    assert child.returncode == 143 and said.endswith("stopped by SIGTERM\n")
    assert steps_of(tmp_path) == [4]
