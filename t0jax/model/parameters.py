"""The one table of T5's parameters: path, shape, logical axes, initialiser. Module, sharding and counting read it."""

import functools
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax.traverse_util import unflatten_dict
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float, Key

from t0jax.config import ModelConfig
from t0jax.model.adapters import ADAPTED

Initializer = Callable[[Any, tuple[int, ...]], Array]


@dataclass(frozen=True)
class Parameter:
    """One leaf of the parameter tree. `shape` and `axes` are one layer's; `stacked` leaves have the layers in front."""

    path: tuple[str, ...]
    shape: tuple[int, ...]
    axes: tuple[str | None, ...]
    init: Initializer
    stacked: int | None = None
    """How many layers are stacked on axis 0; None for a leaf that stands alone."""
    layer: int = 0
    """Which layer an unstacked leaf belongs to."""

    @property
    def full_shape(self) -> tuple[int, ...]:
        """The leaf's shape, layers included."""
        return self.shape if self.stacked is None else (self.stacked, *self.shape)

    @property
    def full_axes(self) -> PartitionSpec:
        """The leaf's logical axes, layers included."""
        return PartitionSpec(*self.axes) if self.stacked is None else PartitionSpec("layers", *self.axes)


def _initializers(config: ModelConfig) -> dict[str, Initializer]:
    """T5's initialisers by name (facts of t5x: the query's is divided by sqrt(head_dim) because attention is not)."""
    scaled, init = jax.nn.initializers.variance_scaling, jax.nn.initializers
    attention = scaled(1.0, "fan_in", "normal")
    return {
        "embedding": init.normal(1.0),
        "query": scaled(1.0 / config.head_dim, "fan_in", "normal"),
        "attention": attention,
        "dense": scaled(1.0, "fan_in", "truncated_normal"),
        "relpos": scaled(1.0, "fan_avg", "uniform"),
        "scale": init.ones,
        "lora_a": init.normal(0.01),
        "lora_b": init.zeros,
    }


Row = tuple[str, tuple[int, ...], tuple[str | None, ...], str]


def _outer_rows(config: ModelConfig) -> list[Row]:
    """Everything outside the layers."""
    vocab, emb, heads = config.vocab_size, config.emb_dim, config.num_heads
    relpos = ((heads, config.relpos_buckets), ("heads", "relpos_buckets"), "relpos")
    rows: list[Row] = [
        ("token_embedder/embedding", (vocab, emb), ("vocab", "embed"), "embedding"),
        ("encoder/relpos_bias/rel_embedding", *relpos),
        ("encoder/encoder_norm/scale", (emb,), ("embed",), "scale"),
        ("decoder/relpos_bias/rel_embedding", *relpos),
        ("decoder/decoder_norm/scale", (emb,), ("embed",), "scale"),
    ]
    if not config.logits_via_embedding:
        rows.append(("decoder/logits_dense/kernel", (emb, vocab), ("embed", "vocab"), "dense"))
    return rows


def _layer_rows(config: ModelConfig, stack: str) -> list[Row]:
    """One layer of a stack."""
    emb, joined, mlp = config.emb_dim, config.num_heads * config.head_dim, config.mlp_dim
    inward, outward = ((emb, joined), ("embed", "joined_kv")), ((joined, emb), ("joined_kv", "embed"))

    def attention(name: str) -> list[Row]:
        return [
            (f"{name}/query/kernel", *inward, "query"),
            (f"{name}/key/kernel", *inward, "attention"),
            (f"{name}/value/kernel", *inward, "attention"),
            (f"{name}/out/kernel", *outward, "attention"),
        ]

    attentions = ["attention"] if stack == "encoder" else ["self_attention", "encoder_decoder_attention"]
    norms = ["attention"] if stack == "encoder" else ["self_attention", "cross_attention"]
    rows = [row for name in attentions for row in attention(name)]
    rows += [(f"mlp/{name}/kernel", (emb, mlp), ("embed", "mlp"), "dense") for name in mlp_inputs(config)]
    rows += [("mlp/wo/kernel", (mlp, emb), ("mlp", "embed"), "dense")]
    rows += [(f"pre_{name}_layer_norm/scale", (emb,), ("embed",), "scale") for name in (*norms, "mlp")]
    return rows + [row for kernel in rows for row in _adapter_rows(config, *kernel[:3])]


