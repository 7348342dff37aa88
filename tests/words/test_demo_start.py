"""The structured start: same tree, same shapes, attention that finds equal tokens."""

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from t0jax.config import ModelConfig
from t0jax.demo.start import structured
from t0jax.model.parameters import init_parameters


def model(*, is_scanned: bool) -> ModelConfig:
    return ModelConfig(
        vocab_size=32,
        emb_dim=16,
        num_heads=4,
        head_dim=4,
        mlp_dim=24,
        num_encoder_layers=2,
        num_decoder_layers=2,
        logits_via_embedding=True,
        scan_layers=is_scanned,
    )


@pytest.mark.parametrize("is_scanned", [True, False])
def test_the_start_changes_attention_and_nothing_else(is_scanned: bool) -> None:
    config = model(is_scanned=is_scanned)
    fresh = jax.device_get(init_parameters(config, jax.random.key(0)))
    before, after = flatten_dict(fresh), flatten_dict(structured(config, fresh, 0))
    assert {path: leaf.shape for path, leaf in before.items()} == {path: leaf.shape for path, leaf in after.items()}
    for path, leaf in after.items():
        is_attention = any("attention" in part for part in path) and path[-1] == "kernel"
        is_changed = not np.array_equal(leaf, before[path])
        assert is_changed == (is_attention or "relpos_bias" in path), path


def test_equal_vectors_attend_to_each_other_across_attention() -> None:
    config = model(is_scanned=False)
    leaves = flatten_dict(structured(config, jax.device_get(init_parameters(config, jax.random.key(0))), 0))
    path = ("decoder", "layers_0", "encoder_decoder_attention")
    tokens = np.random.default_rng(0).normal(size=(200, config.emb_dim))
    queries, keys = (tokens @ leaves[(*path, name, "kernel")] for name in ("query", "key"))
    logits = queries @ keys.T
    off = logits[~np.eye(200, dtype=bool)]
    assert logits.diagonal().mean() > off.mean() + 2 * off.std()
