"""Milliseconds of one training step of a tiny T5 on this machine's CPU, scanned and unrolled: one JSON line."""

import argparse
import dataclasses
import json
import time

import jax

from t0jax.batch import synthetic_batch
from t0jax.config import MeshConfig, ModelConfig, OptimizerConfig, TrainConfig
from t0jax.mesh import make_mesh
from t0jax.model.flops import step_flops
from t0jax.training.step import initial_state, make_step

MODEL = ModelConfig(
    vocab_size=2048,
    emb_dim=128,
    num_heads=4,
    head_dim=32,
    mlp_dim=256,
    num_encoder_layers=3,
    num_decoder_layers=2,
    dropout_rate=0.1,
    dtype="float32",
)


def seconds(model: ModelConfig, shape: dict[str, int], steps: int) -> tuple[float, float]:
    """(compilation, fastest step) of one configuration."""
    mesh, optimizer = make_mesh(MeshConfig(), jax.devices()[:1]), OptimizerConfig()
    state = initial_state(model, optimizer, mesh, jax.random.key(0))
    step = make_step(model, optimizer, TrainConfig(), mesh)
    batch = jax.device_put(synthetic_batch(**shape, vocab_size=model.vocab_size, segments=4))
    times = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        state, metrics = step(state, batch, jax.random.key(1))
        jax.block_until_ready(metrics)
        times.append(time.perf_counter() - start)
    return times[0], min(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("batch_size", 16), ("inputs_length", 256), ("targets_length", 64), ("steps", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = vars(parser.parse_args())
    steps, result = arguments.pop("steps"), dict(arguments)
    flops = step_flops(MODEL, *arguments.values())
    for name, changes in (("scanned", {}), ("unrolled", {"scan_layers": False}), ("scanned_no_dropout", {"dropout_rate": 0.0})):
        first, step = seconds(dataclasses.replace(MODEL, **changes), arguments, steps)
        result[name] = {"compile_s": round(first, 2), "step_ms": round(1e3 * step, 1), "gflops": round(flops / step / 1e9, 1)}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
