"""Reading torch.save's files without torch: a zip whose pickle may name tensors and nothing else."""

import collections
import pickle
import zipfile
from typing import Any, NoReturn

import ml_dtypes
import numpy as np
from etils import epath

from t0jax.checkpoints.ranges import Ranges
from t0jax.checkpoints.safetensors import flat_tensor
from t0jax.checkpoints.tensor import Tensor
from t0jax.errors import InputError

_STORAGES = {
    "FloatStorage": np.dtype(np.float32),
    "DoubleStorage": np.dtype(np.float64),
    "HalfStorage": np.dtype(np.float16),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
}
_LOCAL_HEADER = 30
"""Bytes of a zip entry's own header before its name and extra field, whose lengths stand in its last four bytes."""


class _Refused(pickle.UnpicklingError):
    """The pickle asked for something that no weights need."""


class _Unpickler(pickle.Unpickler):
    """Knows the three functions that a state_dict needs; a pickle that names any other is refused before it runs."""

    def __init__(self, stream: Any, storage: Any) -> None:
        super().__init__(stream)
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        """Only what tensors are made of."""
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, requires_grad, hooks: tensor
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise _Refused(f"{module}.{name}")

    def persistent_load(self, reference: Any) -> Any:
        """('storage', dtype, key, device, number of elements) -> what `_rebuild` takes."""
        kind, dtype, key, _, size = reference
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise _Refused(str(kind))
        return self._storage(dtype, str(key), int(size))


def _rebuild(storage: Any, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    """A tensor that lies row by row, or a transposed matrix that does."""
    file, start, dtype, size = storage
    shape, stride = tuple(shape), tuple(stride)
    count = int(np.prod(shape, dtype=np.int64))
    if offset < 0 or offset + count > size:
        raise _Refused(f"a tensor of {count} numbers at {offset} in a storage of {size}")
    begin = start + offset * dtype.itemsize
    if stride == _row_by_row(shape):
        return flat_tensor(file, begin, shape, dtype)
    if stride[::-1] == _row_by_row(shape[::-1]):
        return flat_tensor(file, begin, shape[::-1], dtype).transposed()
    raise _Refused(f"a tensor with strides {stride} for the shape {shape}")


def _row_by_row(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(np.prod(shape[axis + 1 :], dtype=np.int64)) for axis in range(len(shape)))


def read_torch(path: epath.Path) -> dict[str, Tensor]:
    """The tensors of a state_dict. InputError for a file of torch before 1.6, a damaged one, or one that holds more."""
    file = Ranges(path)
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            index = next(name for name in entries if name.endswith("/data.pkl"))
            folder = index.removesuffix("data.pkl")

            def storage(dtype: np.dtype, key: str, size: int) -> tuple[Ranges, int, np.dtype, int]:
                entry = entries[f"{folder}data/{key}"]
                if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != size * dtype.itemsize:
                    raise _Refused(f"a storage of {entry.file_size} bytes where {size} of {dtype.name} belong")
                lengths = file.read(entry.header_offset, entry.header_offset + _LOCAL_HEADER)[-4:]
                name, extra = (int.from_bytes(lengths[at : at + 2], "little") for at in (0, 2))
                return file, entry.header_offset + _LOCAL_HEADER + name + extra, dtype, size

            with archive.open(index) as stream_of_index:
                state = _Unpickler(stream_of_index, storage).load()
    except InputError:
        raise
    except zipfile.BadZipFile as error:
        _refuse(path, f"no zip file ({error}): it is cut short, or older than torch 1.6", error)
    except _Refused as error:
        _refuse(path, f"refused, it asks for {error}, which weights do not need", error)
    except (
        pickle.UnpicklingError,
        StopIteration,
        KeyError,
        EOFError,
        TypeError,
        ValueError,
        IndexError,
        AttributeError,
    ) as error:
        _refuse(path, f"no state_dict ({type(error).__name__}: {error})", error)
    if not isinstance(state, dict) or not all(isinstance(one, Tensor) for one in state.values()):
        raise InputError(f"{path} holds something else than a state_dict of tensors: give the weights of a T5.")
    return dict(state)


def _refuse(path: epath.Path, reason: str, error: Exception) -> NoReturn:
    raise InputError(
        f"{path} is {reason}: give the same model as model.safetensors, or save it so with transformers (save_pretrained)."
    ) from error
