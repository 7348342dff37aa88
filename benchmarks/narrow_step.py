"""What narrow steps save a small T5 on this machine's CPU, steps of both shapes taken in turn in one run: one JSON line.

The shares of examples and of wide steps are those of packing lengths like P3's with and without narrow steps.
"""

import json
import time

import jax
import numpy as np
from pack import LENGTHS, p3_like_lengths

from t0jax.batch import synthetic_batch
from t0jax.config import DataConfig, MeshConfig, ModelConfig, OptimizerConfig, TrainConfig
from t0jax.data.fill import pack_sizes, shapes_of
from t0jax.data.shapes import PARTS
from t0jax.mesh import make_mesh
from t0jax.model.flops import step_flops
from t0jax.training.step import initial_state, make_step

# Wide enough that, as in xl, the matmuls and not the encoder's attention take most of the time.
MODEL = ModelConfig(
    vocab_size=8192,
    emb_dim=256,
    num_heads=2,
    head_dim=64,
    mlp_dim=1024,
    num_encoder_layers=2,
    num_decoder_layers=2,
    dtype="float32",
)
NARROW, ROWS, TURNS = 128, 2, 7


def seconds_of(lengths: tuple[int, ...]) -> dict[int, float]:
    """Median seconds of a step with this many target positions, the shapes taken in turn."""
    mesh, optimizer = make_mesh(MeshConfig(), jax.devices()[:1]), OptimizerConfig()
    state = initial_state(MODEL, optimizer, mesh, jax.random.key(0))
    step = make_step(MODEL, optimizer, TrainConfig(), mesh)
    shape = {"batch_size": ROWS, "inputs_length": LENGTHS["inputs"], "vocab_size": MODEL.vocab_size, "segments": 6}
    times: dict[int, list[float]] = {length: [] for length in lengths}
    for _ in range(1 + TURNS):
        for length in lengths:
            batch = jax.device_put(synthetic_batch(**shape, targets_length=length))
            start = time.perf_counter()
            state, metrics = step(state, batch, jax.random.key(1))
            jax.block_until_ready(metrics)
            times[length].append(time.perf_counter() - start)
    return {length: float(np.median(taken[1:])) for length, taken in times.items()}  # the first one compiles


def main() -> None:
    sizes = np.stack(p3_like_lengths(20_000), axis=1)
    rows, share = {}, {}
    for narrow in (None, NARROW):
        data = DataConfig(mixture_or_task_name="", narrow_targets=narrow)
        packed = pack_sizes(sizes, data)
        rows[narrow], share[narrow] = len(packed), shapes_of(packed, data).wide_steps / PARTS
    seconds = seconds_of((LENGTHS["targets"], NARROW))
    flops = {length: step_flops(MODEL, ROWS, LENGTHS["inputs"], length) for length in seconds}

    def ratio(cost: dict[int, float]) -> float:
        """Cost of an example with narrow steps over without."""
        mean = share[NARROW] * cost[LENGTHS["targets"]] + (1 - share[NARROW]) * cost[NARROW]
        return round(mean * rows[NARROW] / (cost[LENGTHS["targets"]] * rows[None]), 4)

    line = {
        "benchmark": "narrow_step",
        "wide_share": round(share[NARROW], 4),
        "step_ms": {length: round(1e3 * taken) for length, taken in seconds.items()},
        "seconds_an_example_ratio": ratio(seconds),
        "flops_an_example_ratio": ratio(flops),
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
