"""Greedy decoding: the likeliest next token until EOS, in batches of few static shapes."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Int

from t0jax.batch import EOS_ID, PAD_ID
from t0jax.mesh import batch_sharding, replicated
from t0jax.model.t5 import T5

SHORTEST = 16
"""Inputs are padded to this length or its double, quadruple, ..., up to the longest one allowed."""


class Generator:
    """Answers inputs with the likeliest token at every step, at most `task_feature_lengths["targets"]` of them."""

    def __init__(
        self, model: T5, params: Any, *, task_feature_lengths: Mapping[str, int], batch_size: int = 32, mesh: Mesh | None = None
    ) -> None:
        """Longer inputs than `task_feature_lengths["inputs"]` are cut, as in training."""
        self.params = params
        self.lengths = dict(task_feature_lengths)
        ways = 1 if mesh is None else mesh.shape["data"] * mesh.shape["fsdp"]
        self.batch_size = -(-batch_size // ways) * ways
        self._sharding = None if mesh is None else batch_sharding(mesh)
        whole = None if mesh is None else replicated(mesh)
        self._run = jax.jit(partial(greedy, model, length=self.lengths["targets"]), out_shardings=whole)

    def generate(self, inputs: Sequence[Int[np.ndarray, "S"]]) -> list[Int[np.ndarray, "T"]]:
        """The answer to each input, without EOS, in the order given."""
        order = sorted(range(len(inputs)), key=lambda number: len(inputs[number]))
        answers: list[Any] = [None] * len(inputs)
        for start in range(0, len(order), self.batch_size):
            numbers = order[start : start + self.batch_size]
            tokens, segments = self._padded([inputs[number] for number in numbers])
            for number, row in zip(numbers, np.asarray(self._run(self.params, tokens, segments)), strict=False):
                ends = np.flatnonzero(row == EOS_ID)
                answers[number] = row[: ends[0]] if ends.size else row
        return answers

    def _padded(self, inputs: Sequence[Int[np.ndarray, "S"]]) -> tuple[Any, Any]:
        limit, length = self.lengths["inputs"], SHORTEST
        while length < min(limit, max(len(one) for one in inputs)):
            length *= 2
        tokens, segments = np.zeros((2, self.batch_size, min(length, limit)), np.int32)
        for row, one in enumerate(inputs):
            cut = one[:limit]
            tokens[row, : len(cut)] = cut
            segments[row, : max(1, len(cut))] = 1  # an empty input is one PAD
        if self._sharding is None:
            return tokens, segments
        return jax.device_put((tokens, segments), self._sharding)


def greedy(model: T5, params: Any, tokens: Int[Array, "B S"], segments: Int[Array, "B S"], *, length: int) -> Int[Array, "B T"]:
    """Up to `length` tokens a row; what follows a row's EOS is PAD. The decoder runs anew over all positions at each step."""
    apply = partial(model.apply, {"params": params})
    encoded = apply(tokens, segments, method="encode")
    rows = tokens.shape[0]
    ones = jnp.ones((rows, length), jnp.int32)

    def is_going(state: tuple[Array, Array, Array]) -> Array:
        step, _, is_done = state
        return (step < length) & ~is_done.all()

    def advance(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        step, answer, is_done = state
        shifted = jnp.concatenate([jnp.full((rows, 1), PAD_ID, jnp.int32), answer[:, :-1]], axis=1)
        hidden = apply(encoded, segments, shifted, ones, ones, method="decode")
        here = jax.lax.dynamic_slice_in_dim(hidden, step, 1, axis=1)
        chosen = apply(here, method="logits")[:, 0].argmax(-1).astype(jnp.int32)
        chosen = jnp.where(is_done, PAD_ID, chosen)
        answer = jax.lax.dynamic_update_slice_in_dim(answer, chosen[:, None], step, axis=1)
        return step + 1, answer, is_done | (chosen == EOS_ID)

    # A row without input (the last batch is filled up) has nothing to answer.
    start = jnp.int32(0), jnp.full((rows, length), PAD_ID, jnp.int32), segments.max(-1) == 0
    return jax.lax.while_loop(is_going, advance, start)[1]
