"""Models, weights and batches that a golden script and a test both make from names and seeds. NumPy only."""

import zlib
from typing import Any

import numpy as np

SIZES: dict[str, Any] = {
    "vocab_size": 136,
    "emb_dim": 128,
    "num_heads": 4,
    "head_dim": 32,
    "mlp_dim": 160,
    "num_encoder_layers": 2,
    "num_decoder_layers": 2,
}
"""Wide enough for Adafactor to factor the second moments of every matrix, but not of the position tables."""
MODELS: dict[str, dict[str, Any]] = {
    "t5_1_1": {"mlp_activations": ("gelu", "linear"), "logits_via_embedding": False},
    "t5_1_0": {"mlp_activations": ("relu",), "logits_via_embedding": True},
}
HF_MODELS: dict[str, dict[str, Any]] = {
    f"{name}_{'tied' if is_tied else 'untied'}": settings | {"logits_via_embedding": is_tied}
    for name, settings in MODELS.items()
    for is_tied in (True, False)
}
LOSSES: dict[str, dict[str, Any]] = {
    "plain": {"z_loss": 0.0},
    "z_loss": {"z_loss": 1e-4},
    "smoothed": {"z_loss": 1e-4, "label_smoothing": 0.1},
    "constant": {"z_loss": 1e-4, "loss_normalizing_factor": 50.0},
    "real_tokens": {"z_loss": 1e-4, "loss_normalizing_factor": "NUM_REAL_TARGET_TOKENS"},
    "all_tokens": {"z_loss": 1e-4, "loss_normalizing_factor": "NUM_TOTAL_TARGET_TOKENS"},
    "sequences": {"z_loss": 1e-4, "label_smoothing": 0.1, "loss_normalizing_factor": "AVERAGE_PER_SEQUENCE"},
}
"""Settings of the loss, as t5x and t0jax both call them."""
SMALL = "encoder/layers_1/attention/query/kernel"
"""A parameter so small that Adafactor's floor for the scale of a step acts."""
ROWS, INPUTS, TARGETS = 4, 40, 20
SAMPLES = 40
"""Entries of a tensor that a fixture keeps."""
ANSWER, PULL = 14, 2.0
"""Tokens of an answer at most; how much EOS pulls where beams search."""
BEAMS = ((2, 0.0), (3, 1.0), (4, 0.6), (4, 2.0))
"""Number of beams and length penalty."""
FILTERS = ((0.7, 0, 0.0), (1.0, 5, 0.0), (1.3, 0, 0.9), (0.5, 40, 0.6), (1.0, 1, 0.0), (1.0, 0, 0.01))
"""Temperature, top-k, top-p; 0 is none."""


