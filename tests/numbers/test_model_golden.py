"""T5's forward pass written a second time, in NumPy and loops, from its description: the model must agree."""

import math

import jax
import numpy as np
import pytest

from t0jax.batch import synthetic_batch
from t0jax.config import ModelConfig
from t0jax.model.parameters import init_parameters
from t0jax.model.t5 import T5

CONFIG = ModelConfig(
    vocab_size=40,
    emb_dim=12,
    num_heads=2,
    head_dim=5,
    mlp_dim=20,
    num_encoder_layers=2,
    num_decoder_layers=2,
    dtype="float32",
    scan_layers=False,
)


def norm(x: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * scale


def gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def bucket(distance: int, is_bidirectional: bool) -> int:
    """T5's bucket of key - query, 32 of them up to a distance of 128."""
    buckets, start = 32, 0
    if is_bidirectional:
        buckets = 16
        start = 16 if distance > 0 else 0
        distance = abs(distance)
    else:
        distance = max(-distance, 0)
    half = buckets // 2
    if distance < half:
        return start + distance
    return start + min(buckets - 1, half + int(math.log(distance / half) / math.log(128 / half) * half + 1e-6))


def attend(x, source, weights, readable, bias=None) -> np.ndarray:
    """One query position at a time; `readable(t)` lists the source positions that it may read."""
    heads, width = CONFIG.num_heads, CONFIG.head_dim
    query, key, value = (
        (array @ weights[name]["kernel"]).reshape(-1, heads, width)
        for array, name in ((x, "query"), (source, "key"), (source, "value"))
    )
    mixed = np.zeros((len(x), heads, width))
    for t in range(len(x)):
        keys = readable(t)
        for head in range(heads):
            scores = np.array([query[t, head] @ key[s, head] + (bias(head, t, s) if bias else 0.0) for s in keys])
            shares = np.exp(scores - scores.max()) if keys else np.array([])
            for s, share in zip(keys, shares / shares.sum(), strict=True):
                mixed[t, head] += share * value[s, head]
    return mixed.reshape(len(x), -1) @ weights["out"]["kernel"]


def feed_forward(x, weights) -> np.ndarray:
    return (gelu(x @ weights["wi_0"]["kernel"]) * (x @ weights["wi_1"]["kernel"])) @ weights["wo"]["kernel"]


def forward(params, row) -> np.ndarray:
    """Logits (T, V) of one packed row; zeros where there is only padding."""
    table, encoder, decoder = params["token_embedder"]["embedding"], params["encoder"], params["decoder"]
    inputs, outputs = row["encoder_segment_ids"], row["decoder_segment_ids"]

    def same(ids, others, is_causal=False):
        return lambda t: [s for s in range(len(others)) if others[s] == ids[t] > 0 and (s <= t or not is_causal)]

    def relative(stack, is_bidirectional):
        return lambda head, t, s: stack["relpos_bias"]["rel_embedding"][head, bucket(s - t, is_bidirectional)]

    x = table[row["encoder_input_tokens"]]
    for index in range(CONFIG.num_encoder_layers):
        layer = encoder[f"layers_{index}"]
        y = norm(x, layer["pre_attention_layer_norm"]["scale"])
        x = x + attend(y, y, layer["attention"], same(inputs, inputs), relative(encoder, True))
        x = x + feed_forward(norm(x, layer["pre_mlp_layer_norm"]["scale"]), layer["mlp"])
    encoded = norm(x, encoder["encoder_norm"]["scale"])

    x = table[row["decoder_input_tokens"]]
    for index in range(CONFIG.num_decoder_layers):
        layer = decoder[f"layers_{index}"]
        y = norm(x, layer["pre_self_attention_layer_norm"]["scale"])
        x = x + attend(y, y, layer["self_attention"], same(outputs, outputs, True), relative(decoder, False))
        y = norm(x, layer["pre_cross_attention_layer_norm"]["scale"])
        x = x + attend(y, encoded, layer["encoder_decoder_attention"], same(outputs, inputs))
        x = x + feed_forward(norm(x, layer["pre_mlp_layer_norm"]["scale"]), layer["mlp"])
    return norm(x, decoder["decoder_norm"]["scale"]) @ decoder["logits_dense"]["kernel"]


@pytest.mark.filterwarnings("ignore:invalid value encountered")  # shares of a position that may read nothing
def test_logits_equal_an_independent_forward_pass() -> None:
    params = init_parameters(CONFIG, jax.random.key(0))
    params = jax.tree.map(lambda leaf: leaf * 1.3, params)  # norms whose scale is not 1
    batch = synthetic_batch(batch_size=2, inputs_length=24, targets_length=20, vocab_size=40, segments=2, seed=3)
    found = np.asarray(jax.jit(T5(CONFIG).apply)({"params": params}, batch))
    wide = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    for number in range(2):
        row = {name: value[number] for name, value in batch.items()}
        real = row["decoder_segment_ids"] > 0
        # float32 against float64 through four layers; the logits' spread is about 1.5.
        np.testing.assert_allclose(found[number][real], forward(wide, row)[real], atol=5e-5)
