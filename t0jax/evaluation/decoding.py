"""One answer a row, a token at a time: the likeliest one, or one that is drawn."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from t0jax.batch import EOS_ID, PAD_ID
from t0jax.config import DecodeConfig
from t0jax.model.steps import next_logits, nothing_written, read_inputs
from t0jax.model.t5 import T5

Inputs = tuple[Int[Array, "B S"], Int[Array, "B S"], Int[Array, "B"]]
"""Tokens, segments (a row of zeros is none to be answered), and each row's number among all inputs."""
NO_TOKEN = -1
"""Stands in an answer where the logits are no numbers."""


def decode(model: T5, params: Any, inputs: Inputs, *, length: int, how: DecodeConfig) -> Int[Array, "B T"]:
    """Up to `length` tokens a row; what follows a row's EOS is PAD."""
    tokens, segments, numbers = inputs
    rows = tokens.shape[0]
    source = read_inputs(model, params, tokens, segments, length)
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(jax.random.key(how.decode_seed), numbers)

    def is_going(state: tuple[Any, ...]) -> Array:
        step, *_, is_done = state
        return (step < length) & ~is_done.all()

    def advance(state: tuple[Any, ...]) -> tuple[Any, ...]:
        step, last, answer, written, is_done = state
        logits, written = next_logits(model, params, last[:, None], source, written, step)
        chosen = jnp.where(jnp.isfinite(logits[:, 0]).all(-1), _choose(logits[:, 0], keys, step, how), NO_TOKEN)
        chosen = jnp.where(is_done, PAD_ID, chosen)
        answer = jax.lax.dynamic_update_slice_in_dim(answer, chosen[:, None], step, axis=1)
        return step + 1, chosen, answer, written, is_done | (chosen == EOS_ID)

    first = jnp.full(rows, PAD_ID, jnp.int32)
    answer = jnp.full((rows, length), PAD_ID, jnp.int32)
    state = jnp.int32(0), first, answer, nothing_written(model, rows, 1, length), segments.max(-1) == 0
    return jax.lax.while_loop(is_going, advance, state)[2]


def _choose(logits: Float[Array, "B V"], keys: Key[Array, "B"], step: Int[Array, ""], how: DecodeConfig) -> Int[Array, "B"]:
    if how.temperature == 0:
        return logits.argmax(-1).astype(jnp.int32)
    here = jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, step)
    return jax.vmap(jax.random.categorical)(here, drawable(logits, how)).astype(jnp.int32)


def drawable(logits: Float[Array, "B V"], how: DecodeConfig) -> Float[Array, "B V"]:
    """The logits by temperature, -inf where a token is not among the likeliest `topk`, and then not within `topp`."""
    logits = logits / how.temperature
    if how.topk:
        last = jax.lax.top_k(logits, min(how.topk, logits.shape[-1]))[0][:, -1:]
        logits = jnp.where(logits < last, -jnp.inf, logits)
    if how.topp:
        ranked = jnp.sort(logits, axis=-1, descending=True)
        share = jax.nn.softmax(ranked, axis=-1)
        is_kept = jnp.cumsum(share, axis=-1) - share < how.topp  # what the likelier ones have is not enough yet
        last = jnp.where(is_kept, ranked, jnp.inf).min(-1, keepdims=True)
        logits = jnp.where(logits < last, -jnp.inf, logits)
    return logits