def _random(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def weights(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """float32 weights of about the size that T5's have, by t5x's name of the parameter of a single layer."""
    random = _random(name)
    if name.endswith("scale"):
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    size = 1.0 if "embedding" in name else shape[0] ** -0.5
    if "query" in name:  # T5 scales here instead of in attention
        size *= SIZES["head_dim"] ** -0.5
    if name == SMALL:
        size *= 1e-3
    return (random.normal(size=shape) * size).astype(np.float32)


def for_answers(name: str, values: np.ndarray, pull: float = 1.0) -> np.ndarray:
    """The weights for greedy answers that say more than their last token again, and end, some early (EOS is token 1).

    Beams leave an answer that ends unless EOS has more `pull`.
    """
    if name == "token_embedder/embedding":
        values = values * 0.1
        values[1] *= 3 * pull
    if name == "decoder/logits_dense/kernel":
        values[:, 1] *= 1.5 * pull
    return values


def statistics(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """float32 second moments as after long training, over two orders of magnitude. Unused ones, of shape (1,), are 0."""
    if shape == (1,):
        return np.zeros(shape, np.float32)
    return (1e-4 * 10 ** _random(name).uniform(-1, 1, shape)).astype(np.float32)


def batch(kind: str, seed: int = 0) -> dict[str, np.ndarray]:
    """t5x's features of `ROWS` rows: `packed` has segments, positions and a padded tail, `plain` one padded text a row.

    One target of every row weighs a half, so that weights are more than a mask.
    """
    random = np.random.default_rng(seed)
    segments = 3 if kind == "packed" else 1
    sides = [_side(random, length, segments) for length in (INPUTS, TARGETS)]
    (inputs, input_ids, input_positions), (targets, ids, positions) = sides
    shifted = np.zeros_like(targets)
    shifted[:, 1:] = targets[:, :-1] * (ids[:, 1:] == ids[:, :-1])
    loss_weights = (targets > 0).astype(np.float32)
    loss_weights[:, 2] *= 0.5
    made = {
        "encoder_input_tokens": inputs,
        "decoder_input_tokens": shifted,
        "decoder_target_tokens": targets,
        "decoder_loss_weights": loss_weights,
    }
    if kind == "packed":
        made |= {"encoder_segment_ids": input_ids, "encoder_positions": input_positions}
        made |= {"decoder_segment_ids": ids, "decoder_positions": positions}
    return made


def questions() -> np.ndarray:
    """Inputs of sixteen rows, padded."""
    return np.concatenate([batch("plain", seed)["encoder_input_tokens"] for seed in range(4)])


def ranked() -> list[tuple[np.ndarray, list[np.ndarray]]]:
    """Inputs, each with two to five choices of up to twelve tokens and EOS; some choices begin alike, two are equal."""
    random, found = _random("ranked"), []
    for number in range(24):
        lengths = random.integers(1, 13, 2 + number % 4)
        choices = [np.append(random.integers(2, SIZES["vocab_size"], length), 1) for length in lengths]
        choices[-1][:2] = choices[0][:2]
        found.append((random.integers(2, SIZES["vocab_size"], random.integers(3, INPUTS)), choices))
    found[0][1].append(found[0][1][0])
    return found


def one_choice_a_row() -> dict[str, np.ndarray]:
    """The same as `inputs` and `targets`, a row for each choice, padded."""
    pairs = [(inputs, choice) for inputs, choices in ranked() for choice in choices]
    padded = {"inputs": np.zeros((len(pairs), INPUTS), np.int32), "targets": np.zeros((len(pairs), 13), np.int32)}
    for row, pair in enumerate(pairs):
        for name, tokens in zip(padded, pair, strict=True):
            padded[name][row, : len(tokens)] = tokens
    return padded


def logits() -> np.ndarray:
    """float32 logits of twenty rows, flat ones and steep ones."""
    random = _random("logits")
    return (random.normal(size=(20, SIZES["vocab_size"])) * random.uniform(0.3, 6, (20, 1))).astype(np.float32)


def _side(random: np.random.Generator, length: int, segments: int) -> tuple[np.ndarray, ...]:
    tokens, ids, positions = (np.zeros((ROWS, length), np.int32) for _ in range(3))
    for row in range(ROWS):
        start = 0
        for number, end in enumerate(np.sort(random.choice(np.arange(3, length), segments, replace=False)), start=1):
            tokens[row, start:end] = random.integers(2, SIZES["vocab_size"], end - start)
            ids[row, start:end], positions[row, start:end] = number, np.arange(end - start)
            start = end
    return tokens, ids, positions


def digest(name: str, tensor: Any) -> np.ndarray:
    """What a fixture keeps of a tensor, float32: `SAMPLES` entries, then its norm and its product with random signs."""
    flat, random = np.asarray(tensor, np.float64).ravel(), _random(name)
    entries = flat[random.integers(0, flat.size, SAMPLES)]
    sums = [np.linalg.norm(flat), flat @ random.choice([-1.0, 1.0], flat.size) / flat.size**0.5]
    return np.concatenate([entries, sums]).astype(np.float32)


def tree_digest(leaves: dict[str, Any]) -> np.ndarray:
    """Digests of tensors by name, in the order of their names."""
    return np.stack([digest(name, leaves[name]) for name in sorted(leaves)])
