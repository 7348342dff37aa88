"""Choices score as transformers and t5x score them on the same weights, one row a choice: tests/golden made the fixtures."""

import functools
import pathlib

import golden_inputs as given
import numpy as np
import pytest
from golden_model import assert_again, by_layer, config_of, in_layout, weights_of
from peers import interpreter, run

from t0jax.batch import RankExample
from t0jax.evaluation.score import Scorer
from t0jax.model.t5 import T5

GOLDEN = pathlib.Path(given.__file__).parent
PEERS = {"hf_scores": ("T0JAX_HF_PYTHON", "transformers"), "t5x_scores": ("T0JAX_T5X_PYTHON", "t5x")}
TOLERANCE = 2e-6
"""Of a log-probability: float32's rounding over up to 13 tokens. No two choices lie as near that are not equal."""


@functools.cache
def ours(name: str, peer: str) -> list[np.ndarray]:
    config, leaves = config_of(name, True), by_layer(weights_of(config_of(name, True)))
    if peer == "hf_scores":  # its fixture's models are those of the answers
        leaves = {leaf: given.for_answers(leaf, values.copy()) for leaf, values in leaves.items()}
    examples = [RankExample("t", n, *each, [True] * len(each[1])) for n, each in enumerate(given.ranked())]
    lengths = {"inputs": given.INPUTS, "targets": 16}
    scorer = Scorer(T5(config), in_layout(leaves, config), task_feature_lengths=lengths, batch_size=4)
    return scorer.score(examples)


@pytest.mark.parametrize("name", given.MODELS)
@pytest.mark.parametrize("peer", PEERS)
def test_choices_score_and_rank_as_the_peers_have_them(name: str, peer: str) -> None:
    theirs = np.load(GOLDEN / f"{peer}.npz")[name]
    found = ours(name, peer)
    np.testing.assert_allclose(np.concatenate(found), theirs, rtol=TOLERANCE)
    ends = np.cumsum([len(one) for one in found])
    for mine, other in zip(found, np.split(theirs, ends[:-1]), strict=True):
        first, second = np.sort(other)[::-1][:2]
        is_tie = first - second < 2 * TOLERANCE * abs(first)
        assert is_tie or mine.argmax() == other.argmax()
    assert np.ptp(theirs) > 10  # they differ at all


def test_equal_choices_tie_exactly_and_the_first_wins() -> None:
    first = ours("t5_1_1", "t5x_scores")[0]
    assert first[0] == first[-1]


@pytest.mark.live
@pytest.mark.parametrize("peer", PEERS)
def test_the_peer_makes_this_fixture_again(tmp_path: pathlib.Path, peer: str) -> None:
    run(interpreter(*PEERS[peer]), GOLDEN / f"{peer}.py", tmp_path / "again.npz")
    assert_again(tmp_path / "again.npz", dict(np.load(GOLDEN / f"{peer}.npz")))
