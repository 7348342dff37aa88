"""t5x's numbers on small models: `python t5x_numbers.py OUT.npz`. Needs t5x and NumPy, no t0jax.

t5x is on no registry: clone github.com/google-research/t5x at cc342d4, `pip install .` and what it names. Weights and batches
come from golden_inputs.py. The file holds, by name: logits, losses by their settings, digests of gradients, and of parameters
and statistics after ten steps of Adafactor; bucket numbers of relative positions; `made_with`, the versions.
"""

import importlib.metadata
import json
import sys
from typing import Any

import golden_inputs as given
import jax
import jax.numpy as jnp
import numpy as np
import seqio
from flax.traverse_util import flatten_dict, unflatten_dict
from t5x import adafactor, models, train_state, trainer
from t5x.examples.t5 import layers, network

STARTS = {"fresh": 0, "pretrained": 1_100_000}
STEPS, LEARNING_RATE = 10, 1e-3


def model_of(name: str, dtype: str = "float32", **loss: Any) -> models.EncoderDecoderModel:
    """t5x's model with T5's optimizer as its gin files set it."""
    config = network.T5Config(dtype=dtype, dropout_rate=0.0, **given.SIZES, **given.MODELS[name])
    rules = adafactor.standard_logical_factor_rules()
    optimizer = adafactor.Adafactor(decay_rate=0.8, step_offset=0, logical_factor_rules=rules)
    vocabulary = seqio.PassThroughVocabulary(config.vocab_size)
    return models.EncoderDecoderModel(network.Transformer(config), vocabulary, vocabulary, optimizer, **loss)


def variables_of(model: models.EncoderDecoderModel) -> Any:
    """What the model's initializer makes, with the given weights instead of random ones."""
    shapes = {name: (given.ROWS, given.INPUTS) for name in ("encoder_input_tokens",)}
    shapes |= {name: (given.ROWS, given.TARGETS) for name in ("decoder_input_tokens", "decoder_target_tokens")}
    variables = model.get_initial_variables(jax.random.PRNGKey(0), shapes)
    flat = flatten_dict(dict(variables)["params"], sep="/")
    params = {name: jnp.asarray(given.weights(name, leaf.shape)) for name, leaf in flat.items()}
    return {**variables, "params": unflatten_dict(params, sep="/")}


def gradients_of(found: dict[str, np.ndarray], name: str) -> None:
    """Logits, losses and gradients of one model."""
    params = variables_of(model_of(name))["params"]
    for kind in ("packed", "plain"):
        batch = given.batch(kind)
        found[f"{name}/{kind}/logits"] = np.asarray(model_of(name)._compute_logits(params, batch), np.float32)
        for case, settings in given.LOSSES.items():
            model = model_of(name, **settings)
            differentiate = jax.value_and_grad(lambda params, model=model, batch=batch: model.loss_fn(params, batch, None)[0])
            loss, gradient = jax.jit(differentiate)(params)
            found[f"{name}/{kind}/{case}/loss"] = np.asarray(loss)
            found[f"{name}/{kind}/{case}/gradient"] = given.tree_digest(flatten_dict(gradient, sep="/"))
    low = model_of(name, dtype="bfloat16")
    found[f"{name}/packed/bfloat16"] = np.asarray(low._compute_logits(params, given.batch("packed")), np.float32)


def steps_of(found: dict[str, np.ndarray], start: str, microbatches: int) -> None:
    """Ten steps of training of T5 1.1 on ten packed batches."""
    model = model_of("t5_1_1", z_loss=1e-4)
    state = train_state.FlaxOptimTrainState.create(model.optimizer_def, variables_of(model))
    held = flatten_dict(state.state_dict(), sep="/")
    if STARTS[start]:
        names = [name for name in held if name.startswith("state/param_states/")]
        held |= {name: given.statistics(name, held[name].shape) for name in names}
        state = state.restore_state(unflatten_dict(held | {"state/step": np.int32(STARTS[start])}, sep="/"))
    step = jax.jit(lambda state, batch: trainer.train_with_lr(state, batch, LEARNING_RATE, None, model, microbatches))
    for seed in range(STEPS):
        if microbatches == 1:
            state, _ = step(state, given.batch("packed", seed))
            continue
        key = jax.random.PRNGKey(0)  # t5x splits it for each part, though nothing is dropped
        state, _ = trainer.train_with_lr(state, given.batch("packed", seed), LEARNING_RATE, key, model, microbatches)
    held = flatten_dict(state.state_dict(), sep="/")
    targets = {name.removeprefix("target/"): leaf for name, leaf in held.items() if name.startswith("target/")}
    prefix = "state/param_states/"
    slots = {name.removeprefix(prefix): leaf for name, leaf in held.items() if name.startswith(prefix)}
    found[f"steps/{start}/{microbatches}/params"] = given.tree_digest(targets)
    for slot in ("v_row", "v_col", "v"):
        of_slot = {name: leaf for name, leaf in slots.items() if name.rpartition("/")[2] == slot}
        found[f"steps/{start}/{microbatches}/{slot}"] = given.tree_digest(of_slot)


def main(out: str) -> None:
    """Write the fixture."""
    found: dict[str, np.ndarray] = {}
    for name in given.MODELS:
        gradients_of(found, name)
    for start in STARTS:
        steps_of(found, start, 1)
    steps_of(found, "fresh", 2)
    distances = np.arange(-300, 301)
    for is_bidirectional in (True, False):
        buckets = layers.RelativePositionBiases._relative_position_bucket(distances, is_bidirectional, 32, 128)
        found[f"buckets/{'encoder' if is_bidirectional else 'decoder'}"] = np.asarray(buckets, np.int8)
    versions = {name: importlib.metadata.version(name) for name in ("t5x", "jax", "flax", "numpy")}
    np.savez_compressed(out, made_with=json.dumps({**versions, "t5x_commit": "cc342d4"}), **found)


if __name__ == "__main__":
    main(sys.argv[1])
