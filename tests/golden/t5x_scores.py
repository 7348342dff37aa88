"""t5x's scores of choices on small models: `python t5x_scores.py OUT.npz`. Needs t5x and NumPy, no t0jax.

For t5x see t5x_numbers.py, which makes the models. The file holds for T5 1.1 and T5 1.0 what `score_batch` finds of each
choice, one row a choice, and `made_with`, the versions.
"""

import importlib.metadata
import json
import sys

import golden_inputs as given
import numpy as np
from t5x_numbers import model_of, variables_of


def main(out: str) -> None:
    """Write the fixture."""
    rows = given.one_choice_a_row()
    batch = {
        "encoder_input_tokens": rows["inputs"],
        "decoder_input_tokens": np.pad(rows["targets"][:, :-1], ((0, 0), (1, 0))),
        "decoder_target_tokens": rows["targets"],
        "decoder_loss_weights": (rows["targets"] > 0).astype(np.float32),
    }
    found = {}
    for name in given.MODELS:
        model = model_of(name)
        found[name] = np.asarray(model.score_batch(variables_of(model)["params"], batch), np.float32)
    versions = {name: importlib.metadata.version(name) for name in ("t5x", "jax", "flax", "numpy")}
    np.savez_compressed(out, made_with=json.dumps({**versions, "t5x_commit": "cc342d4"}), **found)


if __name__ == "__main__":
    main(sys.argv[1])
