"""The one table of names: each parameter as t5x calls it, which is how t0jax calls it, and as Hugging Face does.

Conversion works on single layers under t5x's unscanned names, as `encoder/layers_0/mlp/wo/kernel`. LM-adapted T5 and T0 are
T5 1.1 in every name; T5 1.0 has one `wi` and no logits of its own.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping

from t0jax.config import ModelConfig
from t0jax.model.adapters import without_adapter
from t0jax.model.parameters import parameter_table

_NAMES: tuple[tuple[str, str, bool], ...] = (
    ("token_embedder/embedding", "shared.weight", False),
    ("decoder/logits_dense/kernel", "lm_head.weight", True),
    ("encoder/encoder_norm/scale", "encoder.final_layer_norm.weight", False),
    ("decoder/decoder_norm/scale", "decoder.final_layer_norm.weight", False),
    *(
        (f"{stack}/relpos_bias/rel_embedding", f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight", True)
        for stack in ("encoder", "decoder")
    ),
    *(
        (f"{stack}/layers_*/{ours}/{kind}/kernel", f"{stack}.block.*.layer.{place}.{theirs}.{kind[0]}.weight", True)
        for stack, ours, place, theirs in (
            ("encoder", "attention", 0, "SelfAttention"),
            ("decoder", "self_attention", 0, "SelfAttention"),
            ("decoder", "encoder_decoder_attention", 1, "EncDecAttention"),
        )
        for kind in ("query", "key", "value", "out")
    ),
    *(
        (f"{stack}/layers_*/mlp/{kind}/kernel", f"{stack}.block.*.layer.{place}.DenseReluDense.{kind}.weight", True)
        for stack, place in (("encoder", 1), ("decoder", 2))
        for kind in ("wi", "wi_0", "wi_1", "wo")
    ),
    *(
        (f"{stack}/layers_*/pre_{part}_layer_norm/scale", f"{stack}.block.*.layer.{place}.layer_norm.weight", False)
        for stack, part, place in (
            ("encoder", "attention", 0),
            ("encoder", "mlp", 1),
            ("decoder", "self_attention", 0),
            ("decoder", "cross_attention", 1),
            ("decoder", "mlp", 2),
        )
    ),
)
"""(t5x's name, Hugging Face's name, whether Hugging Face keeps it transposed); `*` is a layer's number."""
_TO_HF: Mapping[str, tuple[str, bool]] = {ours: (theirs, flipped) for ours, theirs, flipped in _NAMES}
_TO_T5X: Mapping[str, tuple[str, bool]] = {theirs: (ours, flipped) for ours, theirs, flipped in _NAMES}
_LAYER = re.compile(r"(?<=/layers_)\d+(?=/)")
_BLOCK = re.compile(r"(?<=\.block\.)\d+(?=\.)")

SLOTS = ("v_row", "v_col", "v")
"""Adafactor's statistics of a parameter, under the names that t5x and t0jax share."""


def to_hf(name: str) -> tuple[str, bool]:
    """Hugging Face's name of a parameter, and whether it lies there transposed."""
    layer = _LAYER.search(name)
    pattern, is_transposed = _TO_HF[_LAYER.sub("*", name)]
    return pattern.replace("*", layer[0] if layer else "*"), is_transposed


def from_hf(name: str) -> tuple[str, bool] | None:
    """t5x's name of a parameter of Hugging Face's, and whether it lies there transposed; None for one that T5 has not."""
    if name in _TO_T5X:
        return _TO_T5X[name]
    block = _BLOCK.search(name)
    found = _TO_T5X.get(_BLOCK.sub("*", name))
    return None if block is None or found is None else (found[0].replace("*", block[0]), found[1])


def scanned(name: str) -> tuple[str, int | None]:
    """Where a parameter lies when layers are scanned: the name of the stack, and its place in it (None: it is by itself)."""
    layer = _LAYER.search(name)
    return (name, None) if layer is None else (_LAYER.sub("*", name).replace("layers_*", "layers"), int(layer[0]))


def shapes_of(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """The shape of every parameter of a model, by t5x's unscanned names."""
    table = parameter_table(dataclasses.replace(without_adapter(config), scan_layers=False))
    return {"/".join(path): leaf.shape for path, leaf in table.items()}


def unscanned(names: Iterable[str], lengths: Mapping[str, int]) -> dict[str, tuple[str, int | None]]:
    """For every single-layer name: the stored name that holds it, and its place there where `lengths` says it is a stack."""
    found: dict[str, tuple[str, int | None]] = {}
    for name in names:
        if "/layers/" not in name:
            found[name] = (name, None)
            continue
        for layer in range(lengths[name]):
            found[name.replace("/layers/", f"/layers_{layer}/", 1)] = (name, layer)
    return found
