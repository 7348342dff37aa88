"""The same logits and greedy answers as transformers' T5: T5 1.1 and T5 1.0, with logits of their own and tied ones.

tests/golden/hf_numbers.py made the fixture. What the errors measure stands in docs/numerics.md.
"""

import pathlib

import golden_inputs as given
import jax
import numpy as np
import pytest
from golden_model import assert_again, batch_of, by_layer, in_layout, weights_of
from peers import interpreter, run

from t0jax.batch import EOS_ID
from t0jax.config import ModelConfig
from t0jax.evaluation.generate import Generator
from t0jax.model.t5 import T5

LOGITS = 5e-6
"""Of the largest logit."""


@pytest.fixture(scope="module")
def transformers() -> dict[str, np.ndarray]:
    """What transformers found."""
    return dict(np.load(pathlib.Path(given.__file__).parent / "hf_numbers.npz"))


@pytest.mark.parametrize("case", given.HF_MODELS)
def test_logits_and_greedy_answers_are_those_of_transformers(case: str, transformers: dict[str, np.ndarray]) -> None:
    config = ModelConfig(**given.SIZES | given.HF_MODELS[case] | {"dropout_rate": 0.0, "dtype": "float32"})
    weights = {name: given.for_answers(name, leaf.copy()) for name, leaf in by_layer(weights_of(config)).items()}
    params, batch = in_layout(weights, config), batch_of("plain")
    logits = jax.jit(T5(config).apply)(
        {"params": params}, batch | {"decoder_segment_ids": np.ones((given.ROWS, given.TARGETS), np.int32)}
    )
    expected = transformers[f"{case}/logits"]
    assert np.abs(logits - expected).max() < LOGITS * np.abs(expected).max()
    answers = transformers[f"{case}/answers"]
    generator = Generator(T5(config), params, task_feature_lengths={"inputs": given.INPUTS, "targets": answers.shape[1]})
    inputs = [row[row > 0] for row in batch["encoder_input_tokens"]]
    for ours, theirs in zip(generator.generate(inputs), answers, strict=True):
        ends = np.flatnonzero(theirs == EOS_ID)
        np.testing.assert_array_equal(ours, theirs[: ends[0]] if ends.size else theirs)


def test_some_of_the_answers_end_early(transformers: dict[str, np.ndarray]) -> None:
    ends = [(transformers[f"{case}/answers"] == EOS_ID).any(1) for case in given.HF_MODELS]
    assert any(one.any() for one in ends) and not all(one.all() for one in ends)


@pytest.mark.live
def test_transformers_makes_this_fixture_again(tmp_path: pathlib.Path, transformers: dict[str, np.ndarray]) -> None:
    python = interpreter("T0JAX_HF_PYTHON", "transformers")
    run(python, pathlib.Path(given.__file__).with_name("hf_numbers.py"), tmp_path / "again.npz")
    assert_again(tmp_path / "again.npz", transformers)
