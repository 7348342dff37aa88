"""The decoder a step at a time gives what the decoder over all positions gives."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_run import MODEL

from t0jax.config import MeshConfig, ModelConfig
from t0jax.mesh import constrain_to, make_mesh, sharding_of
from t0jax.model.parameters import init_parameters, logical_axes
from t0jax.model.steps import next_logits, nothing_written, read_inputs
from t0jax.model.t5 import T5

ANSWERS, LENGTH = 3, 7
CLOSE = {"float32": 2e-6, "bfloat16": 2e-2}
"""Of the largest logit: sums in another order."""


def config(**changes) -> ModelConfig:
    return dataclasses.replace(MODEL, num_encoder_layers=2, num_decoder_layers=3, **changes)


@functools.cache
def batch() -> tuple[np.ndarray, ...]:
    """Inputs and their segments (8 rows, the last one empty), and three answers to each."""
    random = np.random.default_rng(0)
    tokens, answers = random.integers(2, 64, (8, 16)), random.integers(2, 64, (8, ANSWERS, LENGTH))
    lengths = np.array([16, 1, 5, 9, 3, 12, 8, 0])
    segments = np.arange(16)[None] < lengths[:, None]
    answers[:, :, 0] = 0
    return (tokens * segments).astype(np.int32), segments.astype(np.int32), answers.astype(np.int32)


@functools.partial(jax.jit, static_argnums=0)
def stepwise(model: T5, params, tokens, segments, answers):
    """The logits of every position, B N T V, from one step after the other."""
    source = read_inputs(model, params, tokens, segments, LENGTH)

    def step(written, number):
        logits, written = next_logits(model, params, answers[:, :, number], source, written, number)
        return written, logits

    return jnp.moveaxis(jax.lax.scan(step, nothing_written(model, len(tokens), ANSWERS, LENGTH), jnp.arange(LENGTH))[1], 0, 2)


@functools.partial(jax.jit, static_argnums=0)
def at_once(model: T5, params, tokens, segments, answers):
    """The same from the whole network, a row for each answer."""
    inputs = {"encoder_input_tokens": tokens, "encoder_segment_ids": segments}
    rows = {name: jnp.repeat(array, ANSWERS, axis=0) for name, array in inputs.items()}
    flat = answers.reshape(-1, LENGTH)
    logits = model.apply({"params": params}, rows | {"decoder_input_tokens": flat, "decoder_segment_ids": jnp.ones_like(flat)})
    return logits.reshape(*answers.shape, -1)


@pytest.mark.parametrize(
    ("dtype", "scan_layers", "is_tied"),
    [("float32", True, False), ("float32", False, True), ("bfloat16", True, False), ("bfloat16", False, False)],
)
def test_steps_equal_the_decoder_over_all_positions(dtype: str, scan_layers: bool, is_tied: bool) -> None:
    model = T5(config(dtype=dtype, scan_layers=scan_layers, logits_via_embedding=is_tied))
    params = jax.jit(functools.partial(init_parameters, model.config))(jax.random.key(0))
    real = batch()[1].max(-1) > 0
    steps, whole = (np.asarray(run(model, params, *batch()))[real] for run in (stepwise, at_once))
    assert np.abs(steps - whole).max() < CLOSE[dtype] * np.abs(whole).max()
    assert (
        np.abs(whole[:, 0] - whole[:, 1]).max() > 0.1 * np.abs(whole).max()
    )  # answers differ, so mixing them up would be seen


@pytest.mark.parametrize("scan_layers", [True, False])
def test_steps_on_a_mesh_equal_one_device(scan_layers: bool) -> None:
    mesh, alone = make_mesh(MeshConfig(data=2, fsdp=2, tensor=2)), T5(config(scan_layers=scan_layers))
    make = functools.partial(init_parameters, alone.config)
    params = jax.jit(make, out_shardings=sharding_of(mesh, logical_axes(alone.config)))(jax.random.key(0))
    spread = stepwise(T5(alone.config, constrain_to(mesh)), params, *batch())
    whole = np.asarray(stepwise(alone, jax.tree.map(np.asarray, params), *batch()))
    assert np.abs(np.asarray(spread) - whole).max() < CLOSE["float32"] * np.abs(whole).max()
