"""The answers of transformers and of t5x on the same weights: beams under either's rules, and what may be drawn.

tests/golden/hf_answers.py and t5x_answers.py made the fixtures.
"""

import pathlib

import golden_inputs as given
import numpy as np
import pytest
from golden_model import assert_again, by_layer, config_of, in_layout, weights_of
from peers import interpreter, run

from t0jax.batch import EOS_ID
from t0jax.config import DecodeConfig, ModelConfig
from t0jax.evaluation.decoding import drawable
from t0jax.evaluation.generate import Generator
from t0jax.model.t5 import T5

GOLDEN = pathlib.Path(given.__file__).parent
CASES = [*(("t5_1_1", *pair) for pair in given.BEAMS), ("t5_1_0", *given.BEAMS[1])]
"""Of what the fixtures hold: each is a program to compile."""


def fixture(name: str) -> dict[str, np.ndarray]:
    return dict(np.load(GOLDEN / f"{name}.npz"))


def assert_answers(config: ModelConfig, how: DecodeConfig, expected: np.ndarray) -> None:
    leaves = {name: given.for_answers(name, leaf.copy(), given.PULL) for name, leaf in by_layer(weights_of(config)).items()}
    lengths = {"inputs": given.INPUTS, "targets": given.ANSWER}
    generator = Generator(T5(config), in_layout(leaves, config), how, task_feature_lengths=lengths, batch_size=16)
    inputs = [row[row > 0] for row in given.questions()]
    for ours, theirs in zip(generator.generate(inputs), expected, strict=True):
        ends = np.flatnonzero(theirs == EOS_ID)
        np.testing.assert_array_equal(ours, theirs[: ends[0]] if ends.size else theirs)


@pytest.mark.parametrize(("name", "beams", "penalty"), CASES)
def test_beams_are_those_of_transformers(name: str, beams: int, penalty: float) -> None:
    how = DecodeConfig(num_decodes=beams, alpha=penalty, beam_rules="transformers")
    assert_answers(config_of(name, True), how, fixture("hf_answers")[f"{name}/{beams}/{penalty}"])


@pytest.mark.parametrize(("name", "beams", "alpha"), CASES)
def test_beams_are_those_of_t5x(name: str, beams: int, alpha: float) -> None:
    how = DecodeConfig(num_decodes=beams, alpha=alpha)
    assert_answers(config_of(name, beams > 2), how, fixture("t5x_answers")[f"{name}/{beams}/{alpha}"])


@pytest.mark.parametrize("name", given.MODELS)
def test_rules_and_penalties_change_some_answers(name: str) -> None:
    ours, theirs = fixture("t5x_answers"), fixture("hf_answers")
    for beams, penalty in given.BEAMS:
        assert (ours[f"{name}/{beams}/{penalty}"] != theirs[f"{name}/{beams}/{penalty}"]).any()
    for found in (ours, theirs):
        assert (found[f"{name}/4/0.6"] != found[f"{name}/4/2.0"]).any()
        ended = (found[f"{name}/4/0.6"] == EOS_ID).any(1)
        assert ended.any() and not ended.all()


@pytest.mark.parametrize(("temperature", "topk", "topp"), given.FILTERS)
def test_what_may_be_drawn_is_what_transformers_leaves(temperature: float, topk: int, topp: float) -> None:
    left = np.asarray(drawable(given.logits(), DecodeConfig(temperature=temperature, topk=topk, topp=topp)))
    is_left = np.isfinite(left)
    np.testing.assert_array_equal(is_left, fixture("hf_answers")[f"filters/{temperature}/{topk}/{topp}"])
    np.testing.assert_allclose(left[is_left], given.logits()[is_left] / temperature, rtol=1e-6)


@pytest.mark.live
@pytest.mark.parametrize(
    ("name", "variable", "package"), [("hf", "T0JAX_HF_PYTHON", "transformers"), ("t5x", "T0JAX_T5X_PYTHON", "t5x")]
)
def test_the_peer_makes_this_fixture_again(tmp_path: pathlib.Path, name: str, variable: str, package: str) -> None:
    run(interpreter(variable, package), GOLDEN / f"{name}_answers.py", tmp_path / "again.npz")
    assert_again(tmp_path / "again.npz", fixture(f"{name}_answers"))
