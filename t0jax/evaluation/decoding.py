"""One answer a row, a token at a time: the likeliest one."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from t0jax.batch import EOS_ID, PAD_ID
from t0jax.model.steps import next_logits, nothing_written, read_inputs
from t0jax.model.t5 import T5


def decode(model: T5, params: Any, tokens: Int[Array, "B S"], segments: Int[Array, "B S"], *, length: int) -> Int[Array, "B T"]:
    """Up to `length` tokens a row; what follows a row's EOS is PAD."""
    rows = tokens.shape[0]
    source = read_inputs(model, params, tokens, segments, length)

    def is_going(state: tuple[Any, ...]) -> Array:
        step, *_, is_done = state
        return (step < length) & ~is_done.all()

    def advance(state: tuple[Any, ...]) -> tuple[Any, ...]:
        step, last, answer, written, is_done = state
        logits, written = next_logits(model, params, last[:, None], source, written, step)
        chosen = jnp.where(is_done, PAD_ID, logits[:, 0].argmax(-1).astype(jnp.int32))
        answer = jax.lax.dynamic_update_slice_in_dim(answer, chosen[:, None], step, axis=1)
        return step + 1, chosen, answer, written, is_done | (chosen == EOS_ID)

    # A row without input (the last batch is filled up) has nothing to answer.
    first = jnp.full(rows, PAD_ID, jnp.int32)
    answer = jnp.full((rows, length), PAD_ID, jnp.int32)
    state = jnp.int32(0), first, answer, nothing_written(model, rows, 1, length), segments.max(-1) == 0
    return jax.lax.while_loop(is_going, advance, state)[2]
