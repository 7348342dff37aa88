"""Model FLOPs of a training step, by the rule that makes MFU comparable between systems."""

from t0jax.config import ModelConfig


def forward_flops(config: ModelConfig, batch_size: int, inputs_length: int, targets_length: int) -> int:
    """Matmul FLOPs of one forward pass: attention in full, logits included, embedding lookup not."""
    emb, joined = config.emb_dim, config.num_heads * config.head_dim
    sources, targets = batch_size * inputs_length, batch_size * targets_length
    projection = 2 * emb * joined  # of one token, one of query, key, value and out
    mlp = 2 * (len(config.mlp_activations) + 1) * emb * config.mlp_dim
    read = 4 * joined  # of one token, each position that it attends to: logits and mix
    encoder = sources * (4 * projection + mlp + read * inputs_length)
    decoder = targets * (4 * projection + mlp + read * targets_length)
    cross = 2 * projection * (targets + sources) + targets * read * inputs_length
    logits = 2 * targets * emb * config.vocab_size
    return config.num_encoder_layers * encoder + config.num_decoder_layers * (decoder + cross) + logits


def step_flops(config: ModelConfig, batch_size: int, inputs_length: int, targets_length: int) -> int:
    """Model FLOPs of one training step: three forward passes; what rematerialisation repeats does not count.

    Beside an adapter two: frozen weights need no gradient of their own.
    """
    passes = 3 if config.adapter == "none" else 2
    return passes * forward_flops(config, batch_size, inputs_length, targets_length)
