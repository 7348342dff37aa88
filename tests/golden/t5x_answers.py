"""t5x's answers on small models by beam search: `python t5x_answers.py OUT.npz`. Needs t5x and NumPy, no t0jax.

For t5x see t5x_numbers.py, which makes the models. The file holds for T5 1.1 and T5 1.0 the best answers by number of beams and
alpha (0 behind EOS), and `made_with`, the versions.
"""

import importlib.metadata
import json
import sys

import golden_inputs as given
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from t5x_numbers import model_of, variables_of


def main(out: str) -> None:
    """Write the fixture."""
    found: dict[str, np.ndarray] = {}
    rows = given.questions()
    batch = {"encoder_input_tokens": rows, "decoder_input_tokens": np.zeros((len(rows), given.ANSWER), np.int32)}
    for name in given.MODELS:
        model = model_of(name)
        flat = {leaf: np.array(values) for leaf, values in flatten_dict(variables_of(model)["params"], sep="/").items()}
        pulled = {leaf: jnp.asarray(given.for_answers(leaf, values, given.PULL)) for leaf, values in flat.items()}
        params = unflatten_dict(pulled, sep="/")
        for beams, alpha in given.BEAMS:
            settings = {"decoder_params": {"alpha": alpha}, "num_decodes": beams}
            answers, _ = model.predict_batch_with_aux(params, batch, **settings)
            found[f"{name}/{beams}/{alpha}"] = np.asarray(answers, np.int32)
    versions = {name: importlib.metadata.version(name) for name in ("t5x", "jax", "flax", "numpy")}
    np.savez_compressed(out, made_with=json.dumps({**versions, "t5x_commit": "cc342d4"}), **found)


if __name__ == "__main__":
    main(sys.argv[1])
