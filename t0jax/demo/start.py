"""Where the demonstration's training begins: random parameters whose attention can already find equal tokens and neighbours.

T0 begins with a T5 that has read a large corpus; minutes on a laptop cannot buy one. This starting point stands in for it. It
knows no word and no task: it is a structured random initialisation (after Trockman & Kolter, "Mimetic initialization", 2023),
and everything in it is trained.
"""

import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Float

from t0jax.checkpoints.orbax import Checkpoints
from t0jax.config import ModelConfig, Run
from t0jax.mesh import make_mesh
from t0jax.training.step import initial_state

_NOISE = 0.2  # what keeps keys from being their queries, and outputs from undoing values, exactly
_SLOPE = 0.5  # of a local head's bias, per position
_REACH = 10  # positions, beyond which all are equally far
_RIGHT = 3.0  # by how much every second local head prefers the left
_SELF = -4.0  # nobody needs to find itself


def write_start(run: Run, folder: Path) -> None:
    """Write `folder/checkpoint_0`: the run's fresh parameters with `structured` attention."""
    mesh = make_mesh(run.mesh)
    state = initial_state(run.model, run.optimizer, mesh, jax.random.key(run.train.random_seed))
    fresh = structured(run.model, jax.device_get(state.params), run.train.random_seed)
    params = jax.tree.map(lambda new, old: jax.device_put(jnp.asarray(new), old.sharding), fresh, state.params)
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(0, state.replace(params=params), {}, {"config.gin": ""})
        checkpoints.wait()


def structured(model: ModelConfig, params: Any, seed: int) -> dict[str, Any]:
    """Parameters with new attention weights; `params` are stacked or not, as the model has them."""
    random = np.random.default_rng(seed)
    leaves = {path: np.array(leaf) for path, leaf in flatten_dict(params).items()}
    for path in sorted(path[:-2] for path in leaves if path[-2:] == ("query", "kernel")):
        weights = [leaves[(*path, name, "kernel")] for name in ("query", "key", "value", "out")]
        layers = zip(*weights, strict=True) if weights[0].ndim == 3 else [tuple(weights)]
        for query, key, value, out in layers:
            _match(model, query, key, random, is_self="encoder_decoder_attention" not in path)
            _copy(value, out, random)
    for stack in ("encoder", "decoder"):
        table = leaves[(stack, "relpos_bias", "rel_embedding")]
        table[...] = _position_bias(model, is_bidirectional=stack == "encoder")
    return unflatten_dict(leaves)


def _match(model: ModelConfig, query: np.ndarray, key: np.ndarray, random: np.random.Generator, *, is_self: bool) -> None:
    """Keys near their queries: equal tokens attend to each other. Local heads of self-attention ask for little instead."""
    scale = 1 / math.sqrt(query.shape[0])
    local = _local_heads(model) * model.head_dim if is_self else 0
    query[...] = random.normal(0, scale, query.shape)
    key[...] = query + random.normal(0, _NOISE * scale, key.shape)
    query[:, :local] = random.normal(0, 0.3 * scale, query[:, :local].shape)
    key[:, :local] = random.normal(0, scale, key[:, :local].shape)
    query /= math.sqrt(model.head_dim)  # T5 has no 1/sqrt(head_dim) in its attention


def _copy(value: np.ndarray, out: np.ndarray, random: np.random.Generator) -> None:
    """The output undoes the values: what is attended to is copied."""
    tall = random.normal(size=(max(value.shape), min(value.shape)))
    orthogonal = np.linalg.qr(tall)[0]
    value[...] = orthogonal if orthogonal.shape == value.shape else orthogonal.T
    out[...] = value.T + random.normal(0, _NOISE / math.sqrt(out.shape[0]), out.shape)


def _position_bias(model: ModelConfig, *, is_bidirectional: bool) -> Float[np.ndarray, "H buckets"]:
    """Local heads fall off with the distance; in the encoder every second one looks to the left."""
    buckets = model.relpos_buckets
    bias = np.zeros((model.num_heads, buckets), np.float32)
    reach = buckets // 2 if is_bidirectional else buckets
    fall = -_SLOPE * np.minimum(np.arange(reach), _REACH)
    for head in range(_local_heads(model)):
        bias[head, :reach] = fall
        if is_bidirectional:
            bias[head, reach:] = fall - (_RIGHT if head % 2 == 0 else 0)
    if is_bidirectional:
        bias[:, 0] = _SELF
    return bias


def _local_heads(model: ModelConfig) -> int:
    """Half of the heads."""
    return model.num_heads // 2
