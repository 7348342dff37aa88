"""Writing Hugging Face's form: sharded safetensors, config.json, generation_config.json, and the tokenizer's files."""

import json
import math
import os
import shutil
from collections.abc import Mapping
from typing import Any

import numpy as np
from etils import epath

from t0jax.batch import EOS_ID, PAD_ID
from t0jax.checkpoints.names import shapes_of, to_hf
from t0jax.checkpoints.plan import DTYPES, Plan
from t0jax.checkpoints.safetensors import plan_safetensors
from t0jax.checkpoints.tensor import row_by_row
from t0jax.config import ModelConfig
from t0jax.errors import InputError

_SHARD_BYTES = 5_000_000_000
_PROJECTIONS = {("relu",): "relu", ("gelu", "linear"): "gated-gelu", ("relu", "linear"): "gated-relu"}
_SENTINELS = 100


class HfWriter:
    """A folder that transformers' T5ForConditionalGeneration and T5Tokenizer load."""

    def __init__(self, folder: epath.Path, plan: Plan) -> None:
        self.folder, self.plan = folder, plan
        self._dtype = DTYPES[plan.dtype]
        shapes = {}
        for name, shape in shapes_of(plan.model).items():
            theirs, is_transposed = to_hf(name)
            shapes[theirs] = shape[::-1] if is_transposed else shape
        self._bytes = {name: math.prod(shape) * self._dtype.itemsize for name, shape in shapes.items()}
        self.shards = self._shards(shapes)
        self._places: dict[str, tuple[str, int]] = {}
        for shard, tensors in self.shards.items():
            head, starts, length = plan_safetensors(tensors, self._dtype)
            self._places |= {name: (shard, start) for name, start in starts.items()}
            self._make(shard, head, length)

    def _shards(self, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, dict[str, tuple[int, ...]]]:
        """Tensors by file, none of which grows beyond 5 GB (unless one tensor alone does)."""
        groups: list[dict[str, tuple[int, ...]]] = [{}]
        filled = 0
        for name in sorted(shapes):
            if groups[-1] and filled + self._bytes[name] > _SHARD_BYTES:
                groups.append({})
                filled = 0
            groups[-1][name] = shapes[name]
            filled += self._bytes[name]
        if len(groups) == 1:
            return {"model.safetensors": groups[0]}
        return {f"model-{at:05d}-of-{len(groups):05d}.safetensors": group for at, group in enumerate(groups, start=1)}

    def _make(self, shard: str, head: bytes, length: int) -> None:
        path = self.folder / shard
        path.touch()
        with open(path, "r+b") as file:  # what an interrupted conversion has written stays
            file.write(head)
            file.truncate(length)

    def put(self, name: str, values: np.ndarray) -> None:
        """Write one tensor at its place in its shard."""
        theirs, is_transposed = to_hf(name)
        shard, start = self._places[theirs]
        raw = row_by_row(values.T if is_transposed else values)
        with open(self.folder / shard, "r+b") as file:
            file.seek(start)
            file.write(raw.view(np.uint8).data)
            file.flush()
            os.fsync(file.fileno())

    def finish(self) -> None:
        """Write the index, the tokenizer, and last the configs: without them a folder is no model."""
        if len(self.shards) > 1:
            weight_map = {name: shard for name, (shard, _) in sorted(self._places.items())}
            index = {"metadata": {"total_size": sum(self._bytes.values())}, "weight_map": weight_map}
            self._write("model.safetensors.index.json", index)
        if self.plan.vocabulary is not None:
            shutil.copyfile(self.plan.vocabulary, self.folder / "spiece.model")
            self._write("tokenizer_config.json", _tokenizer_config())
            self._write("special_tokens_map.json", _special_tokens())
        start = {"decoder_start_token_id": PAD_ID, "eos_token_id": EOS_ID, "pad_token_id": PAD_ID}
        self._write("generation_config.json", {"_from_model_config": True, **start})
        self._write("config.json", _config(self.plan.model, self.plan.dtype) | start)

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        (self.folder / name).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def _config(model: ModelConfig, dtype: str) -> dict[str, Any]:
    """transformers' T5Config of a model. InputError for one that transformers has not."""
    if model.mlp_activations not in _PROJECTIONS:
        raise InputError(f"transformers' T5 has no {model.mlp_activations}; it has {', '.join(map(str, _PROJECTIONS))}.")
    return {
        "architectures": ["T5ForConditionalGeneration"],
        "model_type": "t5",
        "vocab_size": model.vocab_size,
        "d_model": model.emb_dim,
        "d_kv": model.head_dim,
        "d_ff": model.mlp_dim,
        "num_heads": model.num_heads,
        "num_layers": model.num_encoder_layers,
        "num_decoder_layers": model.num_decoder_layers,
        "relative_attention_num_buckets": model.relpos_buckets,
        "relative_attention_max_distance": model.relpos_max_distance,
        "feed_forward_proj": _PROJECTIONS[model.mlp_activations],
        "tie_word_embeddings": model.logits_via_embedding,
        "dropout_rate": model.dropout_rate,
        "layer_norm_epsilon": 1e-6,
        "initializer_factor": 1.0,
        "is_encoder_decoder": True,
        "use_cache": True,
        "torch_dtype": dtype,
    }


def _special_tokens() -> dict[str, Any]:
    sentinels = [f"<extra_id_{number}>" for number in range(_SENTINELS)]
    return {"additional_special_tokens": sentinels, "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}


def _tokenizer_config() -> dict[str, Any]:
    return {"tokenizer_class": "T5Tokenizer", "extra_ids": _SENTINELS, "legacy": False, **_special_tokens()}
