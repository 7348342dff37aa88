"""Generation with kept keys and values beside a decoder without, and beside transformers: one JSON line each, of one run.

The same random float32 weights and inputs for all; seconds are the fastest of `--repeats`, after compilation. transformers runs
under the interpreter that T0JAX_HF_PYTHON names, and is left out without one.
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath

from t0jax.batch import EOS_ID, PAD_ID
from t0jax.checkpoints.forms import open_form
from t0jax.checkpoints.load import restore_parameters
from t0jax.checkpoints.names import shapes_of
from t0jax.checkpoints.plan import Plan
from t0jax.checkpoints.to_hf import HfWriter
from t0jax.config import DecodeConfig, ModelConfig
from t0jax.evaluation.beam import beam_search
from t0jax.evaluation.decoding import Inputs, decode
from t0jax.model.parameters import abstract_parameters
from t0jax.model.t5 import T5

SIZES = {
    "mini": {"vocab_size": 4096, "emb_dim": 128, "num_heads": 4, "head_dim": 32, "mlp_dim": 256},
    "small": {"vocab_size": 32_128},
    "base": {"vocab_size": 32_128, "emb_dim": 768, "num_heads": 12, "mlp_dim": 2048},
}
LAYERS = {"mini": 4, "small": 8, "base": 12}
PEER = pathlib.Path(__file__).parent / "peers/hf_generate.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="mini")
    for name, default in (("rows", 16), ("inputs_length", 128), ("targets_length", 48), ("beams", 4), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    layers = {f"num_{stack}_layers": LAYERS[given.size] for stack in ("encoder", "decoder")}
    config = ModelConfig(**SIZES[given.size], **layers, dtype="float32", dropout_rate=0.0)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_random(folder / "hf", config)
        for line in measured(given, T5(config), folder):
            print(json.dumps({"benchmark": "generate", **vars(given), **line}), flush=True)


def write_random(folder: pathlib.Path, config: ModelConfig) -> None:
    """Weights in transformers' form, of about the size that T5's have."""
    folder.mkdir()
    writer = HfWriter(epath.Path(folder), Plan(kind="hf", model=config, dtype="float32", step=0, slots={}))
    random = np.random.default_rng(0)
    for name, shape in shapes_of(config).items():
        size = 1.0 if "embedding" in name else shape[0] ** -0.5
        size *= config.head_dim**-0.5 if "query" in name else 1.0
        writer.put(name, np.ones(shape, np.float32) if len(shape) == 1 else size * random.standard_normal(shape, np.float32))
    writer.finish()


def measured(given: argparse.Namespace, model: T5, folder: pathlib.Path) -> Iterator[dict[str, Any]]:
    params = restore_parameters(open_form(str(folder / "hf")), model.config, placed(model.config))
    inputs = rows_of(given, model.config.vocab_size)
    length, beams = given.targets_length, DecodeConfig(num_decodes=given.beams, alpha=1.0, beam_rules="transformers")
    systems: dict[str, Callable[..., Any]] = {
        "no cache, greedy": partial(uncached, model, length=length),
        "t0jax, greedy": partial(decode, model, length=length, how=DecodeConfig()),
        "t0jax, beams": partial(beam_search, model, length=length, how=beams),
    }
    found: dict[str, tuple[float, np.ndarray]] = {}
    for name, system in systems.items():
        found[name] = timed(jax.jit(system), params, inputs, given.repeats)
    if python := os.environ.get("T0JAX_HF_PYTHON"):
        for kind, width in (("greedy", 1), ("beams", given.beams)):
            found[f"transformers, {kind}"] = transformers(python, folder, inputs[0], width, given)
    for name, (seconds, answers) in found.items():
        ours = found[f"t0jax, {name.rpartition(' ')[2]}"]
        tokens = int((answers != PAD_ID).sum())
        line = {"system": name, "seconds": round(seconds, 3), "times_ours": round(seconds / ours[0], 2), "tokens": tokens}
        yield line | {"equal_answers": int((answers == ours[1]).all(1).sum())}


def placed(config: ModelConfig) -> Any:
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), abstract_parameters(config))


def rows_of(given: argparse.Namespace, vocab_size: int) -> Inputs:
    """Inputs of half the length to all of it."""
    random = np.random.default_rng(0)
    lengths = random.integers(given.inputs_length // 2, given.inputs_length + 1, given.rows)
    segments = (np.arange(given.inputs_length)[None] < lengths[:, None]).astype(np.int32)
    tokens = random.integers(3, vocab_size, segments.shape).astype(np.int32) * segments
    return jnp.asarray(tokens), jnp.asarray(segments), jnp.arange(given.rows, dtype=jnp.int32)


def timed(run: Callable[..., Any], params: Any, inputs: Inputs, repeats: int) -> tuple[float, np.ndarray]:
    times = []
    for _ in range(repeats + 1):  # the first compiles
        start = time.perf_counter()
        answers = np.asarray(run(params, inputs))
        times.append(time.perf_counter() - start)
    return min(times[1:]), answers


def transformers(
    python: str, folder: pathlib.Path, tokens: Any, beams: int, given: argparse.Namespace
) -> tuple[float, np.ndarray]:
    rows, out = folder / "rows.npz", folder / "out.npz"
    np.savez(rows, tokens=np.asarray(tokens), beams=beams, length=given.targets_length, repeats=given.repeats)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python, str(PEER), str(folder / "hf"), str(rows), str(out)]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = np.load(out)
    has_ended = np.cumsum(found["answers"] == EOS_ID, axis=1) - (found["answers"] == EOS_ID) > 0
    return float(found["seconds"]), np.where(has_ended, PAD_ID, found["answers"])  # beams are filled up with EOS there


def uncached(model: T5, params: Any, inputs: Inputs, *, length: int) -> jax.Array:
    """Greedy answers by a decoder that runs anew over all positions at each step."""
    apply = partial(model.apply, {"params": params})
    tokens, segments, _ = inputs
    encoded = apply(tokens, segments, method="encode")
    ones = jnp.ones((tokens.shape[0], length), jnp.int32)

    def advance(state: tuple[Any, ...]) -> tuple[Any, ...]:
        step, answer, is_done = state
        shifted = jnp.pad(answer[:, :-1], ((0, 0), (1, 0)))
        hidden = apply(encoded, segments, shifted, ones, ones, method="decode")
        logits = apply(jax.lax.dynamic_slice_in_dim(hidden, step, 1, axis=1), method="logits")
        chosen = jnp.where(is_done, PAD_ID, logits[:, 0].argmax(-1).astype(jnp.int32))
        answer = jax.lax.dynamic_update_slice_in_dim(answer, chosen[:, None], step, axis=1)
        return step + 1, answer, is_done | (chosen == EOS_ID)

    start = jnp.int32(0), jnp.zeros_like(ones), jnp.zeros(tokens.shape[0], bool)
    return jax.lax.while_loop(lambda state: (state[0] < length) & ~state[2].all(), advance, start)[1]


if __name__ == "__main__":
    main()
