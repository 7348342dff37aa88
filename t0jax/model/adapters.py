"""LoRA and IA3 as T-Few has them (Liu et al. 2022, arXiv 2205.05638): which kernels they adapt, and what is trained."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from flax.traverse_util import flatten_dict, unflatten_dict

from t0jax.config import ModelConfig

ADAPTED: Mapping[str, tuple[str, ...]] = {
    "none": (),
    "ia3": ("key", "value", "wi", "wi_1"),
    "lora": ("query", "key", "value", "out", "wi", "wi_0", "wi_1", "wo"),
}
"""The kernels of every layer that each kind adapts, in self-attention, cross-attention and MLP."""
LEAVES: Mapping[str, tuple[str, ...]] = {"none": (), "ia3": ("ia3",), "lora": ("lora_a", "lora_b")}
"""The parameters that stand beside each adapted kernel W: x W * ia3, or x W + x lora_a lora_b / rank."""
_ALSO_TRAINED: Mapping[str, tuple[str, ...]] = {"none": (), "ia3": (), "lora": ("scale",)}  # T-Few trains norms beside LoRA


def is_trained(config: ModelConfig, path: tuple[str, ...]) -> bool:
    """Whether training changes a parameter: all of them without an adapter, else the adapter's own and what goes with it."""
    return config.adapter == "none" or path[-1] in (*LEAVES[config.adapter], *_ALSO_TRAINED[config.adapter])


def split(config: ModelConfig, tree: Any) -> tuple[Any, Any]:
    """A tree of one entry a parameter as (what is trained, what is frozen)."""
    if config.adapter == "none":
        return tree, {}
    entries = flatten_dict(tree)
    parts: tuple[dict[Any, Any], dict[Any, Any]] = {}, {}
    for path, entry in entries.items():
        parts[0 if is_trained(config, path) else 1][path] = entry
    return unflatten_dict(parts[0]), unflatten_dict(parts[1])


def like_leaves(names: Any, tree: Any) -> Any:
    """The entries of a tree that another one has by name."""
    entries = flatten_dict(tree)
    return unflatten_dict({path: entries[path] for path in flatten_dict(names)})


def join(trained: Any, others: Any) -> Any:
    """What `split` has taken apart. Where both have a parameter, `trained` counts."""
    return unflatten_dict(flatten_dict(others) | flatten_dict(trained)) if others else trained


def without_adapter(config: ModelConfig) -> ModelConfig:
    """The model that an adapter belongs to."""
    return dataclasses.replace(config, adapter="none")