def _adapter_rows(config: ModelConfig, name: str, shape: tuple[int, ...], axes: tuple[str | None, ...]) -> list[Row]:
    """What the model's adapter adds to a parameter of a layer."""
    prefix, _, kind = name.rpartition("/")
    if kind != "kernel" or prefix.rpartition("/")[2] not in ADAPTED[config.adapter]:
        return []
    if config.adapter == "ia3":
        return [(f"{prefix}/ia3", shape[1:], axes[1:], "scale")]
    rank = config.adapter_rank
    return [
        (f"{prefix}/lora_a", (shape[0], rank), (axes[0], None), "lora_a"),
        (f"{prefix}/lora_b", (rank, shape[1]), (None, axes[1]), "lora_b"),
    ]


def mlp_inputs(config: ModelConfig) -> tuple[str, ...]:
    """Names of the MLP's input projections, one per activation: ('wi_0', 'wi_1') when gated, else ('wi',)."""
    count = len(config.mlp_activations)
    return ("wi",) if count == 1 else tuple(f"wi_{index}" for index in range(count))


@functools.lru_cache(maxsize=32)
def parameter_table(config: ModelConfig) -> Mapping[tuple[str, ...], Parameter]:
    """Every leaf of the parameter tree by its path, under t5x's names."""
    inits = _initializers(config)
    leaves = [Parameter(tuple(name.split("/")), shape, axes, inits[init]) for name, shape, axes, init in _outer_rows(config)]
    for stack, layers in (("encoder", config.num_encoder_layers), ("decoder", config.num_decoder_layers)):
        for name, shape, axes, init in _layer_rows(config, stack):
            inner = tuple(name.split("/"))
            if config.scan_layers:
                leaves.append(Parameter((stack, "layers", *inner), shape, axes, inits[init], stacked=layers))
                continue
            for layer in range(layers):
                leaves.append(Parameter((stack, f"layers_{layer}", *inner), shape, axes, inits[init], layer=layer))
    return {leaf.path: leaf for leaf in leaves}


def abstract_parameters(config: ModelConfig) -> dict[str, Any]:
    """The parameter tree as `jax.ShapeDtypeStruct`s."""
    table = parameter_table(config)
    return unflatten_dict({path: jax.ShapeDtypeStruct(leaf.full_shape, jnp.float32) for path, leaf in table.items()})


def logical_axes(config: ModelConfig) -> dict[str, Any]:
    """The parameter tree as `PartitionSpec`s of logical axis names; `mesh` turns them into shardings."""
    return unflatten_dict({path: leaf.full_axes for path, leaf in parameter_table(config).items()})


def _init_leaf(leaf: Parameter, key: Key[Array, ""]) -> Float[Array, "..."]:
    """A leaf's values depend on its name and layer only: scanned and unscanned models start alike."""
    name = "/".join(part if not part.startswith("layers_") else "layers" for part in leaf.path)
    key = jax.random.fold_in(key, zlib.crc32(name.encode()))
    if leaf.stacked is None:
        return leaf.init(jax.random.fold_in(key, leaf.layer), leaf.shape)
    layers = jnp.arange(leaf.stacked)
    return jax.vmap(lambda layer: leaf.init(jax.random.fold_in(key, layer), leaf.shape))(layers)


def init_parameters(config: ModelConfig, key: Key[Array, ""]) -> dict[str, Any]:
    """Fresh float32 parameters. Under `jax.jit` with shardings every device makes only its own part."""
    return unflatten_dict({path: _init_leaf(leaf, key) for path, leaf in parameter_table(config).items()})


def count_parameters(config: ModelConfig) -> int:
    """How many numbers the model has."""
    return sum(math.prod(leaf.full_shape) for leaf in parameter_table(config).values())
