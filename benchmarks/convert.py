"""Time and peak memory of `t0jax convert` in every direction, beside a plain copy of the same bytes: one JSON line for each.

The weights are random. `--size xl` needs 50 GB of disk: at most four checkpoints of 11.4 GB lie there at a time.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np
from etils import epath

from t0jax.checkpoints.names import shapes_of
from t0jax.checkpoints.plan import Plan
from t0jax.checkpoints.to_orbax import OrbaxWriter
from t0jax.config import ModelConfig

SIZES = {
    "tiny": ModelConfig(emb_dim=8, num_heads=4, head_dim=3, mlp_dim=16, num_encoder_layers=2, num_decoder_layers=2),
    "small": ModelConfig(),
    "large": ModelConfig(emb_dim=1024, num_heads=16, mlp_dim=2816, num_encoder_layers=24, num_decoder_layers=24),
    "xl": ModelConfig(emb_dim=2048, num_heads=32, mlp_dim=5120, num_encoder_layers=24, num_decoder_layers=24),
}
DIRECTIONS = (("orbax", "hf"), ("hf", "orbax"), ("orbax", "t5x"), ("t5x", "orbax"), ("t5x", "hf"), ("hf", "t5x"))
OURS = "import sys; from t0jax.cli import main; sys.exit(main(sys.argv[1:]))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="tiny")
    parser.add_argument("--folder", help="where the checkpoints lie meanwhile")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = pathlib.Path(name)
        there = {"orbax": write_random(folder / "orbax", SIZES[arguments.size])}
        for source, form in DIRECTIONS:
            line = {"benchmark": "convert", "size": arguments.size, "from": source, "to": form}
            shutil.rmtree(folder / form, ignore_errors=True)
            print(json.dumps(line | measured(there[source], folder / form, form)), flush=True)
            there[form] = folder / form


def write_random(folder: pathlib.Path, model: ModelConfig) -> pathlib.Path:
    """A checkpoint_0 of random numbers, which compress as badly as weights do."""
    place = folder / "checkpoint_0"
    place.mkdir(parents=True)
    plan = Plan(kind="orbax", model=dataclasses.replace(model, scan_layers=True), dtype="float32", step=0, slots={})
    writer, random = OrbaxWriter(epath.Path(place), plan), np.random.default_rng(0)
    for name, shape in shapes_of(model).items():
        writer.put(name, random.standard_normal(shape, np.float32))
    writer.finish()
    return folder


def measured(source: pathlib.Path, target: pathlib.Path, form: str) -> dict[str, float]:
    """Convert in a process of its own; copy the source, as `cp` does it."""
    began = time.perf_counter()
    command = [sys.executable, "-c", OURS, "convert", "--from", source, "--to", target, "--format", form, "--step", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if status != 0:
        raise SystemExit(f"{command} ended with {status}")
    began = time.perf_counter()
    copy = target.with_name("copy")
    subprocess.run(["cp", "-r", source, copy], check=True)
    copied = time.perf_counter() - began
    shutil.rmtree(copy)
    written = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    return {
        "gigabytes": round(written / 1e9, 3),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "copy_seconds": round(copied, 1),
        "peak_gigabytes": round(usage.ru_maxrss * 1024 / 1e9, 3),
    }


if __name__ == "__main__":
    main()
