"""Arrays of TensorStore: one directory each (t5x), or all in one key-value store (Orbax)."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore as ts
from etils import epath

from t0jax.checkpoints.ranges import store_url
from t0jax.checkpoints.tensor import Part, Tensor
from t0jax.errors import InputError


def stored_array(spec: Mapping[str, Any], name: str, shape: tuple[int, ...], dtype: np.dtype) -> Tensor:
    """The array that a TensorStore spec names, opened when it is first read. InputError for one that is lost or damaged."""

    @functools.cache
    def opened() -> ts.TensorStore:
        return ts.open({**spec, "fill_missing_data_reads": False}, open=True, read=True).result()

    def read(part: Part) -> np.ndarray:
        try:
            array = opened()
            if tuple(array.shape) != shape:
                raise InputError(
                    f"{_place(spec)} holds {name} as {tuple(array.shape)}, but its index says {shape}: copy it again."
                )
            return array[part].read().result()
        except ValueError as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{name} at {_place(spec)} cannot be read, a part of it is lost or damaged ({_first_line(error)}): copy the "
                "checkpoint again from its source."
            ) from error

    return Tensor(shape, dtype, read)


def _place(spec: Mapping[str, Any]) -> str:
    store = spec["kvstore"]
    return store if isinstance(store, str) else f"{store['base']}{store['path']}"


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]


def orbax_arrays(folder: epath.Path) -> dict[str, Tensor]:
    """Every array of a tree that Orbax has saved, by its keys joined with slashes."""
    tree = ocp.StandardCheckpointHandler().metadata(folder).tree
    is_one_store = (folder / "manifest.ocdbt").exists()
    arrays = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        keys = [str(getattr(entry, "key", getattr(entry, "name", getattr(entry, "idx", entry)))) for entry in path]
        name, url = ".".join(keys), store_url(folder)
        store: Any = {"driver": "ocdbt", "base": url, "path": f"{name}/"} if is_one_store else f"{url}{name}/"
        shape = tuple(getattr(leaf, "shape", ()))  # t5x may keep its step as a plain number
        arrays["/".join(keys)] = stored_array({"driver": "zarr", "kvstore": store}, name, shape, np.dtype(leaf.dtype))
    return arrays
