"""Beam search as t5x does it, or as transformers does: the same search under different rules of when a beam is finished."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from t0jax.batch import EOS_ID, PAD_ID
from t0jax.config import DecodeConfig
from t0jax.evaluation.decoding import NO_TOKEN, Inputs
from t0jax.model.attention import KeyValues
from t0jax.model.steps import Source, next_logits, nothing_written, read_inputs
from t0jax.model.t5 import T5

NEVER = -1e7
"""A log-probability below any other."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Beams:
    """N beams of every row, best first, the live ones and the best finished ones."""

    step: Int[Array, ""]
    live: Int[Array, "B N T"]
    live_logp: Float[Array, "B N"]
    finished: Int[Array, "B N T"]
    scores: Float[Array, "B N"]
    """Of the finished ones, by their lengths; NEVER: a place that is free."""
    is_open: Bool[Array, "B"]
    """Whether a live beam can still become better than a finished one."""
    written: KeyValues


def beam_search(model: T5, params: Any, inputs: Inputs, *, length: int, how: DecodeConfig) -> Int[Array, "B T"]:
    """The best answer of up to `length` tokens of each row; what follows its EOS is PAD."""
    tokens, segments, _ = inputs
    rows, beams = tokens.shape[0], how.num_decodes
    source = read_inputs(model, params, tokens, segments, length)
    nothing = jnp.full((rows, beams, length), PAD_ID, jnp.int32)
    start = Beams(
        step=jnp.int32(0),
        live=nothing,
        live_logp=jnp.broadcast_to(jnp.where(jnp.arange(beams) == 0, 0.0, NEVER)[None], (rows, beams)),  # all are alike yet
        finished=nothing,
        scores=jnp.full((rows, beams), NEVER),
        is_open=segments.max(-1) > 0,
        written=nothing_written(model, rows, beams, length),
    )
    state = jax.lax.while_loop(
        lambda state: (state.step < length) & state.is_open.any(), partial(_advance, model, params, source, how), start
    )
    has_ended = state.scores[:, :1] > NEVER
    return jnp.where(has_ended, state.finished[:, 0], state.live[:, 0])


def _advance(model: T5, params: Any, source: Source, how: DecodeConfig, state: Beams) -> Beams:
    beams, length = how.num_decodes, state.live.shape[-1]
    before = jax.lax.dynamic_index_in_dim(state.live, jnp.maximum(state.step - 1, 0), axis=2, keepdims=False)
    last = jnp.where(state.step == 0, PAD_ID, before)
    logits, written = next_logits(model, params, last, source, state.written, state.step)
    logp = jax.nn.log_softmax(logits, axis=-1) + state.live_logp[..., None]

    # Twice as many candidates as beams: even if one of each beam's is its end, enough go on.
    logp, places = jax.lax.top_k(logp.reshape(logp.shape[0], -1), 2 * beams)
    parents, tokens = jnp.divmod(places, logits.shape[-1])
    tokens = jnp.where(jnp.isnan(logp), NO_TOKEN, tokens)
    candidates = jax.lax.dynamic_update_slice_in_dim(_of(state.live, parents), tokens[..., None], state.step, axis=2)
    ends = finishes = tokens == EOS_ID
    if how.beam_rules == "transformers":
        ends = ends | (state.step + 1 == length)
        finishes = ends & (jnp.arange(2 * beams) < beams)[None]

    new = jnp.where(finishes & state.is_open[:, None], logp / _brevity(state.step + 1, how), NEVER)
    scores, best = jax.lax.top_k(jnp.concatenate([state.scores, new], axis=1), beams)
    finished = _of(jnp.concatenate([state.finished, candidates], axis=1), best)
    live_logp, going = jax.lax.top_k(jnp.where(ends, NEVER, logp), beams)
    kept = jnp.take_along_axis(parents, going, axis=1)
    # t5x compares with what the best could come to at the end (its end is one later), transformers with what it is now.
    reach = length + 1 if how.beam_rules == "t5x" else state.step + 1
    hope = live_logp[:, :1] / _brevity(reach, how)
    return Beams(
        step=state.step + 1,
        live=_of(candidates, going),
        live_logp=live_logp,
        finished=finished,
        scores=scores,
        is_open=state.is_open & (scores <= hope).any(1),
        written=jax.tree.map(lambda held: _of(held, kept, axis=1), written),
    )


def _of(held: Shaped[Array, "..."], beams: Int[Array, "B M"], axis: int = 0) -> Shaped[Array, "..."]:
    """Of every row its `beams`: the rows lie along `axis`, their beams along the next."""
    return jax.vmap(lambda row, chosen: jnp.take(row, chosen, axis=axis), in_axes=(axis, 0), out_axes=axis)(held, beams)


def _brevity(length: Int[Array, ""] | int, how: DecodeConfig) -> Float[Array, ""]:
    """What the log-probability of so many tokens, EOS included, is divided by."""
    tokens = jnp.float32(length)
    return (tokens if how.beam_rules == "transformers" else (5.0 + tokens) / 6.0) ** how.alpha
