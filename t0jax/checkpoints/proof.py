"""Whether two checkpoints are the same model: equal logits on fixed inputs."""

import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from t0jax.batch import synthetic_batch
from t0jax.checkpoints.form import Form
from t0jax.checkpoints.load import read_parameters
from t0jax.config import ModelConfig
from t0jax.model.parameters import abstract_parameters, count_parameters
from t0jax.model.t5 import T5

LARGEST = 400_000_000
"""Parameters of the largest model whose logits are compared: in float32, with what it computes, under 3 GB."""


def logits_of(form: Form) -> Float[np.ndarray, "B T V"]:
    """float32 logits of a fixed batch, on one device."""
    model = dataclasses.replace(form.model, dtype="float32", dropout_rate=0.0)
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), abstract_parameters(model))
    params = read_parameters(form, model, like)
    batch = synthetic_batch(batch_size=2, inputs_length=16, targets_length=8, vocab_size=model.vocab_size, segments=2, seed=0)
    fixed = {name: jnp.asarray(value) for name, value in batch.items()}
    return np.asarray(_applied(model)({"params": params}, fixed))


@functools.lru_cache(maxsize=2)
def _applied(model: ModelConfig) -> Any:
    """Compiled once for both sides."""
    return jax.jit(T5(model).apply)


def compare_logits(source: Form, destination: Form) -> dict[str, Any]:
    """What the passport says about the logits of both sides."""
    parameters = count_parameters(source.model)
    if parameters > LARGEST:
        return {"compared": False, "reason": f"{parameters:,} parameters are more than {LARGEST:,}; the hashes stand for them"}
    before, after = logits_of(source), logits_of(destination)
    largest = float(np.abs(before).max())
    difference = float(np.abs(before - after).max())
    return {
        "compared": True,
        "are_equal": bool((before == after).all()),
        "largest_difference": difference,
        "largest_logit": largest if math.isfinite(largest) else None,
    }
