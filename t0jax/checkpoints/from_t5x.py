"""Reading t5x's native form: a MessagePack index, whose arrays lie in it or in TensorStore directories beside it."""

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
from etils import epath

from t0jax.checkpoints.arrays import stored_array
from t0jax.checkpoints.form import Form
from t0jax.checkpoints.from_orbax import slots_of
from t0jax.checkpoints.packed import read_packed
from t0jax.checkpoints.ranges import Ranges, store_url
from t0jax.checkpoints.tensor import Tensor, in_memory
from t0jax.errors import InputError

INDEX = "checkpoint"
_OF_TENSORFLOW = b"model_checkpoint_path"
_VERSIONS = (2, 3)


def native_form(path: epath.Path) -> Form:
    """A `checkpoint_<step>` folder of t5x's, or the one file of a small old checkpoint."""
    index = path / INDEX if path.is_dir() else path
    file = Ranges(index)
    if file.read(0, min(len(_OF_TENSORFLOW), file.size)) == _OF_TENSORFLOW:
        raise InputError(f"{path} is a TensorFlow checkpoint of Mesh TensorFlow's T5: convert it with t5x to t5x's form first.")
    content = read_packed(file)
    if not isinstance(content, dict) or not isinstance(content.get("optimizer"), dict):
        raise InputError(f"{index} is no t5x checkpoint: it does not hold version and optimizer; give another file.")
    version = content.get("version")
    if version not in _VERSIONS:
        raise InputError(f"{index} is of version {version}; versions {_VERSIONS} are read: save it again with a newer t5x.")
    leaves = _leaves(content["optimizer"], index.parent)
    target = _below(leaves, "target/")
    inside = sum(name.startswith("target/") for name, is_inside in _where(content["optimizer"]).items() if is_inside)
    layout = f"t5x's native form, {inside} arrays in the index, {len(target) - inside} in directories"
    step = leaves.get("state/step")
    if step is None:
        raise InputError(f"{index} has no step: it is no t5x checkpoint of version 3; give another.")
    return Form(path, "t5x", layout, int(step.read()), target, slots_of(_below(leaves, "state/")))


def _below(leaves: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in leaves.items() if name.startswith(prefix)}


def _is_spec(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() >= {"driver", "kvstore", "metadata"}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict) and not _is_spec(value):
            flat |= _flat(value, f"{prefix}{name}/")
        elif value is not None:  # a parameter that no optimizer updates
            flat[f"{prefix}{name}"] = value
    return flat


def _where(tree: Mapping[str, Any]) -> dict[str, bool]:
    """Whether each leaf lies in the index itself."""
    return {name: not _is_spec(value) for name, value in _flat(tree).items()}


def _leaves(tree: Mapping[str, Any], folder: epath.Path) -> dict[str, Tensor]:
    return {name: _leaf(name, value, folder) for name, value in _flat(tree).items()}


def _leaf(name: str, value: Any, folder: epath.Path) -> Tensor:
    if isinstance(value, Tensor):
        return value
    if not _is_spec(value):
        return in_memory(np.asarray(value))
    place = value["kvstore"].get("path") or value["path"]  # written before and after TensorStore 0.1.14
    spec = {"driver": value["driver"], "kvstore": f"{store_url(folder)}{place.strip('/')}/"}
    kind = value.get("dtype") or np.dtype(value["metadata"]["dtype"]).name
    dtype = np.dtype(ml_dtypes.bfloat16) if kind == "bfloat16" else np.dtype(kind)
    return stored_array(spec, name, tuple(value["metadata"]["shape"]), dtype)
