"""transformers' numbers on small T5s: `python hf_numbers.py OUT.npz`. Needs torch, transformers and NumPy, no t0jax.

`pip install torch==2.13.0 transformers==5.24.0`. Weights and inputs come from golden_inputs.py. The file holds for T5 1.1 and
T5 1.0, tied and untied: logits of padded texts, greedy answers (0 behind EOS), and `made_with`, the versions.
"""

import importlib.metadata
import json
import re
import sys

import golden_inputs as given
import numpy as np
import torch
from transformers import T5Config, T5ForConditionalGeneration

PARTS = {
    "encoder": ("attention", "mlp"),
    "decoder": ("self_attention", "encoder_decoder_attention", "mlp"),
}
NORMS = {"encoder": ("attention", "mlp"), "decoder": ("self_attention", "cross_attention", "mlp")}
LETTERS = {"q": "query", "k": "key", "v": "value", "o": "out"}


def name_of(name: str) -> str:
    """t5x's name of a parameter of transformers'."""
    if name == "shared.weight" or name.endswith("embed_tokens.weight"):
        return "token_embedder/embedding"
    if name == "lm_head.weight":
        return "decoder/logits_dense/kernel"
    stack, rest = name.split(".", 1)
    if rest == "final_layer_norm.weight":
        return f"{stack}/{stack}_norm/scale"
    if "relative_attention_bias" in rest:
        return f"{stack}/relpos_bias/rel_embedding"
    found = re.fullmatch(r"block\.(\d+)\.layer\.(\d)\.(?:\w+\.)?(\w+)\.weight", rest)
    assert found is not None, name
    layer, place, last = found.groups()
    if last == "layer_norm":
        return f"{stack}/layers_{layer}/pre_{NORMS[stack][int(place)]}_layer_norm/scale"
    part = PARTS[stack][int(place)]
    return f"{stack}/layers_{layer}/{part}/{LETTERS.get(last, last)}/kernel"


def model_of(case: str, pull: float = 1.0) -> T5ForConditionalGeneration:
    """transformers' model with the given weights: kernels lie there transposed."""
    sizes, settings = given.SIZES, given.HF_MODELS[case]
    config = T5Config(
        vocab_size=sizes["vocab_size"],
        d_model=sizes["emb_dim"],
        d_kv=sizes["head_dim"],
        d_ff=sizes["mlp_dim"],
        num_layers=sizes["num_encoder_layers"],
        num_decoder_layers=sizes["num_decoder_layers"],
        num_heads=sizes["num_heads"],
        dropout_rate=0.0,
        feed_forward_proj="gated-gelu" if len(settings["mlp_activations"]) == 2 else "relu",
        tie_word_embeddings=settings["logits_via_embedding"],
        decoder_start_token_id=0,
    )
    weights = {}
    for name, parameter in T5ForConditionalGeneration(config).state_dict().items():
        ours, keeps = name_of(name), parameter.ndim == 1 or name.endswith(("shared.weight", "embed_tokens.weight"))
        shape = tuple(parameter.shape) if keeps else tuple(parameter.shape)[::-1]
        made = given.for_answers(ours, given.weights(ours, shape), pull)
        weights[name] = torch.from_numpy(made if keeps else made.T.copy())
    if settings["logits_via_embedding"]:
        del weights["lm_head.weight"]
    # Loaded as from a folder: transformers 5 ties every T5, unless what it loads has two tables.
    return T5ForConditionalGeneration.from_pretrained(None, config=config, state_dict=weights).eval()


def main(out: str) -> None:
    """Write the fixture."""
    found: dict[str, np.ndarray] = {}
    batch = {name: torch.from_numpy(values).long() for name, values in given.batch("plain").items() if values.dtype == np.int32}
    inputs, mask = batch["encoder_input_tokens"], (batch["encoder_input_tokens"] > 0).long()
    for case in given.HF_MODELS:
        model = model_of(case)
        with torch.no_grad():
            logits = model(input_ids=inputs, attention_mask=mask, decoder_input_ids=batch["decoder_input_tokens"]).logits
            answers = model.generate(
                input_ids=inputs, attention_mask=mask, max_new_tokens=given.ANSWER, do_sample=False, num_beams=1
            )
        found[f"{case}/logits"] = logits.numpy()
        padded = np.zeros((len(inputs), given.ANSWER), np.int32)
        padded[:, : answers.shape[1] - 1] = answers[:, 1:].numpy()
        found[f"{case}/answers"] = padded
    versions = {name: importlib.metadata.version(name) for name in ("transformers", "torch", "numpy")}
    np.savez_compressed(out, made_with=json.dumps(versions), **found)


if __name__ == "__main__":
    main(sys.argv[1])
