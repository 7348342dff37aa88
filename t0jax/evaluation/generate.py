"""Answers to inputs, in batches of few static shapes: greedy, drawn or by beams."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Int

from t0jax.batch import EOS_ID
from t0jax.config import DecodeConfig
from t0jax.errors import InputError
from t0jax.evaluation.beam import beam_search
from t0jax.evaluation.decoding import NO_TOKEN, Inputs, decode
from t0jax.mesh import batch_sharding, replicated
from t0jax.model.t5 import T5

SHORTEST = 16
"""Inputs are padded to this length or its double, quadruple, ..., up to the longest one allowed."""


class Generator:
    """Answers inputs as a `DecodeConfig` says; by default with the likeliest token at every step."""

    def __init__(
        self,
        model: T5,
        params: Any,
        how: DecodeConfig | None = None,
        *,
        task_feature_lengths: Mapping[str, int],
        batch_size: int = 32,
        mesh: Mesh | None = None,
    ) -> None:
        """Longer inputs than `task_feature_lengths["inputs"]` are cut, as in training; `batch_size` counts beams."""
        how = how or DecodeConfig()
        self.params = params
        self.limit = task_feature_lengths["inputs"]
        self.length = how.max_decode_len or task_feature_lengths["targets"]
        ways = 1 if mesh is None else mesh.shape["data"] * mesh.shape["fsdp"]
        self.batch_size = -(-max(1, batch_size // how.num_decodes) // ways) * ways
        self._sharding = None if mesh is None else batch_sharding(mesh)
        whole = None if mesh is None else replicated(mesh)
        search = decode if how.num_decodes == 1 else beam_search
        self._run = jax.jit(partial(search, model, length=self.length, how=how), out_shardings=whole)

    def generate(
        self, inputs: Sequence[Int[np.ndarray, "S"]], on_progress: Callable[[int], None] = lambda answers: None
    ) -> list[Int[np.ndarray, "T"]]:
        """The answer to each input, without EOS, in the order given; `on_progress` hears how many more are done."""
        order = sorted(range(len(inputs)), key=lambda number: len(inputs[number]))
        answers: list[Any] = [None] * len(inputs)
        for start in range(0, len(order), self.batch_size):
            numbers = order[start : start + self.batch_size]
            rows = np.asarray(self._run(self.params, self._padded(inputs, numbers)))
            if (rows == NO_TOKEN).any():
                raise InputError("The model's logits are no numbers: its training has diverged; take an earlier checkpoint.")
            for number, row in zip(numbers, rows, strict=False):
                ends = np.flatnonzero(row == EOS_ID)
                answers[number] = row[: ends[0]] if ends.size else row
            on_progress(len(numbers))
        return answers

    def _padded(self, inputs: Sequence[Int[np.ndarray, "S"]], numbers: Sequence[int]) -> Inputs:
        length = SHORTEST
        while length < min(self.limit, max(len(inputs[number]) for number in numbers)):
            length *= 2
        tokens, segments = np.zeros((2, self.batch_size, min(length, self.limit)), np.int32)
        for row, number in enumerate(numbers):
            cut = inputs[number][: self.limit]
            tokens[row, : len(cut)] = cut
            segments[row, : max(1, len(cut))] = 1  # an empty input is one PAD
        arrays: Any = tokens, segments, np.resize(np.array(numbers, np.int32), self.batch_size)
        return arrays if self._sharding is None else jax.device_put(arrays, self._sharding)
