"""transformers' scores of choices on small T5s: `python hf_scores.py OUT.npz`. Needs torch, transformers, NumPy, no t0jax.

Weights and inputs come from golden_inputs.py, models (for answers) from hf_numbers.py. The file holds for T5 1.1 and T5 1.0 the
summed log-probability of each choice, EOS included, as T0's released script makes it: one row a choice; and `made_with`.
"""

import importlib.metadata
import json
import sys

import golden_inputs as given
import numpy as np
import torch
from hf_answers import CASES
from hf_numbers import model_of


def scores_of(name: str) -> np.ndarray:
    """One number for each row of `given.one_choice_a_row`."""
    rows = {side: torch.from_numpy(tokens).long() for side, tokens in given.one_choice_a_row().items()}
    mask = (rows["targets"] > 0).float()
    with torch.no_grad():
        masks = {"attention_mask": (rows["inputs"] > 0).long()}
        logits = model_of(CASES[name])(input_ids=rows["inputs"], labels=rows["targets"], **masks).logits
    logp = torch.log_softmax(logits.float(), dim=-1)
    return (torch.gather(logp, -1, rows["targets"][..., None])[..., 0] * mask).sum(-1).numpy()


def main(out: str) -> None:
    """Write the fixture."""
    found = {name: scores_of(name) for name in given.MODELS}
    versions = {name: importlib.metadata.version(name) for name in ("transformers", "torch", "numpy")}
    np.savez_compressed(out, made_with=json.dumps(versions), **found)


if __name__ == "__main__":
    main(sys.argv[1])
