"""The safetensors format: eight bytes of length, a JSON header, then every tensor's bytes one after the other.

Written here and not with the library because that one wants all tensors of a file in memory at once.
"""

import json
from collections.abc import Mapping

import ml_dtypes
import numpy as np
from etils import epath

from t0jax.checkpoints.ranges import Ranges
from t0jax.checkpoints.tensor import Part, Tensor
from t0jax.errors import InputError

DTYPES: Mapping[str, np.dtype] = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
}
"""safetensors' names of what weights are stored as."""
_LARGEST_HEADER = 100_000_000


def flat_tensor(file: Ranges, start: int, shape: tuple[int, ...], dtype: np.dtype) -> Tensor:
    """A tensor whose numbers lie row by row from byte `start`; a part reads only the rows it touches."""

    def read(part: Part) -> np.ndarray:
        if not shape:
            return np.frombuffer(file.read(start, start + dtype.itemsize), dtype).reshape(())
        row = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
        raw = file.read(start + part[0].start * row, start + part[0].stop * row)
        return np.frombuffer(raw, dtype).reshape(-1, *shape[1:])[:, *part[1:]]

    return Tensor(shape, dtype, read)


def read_safetensors(path: epath.Path) -> dict[str, Tensor]:
    """The tensors of a file. InputError where it is no safetensors file, or cut short."""
    file = Ranges(path)
    length = int.from_bytes(file.read(0, 8), "little")
    if not 2 <= length <= _LARGEST_HEADER:
        raise InputError(f"{path} is no safetensors file: its header would have {length:,} bytes; give the file again.")
    try:
        header = json.loads(file.read(8, 8 + length))
        header.pop("__metadata__", None)
        entries = {name: (entry["dtype"], tuple(entry["shape"]), *entry["data_offsets"]) for name, entry in header.items()}
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no safetensors file: its header cannot be read ({error}); copy it again.") from error
    tensors = {}
    for name, (kind, shape, start, stop) in entries.items():
        if kind not in DTYPES:
            raise InputError(f"{path} stores {name} as {kind}; T5's weights are read from {', '.join(DTYPES)}.")
        size = int(np.prod(shape, dtype=np.int64)) * DTYPES[kind].itemsize
        if stop - start != size:
            raise InputError(f"{path} gives {name} {stop - start:,} bytes, but {shape} of {kind} is {size:,}: copy it again.")
        if 8 + length + stop > file.size:
            raise InputError(
                f"{path} is cut short: {name} would end at byte {8 + length + stop:,} of {file.size:,}; copy it again."
            )
        tensors[name] = flat_tensor(file, 8 + length + start, shape, DTYPES[kind])
    return tensors


def plan_safetensors(shapes: Mapping[str, tuple[int, ...]], dtype: np.dtype) -> tuple[bytes, dict[str, int], int]:
    """The head of a file of these tensors, where in the file each one begins, and the file's length."""
    kind = next(name for name, known in DTYPES.items() if known == dtype)
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}  # transformers refuses a file that does not say so
    at = 0
    for name, shape in shapes.items():
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    begin = 8 + len(text)
    starts = {name: begin + header[name]["data_offsets"][0] for name in shapes}  # type: ignore[index]
    return len(text).to_bytes(8, "little") + text, starts, begin + at
