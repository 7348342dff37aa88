"""Buckets by the same code: a run that lives in one and goes on from there, checkpoints of every form read from one."""

import importlib.util
import os
import pathlib
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest
from bucket_server import Bucket, bucket
from tiny_checkpoint import T5_1_1, converted, write_own

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("gcsfs") is None or importlib.util.find_spec("tensorflow") is not None,
    reason="with TensorFlow, etils reads buckets by TensorFlow, which knows no bucket on this machine",
)
BEGINNING = """
    import dataclasses, sys, warnings
    sys.path.insert(0, {tests!r})
    from tiny_run import MODEL, NumberedFeed, tiny_run
    from t0jax.checkpoints.forms import open_form
    from t0jax.cli.weights import open_model
    from t0jax.errors import InputError
    from t0jax.training.loop import train
"""


@pytest.fixture(scope="module")
def cloud() -> Iterator[Bucket]:
    with bucket() as server:
        yield server


def run(script: str) -> str:
    """What a process of its own prints; TensorBoard's writer goes on until it ends."""
    text = textwrap.dedent(BEGINNING.format(tests=str(pathlib.Path(__file__).parent))) + textwrap.dedent(script)
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=1"}
    command = [sys.executable, "-W", "error::UserWarning", "-c", text]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def put(cloud: Bucket, folder: Any, name: str) -> None:
    root = pathlib.Path(str(folder))
    for path in (path for path in root.rglob("*") if path.is_file()):
        cloud.put(f"{name}/{path.relative_to(root)}", path.read_bytes())


def test_a_run_in_a_bucket_goes_on_and_keeps_what_it_shall(cloud: Bucket) -> None:
    """Its log too: an object cannot be appended to, and gcsfs would write each line over the others."""
    run("""
        for steps in (12, 14):
            train(tiny_run("gs://bucket/run", train_steps=steps, checkpoints_to_keep=2), NumberedFeed(), config_text="")
    """)
    steps = {name.split("/")[1] for name in cloud.names("run/checkpoint_")}
    assert steps == {"checkpoint_12", "checkpoint_14"}
    log = cloud.objects["run/metrics.jsonl"][0].decode().splitlines()
    assert [line.split(",")[0] for line in log] == [f'{{"step": {step}' for step in (2, 4, 6, 8, 10, 12, 14)]


def test_every_form_is_read_from_a_bucket_and_what_is_not_there_is_said(cloud: Bucket, tmp_path: pathlib.Path) -> None:
    write_own(tmp_path / "own", T5_1_1)
    put(cloud, tmp_path / "own", "own")
    for kind in ("t5x", "hf"):
        put(cloud, converted(tmp_path / "own", tmp_path / kind, kind).path, f"{kind}/checkpoint_7")
    put(cloud, tmp_path / "own", "hidden")
    [secret] = [name for name in cloud.names("hidden") if name.endswith("checkpoint_7/params/_METADATA")]
    cloud.forbidden.add(secret)
    said = run("""
        import numpy as np, jax
        params = []
        for name in ("own", "t5x", "hf"):
            run = tiny_run("unused", model=open_form(f"gs://bucket/{name}/checkpoint_7").model)
            place = dataclasses.replace(run.evaluate, checkpoint_path=f"gs://bucket/{name}")
            params.append(open_model(dataclasses.replace(run, evaluate=place)).params)
        jax.tree.map(np.testing.assert_array_equal, *params[:2])
        jax.tree.map(np.testing.assert_array_equal, *params[1:])
        for name in ("gs://bucket/nothing", "gs://nobody/own", "gs://bucket/hidden"):
            try:
                open_form(name)
            except InputError as error:
                print(error)
    """)
    assert "There is no checkpoint at gs://bucket/nothing" in said and "There is no checkpoint at gs://nobody/own" in said
    assert "gs://bucket/hidden cannot be read (Forbidden" in said
