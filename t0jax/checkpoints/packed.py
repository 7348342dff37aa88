"""MessagePack as flax writes it: where in the file each array lies, so that one is read at a time."""

import struct
from collections.abc import Callable, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from t0jax.checkpoints.ranges import Ranges
from t0jax.checkpoints.safetensors import flat_tensor
from t0jax.checkpoints.tensor import Part, Tensor
from t0jax.errors import InputError

_ARRAY, _SCALAR = 1, 3
"""flax's extension types that hold an array: (shape, name of the dtype, bytes), itself packed."""
_WINDOW = 1 << 16
_CHUNKED = "__msgpack_chunked_array__"
_FORMATS: Mapping[int, tuple[str, str]] = {
    0xC4: ("bin", ">B"), 0xC5: ("bin", ">H"), 0xC6: ("bin", ">I"),
    0xC7: ("ext", ">B"), 0xC8: ("ext", ">H"), 0xC9: ("ext", ">I"),
    0xCA: ("number", ">f"), 0xCB: ("number", ">d"),
    0xCC: ("number", ">B"), 0xCD: ("number", ">H"), 0xCE: ("number", ">I"), 0xCF: ("number", ">Q"),
    0xD0: ("number", ">b"), 0xD1: ("number", ">h"), 0xD2: ("number", ">i"), 0xD3: ("number", ">q"),
    0xD9: ("str", ">B"), 0xDA: ("str", ">H"), 0xDB: ("str", ">I"),
    0xDC: ("array", ">H"), 0xDD: ("array", ">I"), 0xDE: ("map", ">H"), 0xDF: ("map", ">I"),
}  # fmt: skip
"""First byte -> what follows, and the number that says how much."""
_CONSTANTS: Mapping[int, Any] = {0xC0: None, 0xC2: False, 0xC3: True}


class _Reader:
    """Walks over a packed file; arrays' bytes are stepped over and never read."""

    def __init__(self, file: Ranges, at: int = 0) -> None:
        self.file, self.at = file, at
        self._begin, self._window = 0, b""

    def take(self, size: int) -> bytes:
        """The next bytes."""
        begin, stop = self.at - self._begin, self.at - self._begin + size
        if begin < 0 or stop > len(self._window):
            self._window = self.file.read(self.at, max(self.at + size, min(self.at + _WINDOW, self.file.size)))
            self._begin, begin, stop = self.at, 0, size
        self.at += size
        return self._window[begin:stop]

    def value(self) -> Any:
        """The next value."""
        first = self.take(1)[0]
        if first in _CONSTANTS:
            return _CONSTANTS[first]
        if first < 0x80 or first >= 0xE0:
            return first if first < 0x80 else first - 0x100
        kind, size = self._kind(first)
        if kind == "number":
            return size
        read: Mapping[str, Callable[[int], Any]] = {
            "map": lambda size: {self.value(): self.value() for _ in range(size)},
            "array": lambda size: [self.value() for _ in range(size)],
            "str": lambda size: self.take(size).decode(),
            "bin": self._bytes,
            "ext": self._extension,
        }
        return read[kind](size)

    def _kind(self, first: int) -> tuple[str, Any]:
        if first < 0x90:
            return "map", first & 0x0F
        if first < 0xA0:
            return "array", first & 0x0F
        if first < 0xC0:
            return "str", first & 0x1F
        if 0xD4 <= first <= 0xD8:
            return "ext", 1 << (first - 0xD4)
        if first not in _FORMATS:
            raise InputError(f"{self.file.path} is no flax checkpoint: byte {self.at - 1:,} is {first:#x}; give another file.")
        kind, format_ = _FORMATS[first]
        return kind, struct.unpack(format_, self.take(struct.calcsize(format_)))[0]

    def _bytes(self, size: int) -> tuple[int, int]:
        """Where raw bytes lie."""
        start = self.at
        self.at += size
        if self.at > self.file.size:
            raise InputError(
                f"{self.file.path} is cut short: it has {self.file.size:,} bytes, and at least {self.at:,} belong to it; "
                "copy it again."
            )
        return start, self.at

    def _extension(self, size: int) -> Any:
        kind = struct.unpack("b", self.take(1))[0]
        end = self.at + size
        if kind not in (_ARRAY, _SCALAR):
            raise InputError(f"{self.file.path} holds extension {kind} at byte {self.at:,}, which is no array: not read here.")
        shape, dtype, (start, _) = self.value()
        self.at = end
        return flat_tensor(self.file, start, tuple(shape), _dtype(dtype))


def _dtype(name: str | tuple[int, int]) -> np.dtype:
    return np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(str(name))


def _joined(tree: Mapping[str, Any]) -> Tensor:
    """An array of more than 2^30 bytes, which flax writes as several flat ones."""
    shape = tuple(int(tree["shape"][str(at)]) for at in range(len(tree["shape"])))
    chunks = [tree["chunks"][str(at)] for at in range(len(tree["chunks"]))]

    def read(part: Part) -> np.ndarray:
        row = int(np.prod(shape[1:], dtype=np.int64))
        first, last = part[0].start * row, part[0].stop * row
        pieces, at = [], 0
        for chunk in chunks:
            begin, stop = max(first - at, 0), min(last - at, chunk.size)
            if begin < stop:
                pieces.append(chunk.read((slice(begin, stop),)))
            at += chunk.size
        flat = np.concatenate(pieces) if pieces else np.zeros(0, chunks[0].dtype)
        return flat.reshape(-1, *shape[1:])[:, *part[1:]]

    return Tensor(shape, chunks[0].dtype, read)


def _with_joined(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    return _joined(tree) if _CHUNKED in tree else {name: _with_joined(value) for name, value in tree.items()}


def read_packed(file: Ranges) -> Any:
    """The tree that flax's msgpack_serialize wrote, with a `Tensor` for every array. InputError where it is cut short."""
    try:
        return _with_joined(_Reader(file).value())
    except InputError:
        raise
    except (ValueError, TypeError, KeyError, RecursionError, struct.error) as error:
        raise InputError(f"{file.path} is no flax checkpoint, or is damaged ({error}): copy it again.") from error
