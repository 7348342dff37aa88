"""Several examples in one row: best fit over open rows, and rows laid out as a batch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from t0jax.batch import PAD_ID, Batch, decoder_inputs
from t0jax.data.mixing import next_of_stream

Example = Mapping[str, np.ndarray]
"""int32 arrays `inputs` and `targets`."""


class Rows:
    """Endless rows, each a list of examples that fit into it together, from one stream's elements of `examples`, trimmed.

    An example joins the open row that it leaves the least encoder room in. When none has room for it, the row that is fullest
    in either feature is done. With `num_open` 0 every example is a row of its own.
    """

    def __init__(
        self, examples: Any, *, stream: int, num_streams: int, task_feature_lengths: Mapping[str, int], num_open: int
    ) -> None:
        self._examples, self._next = examples, stream
        self._stream, self._num_streams = stream, num_streams
        self._limits = (task_feature_lengths["inputs"], task_feature_lengths["targets"])
        self._lengths = np.array(self._limits)
        self._open: list[list[int]] = [[] for _ in range(num_open)]
        self._held: dict[int, Example] = {}
        self._room = np.repeat(self._lengths[:, None], num_open, axis=1)

    def __iter__(self) -> "Rows":
        return self

    def __next__(self) -> list[Example]:
        while True:
            index, self._next = self._next, next_of_stream(self._next, self._stream, self._num_streams)
            example = self._read(index)
            if not self._open:
                return [example]
            size = (len(example["inputs"]), len(example["targets"]))
            left = self._room[0] - size[0]
            fits = (left >= 0) & (self._room[1] >= size[1])
            row = int(np.where(fits, left, self._lengths[0] + 1).argmin())
            done: list[Example] = []
            if not fits[row]:
                row = int((self._room / self._lengths[:, None]).min(axis=0).argmin())
                done = [self._held.pop(index) for index in self._open[row]]
                self._open[row], self._room[:, row] = [], self._lengths
            self._put(row, index, example)
            if done:
                return done

    def _read(self, index: int) -> Example:
        """Element `index`, cut to a row's lengths as SeqIO cuts it: an end-of-sequence token beyond them is lost."""
        example, (inputs, targets) = self._examples[index], self._limits
        return {"inputs": example["inputs"][:inputs], "targets": example["targets"][:targets]}

    def _put(self, row: int, index: int, example: Example) -> None:
        self._open[row].append(index)
        self._held[index] = example
        self._room[0, row] -= len(example["inputs"])
        self._room[1, row] -= len(example["targets"])

    def get_state(self) -> dict[str, Any]:
        """The next element and which elements lie in each open row, as JSON values."""
        return {"next": self._next, "open": [" ".join(map(str, row)) for row in self._open]}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from `get_state`: the examples of the open rows are read again."""
        self._next = state["next"]
        self._open, self._held = [[] for _ in state["open"]], {}
        self._room = np.repeat(self._lengths[:, None], len(self._open), axis=1)
        for row, indices in enumerate(state["open"]):
            for index in map(int, indices.split()):
                self._put(row, index, self._read(index))


def _lay_out(rows: Sequence[Sequence[np.ndarray]], length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens, segment ids (from 1) and positions, each (len(rows), length), of rows of token sequences."""
    parts = [part for row in rows for part in row]
    sizes = np.array([len(part) for part in parts], np.int64)
    per_row = np.array([len(row) for row in rows], np.int64)
    first = np.cumsum(per_row) - per_row  # each row's first part
    begins = np.cumsum(sizes) - sizes
    row_of_part = np.repeat(np.arange(len(rows)), per_row)
    segment = np.arange(len(parts)) - first[row_of_part] + 1
    start = begins - begins[first[row_of_part]]
    position = np.arange(int(sizes.sum())) - np.repeat(begins, sizes)
    place = np.repeat(row_of_part * length + start, sizes) + position
    laid_out = []
    for values in (np.concatenate(parts), np.repeat(segment, sizes), position):
        flat = np.zeros(len(rows) * length, np.int32)
        flat[place] = values
        laid_out.append(flat.reshape(len(rows), length))
    return laid_out[0], laid_out[1], laid_out[2]


def batch_rows(rows: Sequence[Sequence[Example]], task_feature_lengths: Mapping[str, int]) -> Batch:
    """The batch of `rows`, under batch.FEATURES; a target token counts in the loss unless it is padding."""
    inputs = _lay_out([[example["inputs"] for example in row] for row in rows], task_feature_lengths["inputs"])
    targets = _lay_out([[example["targets"] for example in row] for row in rows], task_feature_lengths["targets"])
    return {
        "encoder_input_tokens": inputs[0],
        "encoder_segment_ids": inputs[1],
        "encoder_positions": inputs[2],
        "decoder_input_tokens": decoder_inputs(targets[0], targets[1]),
        "decoder_target_tokens": targets[0],
        "decoder_loss_weights": (targets[0] != PAD_ID).astype(np.int32),
        "decoder_segment_ids": targets[1],
        "decoder_positions": targets[2],
    }
