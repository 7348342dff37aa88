"""Answers to inputs in batches of few static shapes: the likeliest next token until EOS."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Int

from t0jax.batch import EOS_ID
from t0jax.evaluation.decoding import decode
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
        self._run = jax.jit(partial(decode, model, length=self.lengths["targets"]), out_shardings=whole)

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
