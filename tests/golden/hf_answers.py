"""transformers' answers on small T5s: `python hf_answers.py OUT.npz`. Needs torch, transformers and NumPy, no t0jax.

`pip install torch==2.13.0 transformers==5.24.0`. Weights and inputs come from golden_inputs.py, models from hf_numbers.py. The
file holds for T5 1.1 and T5 1.0 the best answers of beam search by number of beams and length penalty (0 behind EOS); which
tokens its filters leave of logits by temperature, top-k and top-p; and `made_with`, the versions.
"""

import importlib.metadata
import json
import sys

import golden_inputs as given
import numpy as np
import torch
from hf_numbers import model_of
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

CASES = {"t5_1_1": "t5_1_1_untied", "t5_1_0": "t5_1_0_tied"}


def answers_of(name: str, rows: torch.Tensor) -> dict[str, np.ndarray]:
    """The answers of one model by their settings."""
    model, found = model_of(CASES[name], given.PULL), {}
    for beams, penalty in given.BEAMS:
        settings = {"num_beams": beams, "length_penalty": penalty, "max_new_tokens": given.ANSWER, "do_sample": False}
        with torch.no_grad():
            answers = model.generate(input_ids=rows, attention_mask=(rows > 0).long(), **settings)
        padded = np.zeros((len(rows), given.ANSWER), np.int32)
        padded[:, : answers.shape[1] - 1] = answers[:, 1:].numpy()
        found[f"{name}/{beams}/{penalty}"] = padded
    return found


def drawable(temperature: float, topk: int, topp: float) -> np.ndarray:
    """1 where a token may be drawn."""
    logits = TemperatureLogitsWarper(temperature)(None, torch.from_numpy(given.logits()))
    if topk:
        logits = TopKLogitsWarper(topk)(None, logits)
    if topp:
        logits = TopPLogitsWarper(topp)(None, logits)
    return torch.isfinite(logits).numpy().astype(np.int8)


def main(out: str) -> None:
    """Write the fixture."""
    found: dict[str, np.ndarray] = {}
    for name in given.MODELS:
        found |= answers_of(name, torch.from_numpy(given.questions()).long())
    for settings in given.FILTERS:
        found["filters/" + "/".join(map(str, settings))] = drawable(*settings)
    versions = {name: importlib.metadata.version(name) for name in ("transformers", "torch", "numpy")}
    np.savez_compressed(out, made_with=json.dumps(versions), **found)


if __name__ == "__main__":
    main(sys.argv[1])
