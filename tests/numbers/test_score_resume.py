"""A killed evaluation goes on with what is missing and leaves the same bytes; so do two processes. Others' are refused."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import textwrap
from functools import partial

import jax
import numpy as np
import pytest

from t0jax import rank
from t0jax.batch import EOS_ID, RankExample
from t0jax.config import ModelConfig
from t0jax.errors import InputError
from t0jax.evaluation.engine import evaluate
from t0jax.evaluation.journal import JOURNAL
from t0jax.evaluation.score import Scorer
from t0jax.model.parameters import init_parameters
from t0jax.model.t5 import T5

CONFIG = ModelConfig(
    vocab_size=32, emb_dim=8, num_heads=2, head_dim=4, mlp_dim=8, num_encoder_layers=1, num_decoder_layers=1, dtype="float32"
)
ORIGINS = {"claim": rank.Origin("anli/r1", "nli", "claim")}
ABOUT = {"mixture": "m", "split": "validation", "checkpoint": "run/checkpoint_7", "step": 7, "config": "A = 1\nSPLIT = 'x'\n"}
SCRIPT = """
    import os, pathlib, signal, sys
    tests, folder, dies_after = sys.argv[1:]
    sys.path.insert(0, tests)
    import jax
    from t0jax.hosts import start_distributed
    start_distributed()
    from functools import partial
    import test_score_resume as test
    from t0jax.config import MeshConfig
    from t0jax.evaluation.engine import evaluate
    from t0jax.evaluation.journal import Journal
    from t0jax.evaluation.score import Scorer
    from t0jax.mesh import constrain_to, make_mesh, sharding_of
    from t0jax.model.parameters import init_parameters, logical_axes
    from t0jax.model.t5 import T5

    add, added = Journal.add, []

    def add_and_die(self, sums):
        add(self, sums)
        added.append(sums)
        if len(added) == int(dies_after):
            self._file.write(b"[1.0, 2")
            self._file.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    Journal.add = add_and_die
    mesh = make_mesh(MeshConfig())
    make = jax.jit(partial(init_parameters, test.CONFIG), out_shardings=sharding_of(mesh, logical_axes(test.CONFIG)))
    shape = dict(task_feature_lengths=test.LENGTHS, batch_size=4, mesh=mesh)
    scorer = Scorer(T5(test.CONFIG, constrain_to(mesh)), make(jax.random.key(0)), **shape)
    evaluate(scorer, test.examples(), test.ORIGINS, pathlib.Path(folder), about=test.ABOUT)
"""
LENGTHS = {"inputs": 32, "targets": 8}


def examples(rows: int = 150, seed: int = 0) -> list[RankExample]:
    random = np.random.default_rng(seed)
    found = []
    for row in range(rows):
        choices = [np.append(random.integers(3, 32, random.integers(1, 6)), EOS_ID) for _ in range(random.integers(2, 5))]
        is_correct = [choice == row % 2 for choice in range(len(choices))]
        found.append(RankExample("claim", row, random.integers(3, 32, random.integers(4, 30)), choices, is_correct))
    return found


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    params = jax.jit(partial(init_parameters, CONFIG))(jax.random.key(0))
    return Scorer(T5(CONFIG), params, task_feature_lengths=LENGTHS, batch_size=4)


def run(folder: pathlib.Path, processes: int = 1, dies_after: int = -1) -> list[int]:
    """The statuses of so many processes with two devices in all."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    children = []
    for index in range(processes):
        environment = os.environ | {"XLA_FLAGS": f"--xla_force_host_platform_device_count={2 // processes}"}
        if processes > 1:
            environment |= {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": "2", "JAX_PROCESS_ID": str(index)}
        arguments = [str(pathlib.Path(__file__).parent), str(folder), str(dies_after)]
        command = [sys.executable, "-c", textwrap.dedent(SCRIPT), *arguments]
        children.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE))
    try:
        said = [child.communicate(timeout=200)[1].decode() for child in children]
    finally:
        for child in children:
            child.kill()
    statuses = [child.returncode for child in children]
    assert dies_after > 0 or statuses == [0] * processes, said[0][-3000:]
    return statuses


def test_killed_and_on_two_processes_it_leaves_the_same_bytes(tmp_path: pathlib.Path) -> None:
    run(tmp_path / "straight")
    expected = (tmp_path / "straight/scores.jsonl").read_bytes()
    assert expected.count(b"\n") == sum(len(each.choices) for each in examples())
    assert run(tmp_path / "killed", dies_after=2) == [-signal.SIGKILL]
    assert [path.name for path in (tmp_path / "killed").iterdir()] == [JOURNAL]
    run(tmp_path / "killed")
    run(tmp_path / "two", processes=2)
    for name in ("killed", "two"):
        assert (tmp_path / name / "scores.jsonl").read_bytes() == expected
        assert sorted(path.name for path in (tmp_path / name).iterdir()) == ["results.json", "scores.jsonl"]


