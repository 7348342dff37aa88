"""Several examples in one row: best fit over open rows, and rows laid out as a batch."""

import itertools
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from t0jax.batch import PAD_ID, Batch, decoder_inputs
from t0jax.data.mixing import next_of_stream
from t0jax.errors import InputError

Example = Mapping[str, np.ndarray]
"""int32 arrays `inputs` and `targets`."""


class BestFit:
    """Numbers of examples, put into rows by their sizes: input and target tokens, each within `lengths`.

    An example joins the open row that it leaves the least encoder room in; a row that it would make too long for a narrow step
    comes after all others. When none has room for it, the row that is fullest in either feature is done. With `num_open` 0
    every example is a row of its own.
    """

    def __init__(self, lengths: tuple[int, int], num_open: int, narrow_targets: int | None = None) -> None:
        self._lengths, self._beyond = np.array(lengths), lengths[0] + 1
        self._reserve = 0 if narrow_targets is None else lengths[1] - narrow_targets  # room of targets in a narrow row
        self._room = np.repeat(self._lengths[:, None], num_open, axis=1)
        self.open: list[list[int]] = [[] for _ in range(num_open)]

    def add(self, example: int, size: tuple[int, int]) -> list[int]:
        """Find a place for an example; the examples of the row that is done by that, or none."""
        if not self.open:
            return [example]
        left, targets_left = self._room[0] - size[0], self._room[1] - size[1]
        fits = (left >= 0) & (targets_left >= 0)
        if self._reserve:
            left += self._beyond * ((targets_left < self._reserve) & (self._room[1] >= self._reserve))
        row = int(np.where(fits, left, 2 * self._beyond).argmin())
        done: list[int] = []
        if not fits[row]:
            row = int((self._room / self._lengths[:, None]).min(axis=0).argmin())
            done, self.open[row], self._room[:, row] = self.open[row], [], self._lengths
        self.put(row, example, size)
        return done

    def put(self, row: int, example: int, size: tuple[int, int]) -> None:
        """Put an example into this open row."""
        self.open[row].append(example)
        self._room[0, row] -= size[0]
        self._room[1, row] -= size[1]


class Rows:
    """Endless rows, each a list of examples that fit into it together, from one stream's elements of `examples`, trimmed.

    The elements alone decide which rows there are, by BestFit; narrow steps only change their order.
    """

    def __init__(
        self,
        examples: Any,
        *,
        stream: int,
        num_streams: int,
        task_feature_lengths: Mapping[str, int],
        num_open: int,
        narrow_targets: int | None = None,
    ) -> None:
        self._examples, self._next = examples, stream
        self._stream, self._num_streams = stream, num_streams
        self._limits = (task_feature_lengths["inputs"], task_feature_lengths["targets"])
        self._empty = partial(BestFit, self._limits, num_open, narrow_targets)
        self._packer = self._empty()
        self._waiting: deque[list[int]] = deque()
        self._held: dict[int, Example] = {}

    def __iter__(self) -> "Rows":
        return self

    def __next__(self) -> list[Example]:
        return self.take(1, self._limits[1])[0]

    def take(self, number: int, targets_length: int) -> list[list[Example]]:
        """The next rows for one step. Rows of more target tokens than it has places for wait, and come first when they fit.

        An InputError when far more would wait than `shapes.shapes_for` allows for.
        """
        rows: list[list[int]] = []
        while len(rows) < number:
            is_due = bool(self._waiting) and self._targets(self._waiting[0]) <= targets_length
            row = self._waiting.popleft() if is_due else self._pack()
            if self._targets(row) <= targets_length:
                rows.append(row)
            else:
                self._waiting.append(row)
                self._check_waiting(limit=16 * number + 512)
        return [[self._held.pop(index) for index in row] for row in rows]

    def _pack(self) -> list[int]:
        """Read until a row is done."""
        while True:
            index, self._next = self._next, next_of_stream(self._next, self._stream, self._num_streams)
            if done := self._packer.add(index, self._hold(index)):
                return done

    def _hold(self, index: int) -> tuple[int, int]:
        """Read element `index`, cut as SeqIO cuts it: an end-of-sequence token beyond the length is lost. Its size."""
        example, (inputs, targets) = self._examples[index], self._limits
        held = self._held[index] = {"inputs": example["inputs"][:inputs], "targets": example["targets"][:targets]}
        return len(held["inputs"]), len(held["targets"])

    def _targets(self, row: Sequence[int]) -> int:
        return sum(len(self._held[index]["targets"]) for index in row)

    def _check_waiting(self, limit: int) -> None:
        if len(self._waiting) > limit:
            raise InputError(
                f"{len(self._waiting)} rows with more target tokens than DataConfig.narrow_targets wait for a wide step: such "
                "rows were rarer among the mixture's first examples. Resume with narrow_targets=None; no row is lost by that."
            )

    def get_state(self) -> dict[str, Any]:
        """The next element and which elements lie in each open and each waiting row, as JSON values."""
        written = {"open": self._packer.open, "waiting": self._waiting}
        return {"next": self._next, **{name: [" ".join(map(str, row)) for row in rows] for name, rows in written.items()}}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from `get_state`: the examples of the open and the waiting rows are read again."""
        self._next, self._packer, self._held = state["next"], self._empty(), {}
        for row, indices in enumerate(state["open"]):
            for index in map(int, indices.split()):
                self._packer.put(row, index, self._hold(index))
        self._waiting = deque([int(index) for index in indices.split()] for indices in state.get("waiting", ()))
        for index in itertools.chain(*self._waiting):
            self._hold(index)


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
