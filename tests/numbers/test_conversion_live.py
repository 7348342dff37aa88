"""t5x and transformers themselves, where they are installed: beside us, or under interpreters of their own.

T0JAX_T5X_PYTHON and T0JAX_HF_PYTHON name such interpreters.
"""

import dataclasses
import json
import pathlib
from typing import Any

import jax
import numpy as np
import pytest
from peers import interpreter, run
from tiny_checkpoint import FACTORED, T5_1_0, T5_1_1, assert_same, converted, write_own

from t0jax.batch import decoder_inputs
from t0jax.checkpoints.forms import open_form
from t0jax.config import ModelConfig
from t0jax.model.t5 import T5

LIVE = pathlib.Path(__file__).parents[1] / "live"
TOLERANCE = 1e-5
"""Of the largest logit: two orders of summation of a few hundred float32 products."""


def rows(vocab_size: int) -> dict[str, np.ndarray]:
    """Two rows that are not packed, the second with padded inputs."""
    random = np.random.default_rng(0)
    inputs, targets = random.integers(3, vocab_size, (2, 12)), random.integers(3, vocab_size, (2, 7))
    inputs[1, 8:] = 0
    ones = np.ones(targets.shape, np.int32)
    return {
        "encoder_input_tokens": inputs.astype(np.int32),
        "encoder_segment_ids": (inputs > 0).astype(np.int32),
        "decoder_input_tokens": decoder_inputs(targets, ones).astype(np.int32),
        "decoder_target_tokens": targets.astype(np.int32),
        "decoder_segment_ids": ones,
    }


def our_logits(params: Any, model: ModelConfig, batch: dict[str, np.ndarray]) -> np.ndarray:
    return np.asarray(jax.jit(T5(dataclasses.replace(model, dtype="float32")).apply)({"params": params}, batch))


@pytest.mark.live
@pytest.mark.parametrize("model", [T5_1_1, T5_1_0], ids=["T5 1.1", "T5 1.0"])
def test_transformers_loads_what_we_write_and_we_what_it_writes(tmp_path: pathlib.Path, model: ModelConfig) -> None:
    python = interpreter("T0JAX_HF_PYTHON", "transformers")
    params = write_own(tmp_path / "own", model).params
    ours = converted(tmp_path / "own", tmp_path / "hf", "hf")
    np.savez(tmp_path / "batch.npz", **(batch := rows(model.vocab_size)))
    run(python, LIVE / "hf_logits.py", tmp_path / "hf", tmp_path / "batch.npz", tmp_path / "out.npz")
    theirs, logits = np.load(tmp_path / "out.npz"), our_logits(params, model, batch)
    assert np.abs(theirs["logits"] - logits).max() < TOLERANCE * np.abs(logits).max()
    again = open_form(tmp_path / "hf_saved_again")
    assert_same(ours, again)
    assert again.model == ours.model
    (tmp_path / "hf_saved_again/model.safetensors").unlink()
    assert_same(ours, open_form(tmp_path / "hf_saved_again"))


@pytest.mark.live
def test_transformers_tokenizes_with_what_we_write(tmp_path: pathlib.Path, t5_vocabulary: pathlib.Path) -> None:
    python = interpreter("T0JAX_HF_PYTHON", "transformers")
    model = dataclasses.replace(T5_1_1, vocab_size=32_128)
    write_own(tmp_path / "own", model)
    converted(tmp_path / "own", tmp_path / "hf", "hf", vocabulary=t5_vocabulary)
    np.savez(tmp_path / "batch.npz", **rows(model.vocab_size))
    run(python, LIVE / "hf_logits.py", tmp_path / "hf", tmp_path / "batch.npz", tmp_path / "out.npz")
    import sentencepiece

    pieces = sentencepiece.SentencePieceProcessor(model_file=str(t5_vocabulary))
    tokens = np.load(tmp_path / "out.npz")["tokens"].tolist()
    # T5's sentinels count down from the last of its 32,100 tokens, and </s> ends every text.
    assert tokens == [*pieces.encode("A dog"), 32_099, *pieces.encode("barks."), 1]


@pytest.mark.live
@pytest.mark.parametrize("model", [T5_1_1, FACTORED, T5_1_0], ids=["T5 1.1", "factored", "T5 1.0"])
def test_t5x_restores_what_we_write_and_we_what_it_writes(tmp_path: pathlib.Path, model: ModelConfig) -> None:
    python = interpreter("T0JAX_T5X_PYTHON", "t5x")
    params = write_own(tmp_path / "own", model).params
    native = converted(tmp_path / "own", tmp_path / "t5x", "t5x")
    fields = ("vocab_size", "emb_dim", "num_heads", "head_dim", "mlp_dim", "num_encoder_layers", "num_decoder_layers")
    settings = {name: getattr(model, name) for name in (*fields, "mlp_activations", "logits_via_embedding")}
    (tmp_path / "model.json").write_text(json.dumps(settings))
    batch = rows(model.vocab_size)
    given = {name: batch[name] for name in ("encoder_input_tokens", "decoder_input_tokens", "decoder_target_tokens")}
    np.savez(tmp_path / "batch.npz", **given)
    run(
        python,
        LIVE / "t5x_restore.py",
        native.path,
        tmp_path / "model.json",
        tmp_path / "batch.npz",
        tmp_path / "out.npz",
        tmp_path / "w",
    )
    found, logits = np.load(tmp_path / "out.npz"), our_logits(params, model, batch)
    assert np.abs(found["logits"] - logits).max() < TOLERANCE * np.abs(logits).max()
    for name, tensor in native.parameters.items():
        np.testing.assert_array_equal(found[f"target/{name}".replace("/", "|")], tensor.read(), err_msg=name)
    for name, tensor in native.slots.items():
        np.testing.assert_array_equal(found[f"state/param_states/{name}".replace("/", "|")], tensor.read(), err_msg=name)
    assert found["state|step"] == 7
    for form in ("native", "orbax"):
        assert_same(native, open_form(tmp_path / "w" / form))