def batches_run(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one for each batch that the scorer runs from now on."""
    ran, inner = [], scorer._run
    monkeypatch.setattr(scorer, "_run", lambda *given: (ran.append(1), inner(*given))[1])
    return ran


def interrupted(scorer: Scorer, folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, about=ABOUT) -> None:
    """Stop an evaluation after three batches, as a failing device would."""
    inner, ran = scorer._run, []

    def fail(*given):
        ran.append(1)
        if len(ran) > 4:  # one is ahead
            raise RuntimeError("device lost")
        return inner(*given)

    with monkeypatch.context() as patched, pytest.raises(RuntimeError, match="device lost"):
        patched.setattr(scorer, "_run", fail)
        evaluate(scorer, examples(), ORIGINS, folder, about=about)


def test_only_what_is_missing_is_scored_and_nothing_when_all_is(scorer, tmp_path, monkeypatch, capsys) -> None:
    evaluate(scorer, examples(), ORIGINS, tmp_path / "straight", about=ABOUT)
    interrupted(scorer, tmp_path / "e", monkeypatch)
    ran = batches_run(scorer, monkeypatch)
    results = evaluate(scorer, examples(), ORIGINS, tmp_path / "e", about=ABOUT)
    assert len(ran) == len(list(scorer.batches(examples()))) - 3 > 0
    assert (tmp_path / "e/scores.jsonl").read_bytes() == (tmp_path / "straight/scores.jsonl").read_bytes()
    assert capsys.readouterr().err.splitlines()[-1].startswith("scored ")
    ran.clear()
    assert evaluate(scorer, examples(), ORIGINS, tmp_path / "e", about=ABOUT) == json.loads(json.dumps(results))
    assert not ran
    assert capsys.readouterr().err == f"t0jax: {tmp_path / 'e'} has these scores already\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mixture": "n"}, "its mixture is m, not n"),
        ({"split": "test"}, "its split is validation, not test"),
        ({"checkpoint": "other/checkpoint_7"}, "its checkpoint is run/checkpoint_7, not other/checkpoint_7"),
        ({"config": "A = 2\nSPLIT = 'x'\n"}, "its A is 1, not 2"),
        ({}, "its examples_sha256 is"),
    ],
)
@pytest.mark.parametrize("is_finished", [True, False])
def test_scores_of_another_evaluation_are_refused(scorer, tmp_path, monkeypatch, change, message, is_finished) -> None:
    if is_finished:
        evaluate(scorer, examples(), ORIGINS, tmp_path, about=ABOUT)
    else:
        interrupted(scorer, tmp_path, monkeypatch)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(InputError, match=message):
        evaluate(scorer, examples(seed=0 if change else 1), ORIGINS, tmp_path, about={**ABOUT, **change})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_scores_of_other_weights_under_the_same_name_are_refused(scorer, tmp_path, monkeypatch) -> None:
    evaluate(scorer, examples(), ORIGINS, tmp_path, about=ABOUT)
    monkeypatch.setattr(scorer, "params", jax.tree.map(lambda leaf: leaf * np.float32(1.001), scorer.params))
    with pytest.raises(InputError, match="its weights_checksum is"):
        evaluate(scorer, examples(), ORIGINS, tmp_path, about=ABOUT)


def test_where_things_lie_makes_no_other_evaluation(scorer, tmp_path, monkeypatch) -> None:
    interrupted(scorer, tmp_path, monkeypatch)
    moved = {**ABOUT, "config": ABOUT["config"] + "CACHE_DIR = 'elsewhere'\nTrainConfig.microbatches = 2\n"}
    ran = batches_run(scorer, monkeypatch)
    evaluate(scorer, examples(), ORIGINS, tmp_path, about=moved)
    assert len(ran) == len(list(scorer.batches(examples()))) - 3


def test_scores_that_another_machine_began_are_begun_anew(scorer, tmp_path, monkeypatch) -> None:
    interrupted(scorer, tmp_path, monkeypatch)
    monkeypatch.setattr("t0jax.evaluation.engine.code_version", lambda: "newer")
    ran = batches_run(scorer, monkeypatch)
    evaluate(scorer, examples(), ORIGINS, tmp_path, about=ABOUT)
    assert len(ran) == len(list(scorer.batches(examples())))
