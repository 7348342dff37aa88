"""From a checkpoint in any form onto the mesh: every host reads the parts that its devices hold."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from t0jax.checkpoints import orbax
from t0jax.checkpoints.form import Form, check_model, check_slots
from t0jax.checkpoints.names import SLOTS
from t0jax.checkpoints.tensor import Part, Tensor, row_by_row, stacked
from t0jax.config import ModelConfig
from t0jax.errors import InputError

S = TypeVar("S", bound=orbax.TrainState)
_AT_ONCE = 4
"""Tensors that are read at the same time: a bucket answers late, but many."""


def restore_parameters(form: Form, model: ModelConfig, like: Any) -> Any:
    """The parameters of a checkpoint in any form, on the shardings of `like`; by Orbax where they lie as `model` has them."""
    return orbax.restore_params(form.path, like) if _lies_as(form, model) else read_parameters(form, model, like)


def restore_state(form: Form, model: ModelConfig, like: S) -> S:
    """Parameters, optimizer and step of a checkpoint in any form that has them, on the shardings of `like`."""
    if _lies_as(form, model):
        return orbax.restore_state(form.path, like)
    params, opt_state = read_parameters(form, model, like.params), read_statistics(form, like.opt_state)
    return like.replace(step=number(form.step or 0, like.step), params=params, opt_state=opt_state)


def _lies_as(form: Form, model: ModelConfig) -> bool:
    return form.kind == "orbax" and form.is_stacked == model.scan_layers and not form.adapter


def read_parameters(form: Form, model: ModelConfig, like: Any) -> Any:
    """The parameters as `model` lays them out, on the shardings of `like`. InputError for another model's."""
    check_model(form, model)
    return _read_tree(form, form.parameters, like)


def read_statistics(form: Form, like: Any) -> Any:
    """The optimizer's state on the shardings of `like`, an AdafactorState; its step is the checkpoint's."""
    check_slots(form)
    trees = {}
    for slot in SLOTS:
        of_slot = {name.rpartition("/")[0]: tensor for name, tensor in form.slots.items() if name.endswith(f"/{slot}")}
        trees[slot] = _read_tree(form, of_slot, getattr(like, slot))
    return like._replace(step=number(form.step or 0, like.step), **trees)


def number(value: int, like: Any) -> jax.Array:
    """A scalar on the sharding of `like`."""
    return jax.device_put(np.asarray(value, like.dtype), like.sharding)


def _read_tree(form: Form, tensors: Mapping[str, Tensor], like: Any) -> Any:
    def leaf(entry: tuple[tuple[str, ...], Any]) -> jax.Array:
        path, wanted = entry
        name = "/".join(path)
        tensor = _tensor(tensors, name, wanted.shape)
        if tensor.shape != wanted.shape:
            raise InputError(
                f"{form.path} holds {name} as {tensor.shape}, and this run has {wanted.shape}: set OptimizerConfig as it was "
                "trained, or TrainConfig.restore_optimizer = False."
            )
        return _place(form, name, tensor, wanted)

    leaves = flatten_dict(like)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return unflatten_dict(dict(zip(leaves, pool.map(leaf, leaves.items()), strict=True)))


def _tensor(tensors: Mapping[str, Tensor], name: str, shape: tuple[int, ...]) -> Tensor:
    if "/layers/" not in name:
        return tensors[name]
    return stacked([tensors[name.replace("/layers/", f"/layers_{layer}/", 1)] for layer in range(shape[0])])


def _place(form: Form, name: str, tensor: Tensor, leaf: Any) -> jax.Array:
    """The array, of which this process reads every part once, however many of its devices hold it."""
    parts: dict[tuple[tuple[int, int], ...], np.ndarray] = {}

    def read(index: Part | None) -> np.ndarray:
        part = tuple(slice(*one.indices(size)[:2]) for one, size in zip(index or (), leaf.shape, strict=True))
        key = tuple((one.start, one.stop) for one in part)
        if key not in parts:
            values = tensor.read(part)
            check_finite(f"{name} of {form.path}", values)
            parts[key] = row_by_row(values).astype(leaf.dtype, copy=False)
        return parts[key]

    return jax.make_array_from_callback(leaf.shape, leaf.sharding, read)


def check_finite(what: str, values: np.ndarray) -> None:
    """InputError where there are values that are no numbers."""
    bad = values.size - int(np.isfinite(values).sum())
    if bad:
        raise InputError(
            f"{what} holds {bad:,} of {values.size:,} values that are not finite (NaN or infinity): give a sound copy."
        )
