"""Reading Hugging Face's form: config.json beside model.safetensors or pytorch_model.bin, whole or in shards."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from etils import epath

from t0jax.checkpoints import passport
from t0jax.checkpoints.form import Form
from t0jax.checkpoints.names import from_hf
from t0jax.checkpoints.safetensors import read_safetensors
from t0jax.checkpoints.tensor import Tensor
from t0jax.checkpoints.torch_zip import read_torch
from t0jax.errors import InputError

CONFIG = "config.json"
_READERS: Mapping[str, Callable[[epath.Path], dict[str, Tensor]]] = {
    "model.safetensors": read_safetensors,
    "pytorch_model.bin": read_torch,
}
"""Preferred first. A sharded one has `<name>.index.json` instead."""
_COPIES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
"""The embedding once more, as transformers names it inside the stacks."""
_UNUSED = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
"""T5 1.0's files have it; nothing reads it."""
_ACTIVATIONS: Mapping[str, tuple[str, ...]] = {
    "relu": ("relu",),
    "gated-gelu": ("gelu", "linear"),
    "gated-relu": ("relu", "linear"),
}


def is_hf(folder: epath.Path) -> bool:
    """Whether a folder looks like a model of transformers."""
    return (folder / CONFIG).exists() and any(
        (folder / f"{name}{end}").exists() for name in _READERS for end in ("", ".index.json")
    )


def hf_form(folder: epath.Path) -> Form:
    """A folder as `save_pretrained` writes it, or as it is downloaded from the hub."""
    config = _json(folder / CONFIG)
    stored, layout = _tensors(folder)
    # transformers 5 calls every T5 tied and tells 1.0 from 1.1 by this; before, whoever did not tie did not scale.
    is_tied = bool(config.get("scale_decoder_outputs", config.get("tie_word_embeddings", True)))
    params: dict[str, Tensor] = {}
    for name, tensor in stored.items():
        if name in _COPIES or name == _UNUSED or (is_tied and name == "lm_head.weight"):
            continue
        found = from_hf(name)
        if found is None:
            raise InputError(f"{folder} holds {name}, which T5 does not have: give a T5ForConditionalGeneration's weights.")
        ours, is_transposed = found
        params[ours] = tensor.transposed() if is_transposed else tensor
    if "token_embedder/embedding" not in params and _COPIES[0] in stored:
        params["token_embedder/embedding"] = stored[_COPIES[0]]
    if not is_tied and "lm_head.weight" not in stored and "token_embedder/embedding" in params:
        params["decoder/logits_dense/kernel"] = params["token_embedder/embedding"].transposed()  # tied, but not scaled
    return Form(folder, "hf", layout, passport.step_of(folder), params, settings=_settings(folder, config, is_tied))


def _json(path: epath.Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (ValueError, OSError) as error:
        raise InputError(f"{path} cannot be read ({error}): copy it again.") from error


def _settings(folder: epath.Path, config: Mapping[str, Any], is_tied: bool) -> dict[str, Any]:
    """What config.json says and the tensors do not. InputError for a model that is no T5."""
    if config.get("model_type") != "t5":
        raise InputError(f"{folder} is a {config.get('model_type')!r} model; only 't5' is read (T5 1.0, T5 1.1, T0).")
    projection = config.get("feed_forward_proj", "relu")
    if projection not in _ACTIVATIONS:
        raise InputError(f"{folder} has feed_forward_proj {projection!r}; T5's are {', '.join(_ACTIVATIONS)}.")
    return {
        "mlp_activations": _ACTIVATIONS[projection],
        "logits_via_embedding": is_tied,
        "relpos_max_distance": config.get("relative_attention_max_distance", 128),
        "dropout_rate": float(config.get("dropout_rate", 0.1)),
    }


def _tensors(folder: epath.Path) -> tuple[dict[str, Tensor], str]:
    for name, read in _READERS.items():
        if (folder / f"{name}.index.json").exists():
            return _sharded(folder, name, read)
        if (folder / name).exists():
            return read(folder / name), f"Hugging Face, {name}"
    raise InputError(f"{folder} has neither {' nor '.join(_READERS)}: give a folder that holds the weights too.")


def _sharded(folder: epath.Path, name: str, read: Callable[[epath.Path], dict[str, Tensor]]) -> tuple[dict[str, Tensor], str]:
    weight_map = _json(folder / f"{name}.index.json").get("weight_map", {})
    shards = sorted(set(weight_map.values()))
    missing = [shard for shard in shards if not (folder / shard).exists()]
    if missing:
        raise InputError(f"{folder} lacks {missing[0]}, which its {name}.index.json names: copy it again from its source.")
    tensors = {tensor: one for shard in shards for tensor, one in read(folder / shard).items()}
    lost = sorted(weight_map.keys() - tensors.keys())
    if lost:
        raise InputError(f"{folder} lacks {lost[0]}, which {name}.index.json places in {weight_map[lost[0]]}: copy it again.")
    return tensors, f"Hugging Face, {name} in {len(shards)} shards"
