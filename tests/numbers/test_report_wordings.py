"""What the wording did: every statistic against a plain recomputation, in loops, from its definition."""

from itertools import combinations

import made_evaluation
import numpy as np
import pytest

from t0jax import rank
from t0jax.report import agreement, calibration, wordings
from t0jax.report.evaluation import read_evaluation


@pytest.fixture
def read(tmp_path):
    return lambda datasets: read_evaluation(str(made_evaluation.write(tmp_path / "e", datasets)))


def scores_of(logp, correct):
    return rank.task_scores(range(len(logp)), logp, correct)


def test_a_wording_helps_or_hurts_only_when_its_interval_says_so(read):
    evaluation = read({"rte": made_evaluation.noisy([0.6, 0.6, 0.6, 0.9, 0.2], rows=500)})
    found = wordings.effects(evaluation)
    assert [one.verdict for one in found] == ["", "", "", "helps", "hurts"]
    median = evaluation.outcomes[0].median
    assert [one.difference for one in found] == [pytest.approx(one.accuracy - median) for one in found]


def test_the_interval_of_an_effect_draws_the_rows_for_all_wordings_at_once(read):
    evaluation = read({"rte": made_evaluation.noisy([0.5, 0.6, 0.8], rows=50)})
    hits = np.array([task.hits for task in evaluation.scores.values()], float)
    random, apart = np.random.default_rng(0), []
    for _ in range(rank.BOOTSTRAP_RESAMPLES):
        accuracies = hits[:, random.integers(0, 50, 50)].mean(1)
        apart.append(accuracies - np.median(accuracies))
    expected = np.percentile(apart, [2.5, 97.5], axis=0).T
    np.testing.assert_allclose([(one.low, one.high) for one in wordings.effects(evaluation)], expected, atol=1e-9)


def test_a_dataset_s_only_wording_has_nothing_to_differ_from(read):
    assert wordings.effects(read({"rte": made_evaluation.noisy([0.6])})) == ()


def test_a_property_that_goes_with_accuracy_is_found_and_another_is_not(read):
    random = np.random.default_rng(0)
    datasets = {f"d{n}": made_evaluation.noisy([0.5, 0.55, 0.6, 0.7, 0.75, 0.8], rows=2000, seed=n) for n in range(4)}
    evaluation = read(datasets)
    properties = {}
    for outcome in evaluation.outcomes:
        for number, wording in enumerate(outcome.wordings):
            properties[wording.task] = {"words": float(number), "asks": float(number >= 3), "noise": float(random.random())}
    words, asks, noise = wordings.associations(evaluation, properties)
    assert (words.effect, words.gain) == (pytest.approx(1), None)
    assert asks.gain == pytest.approx(0.2, abs=0.03)
    assert words.p < 0.001 and asks.p < 0.001 and noise.p > 0.05
    assert words.datasets == 4


def test_the_correlation_is_spearman_s_ties_included():
    x, y = [1.0, 2.0, 2.0, 5.0, 5.0, 5.0], [0.3, 0.1, 0.4, 0.4, 0.9, 0.2]
    ranks = [[np.mean([np.sum(np.array(v) < a) + 1, np.sum(np.array(v) <= a)]) for a in v] for v in (x, y)]
    expected = np.corrcoef(*ranks)[0, 1]
    assert wordings._unit_ranks(np.array(x)) @ wordings._unit_ranks(np.array(y)) == pytest.approx(expected)


def test_properties_that_are_not_known_of_every_wording_say_nothing(read):
    evaluation = read({"d": made_evaluation.noisy([0.5, 0.6, 0.7])})
    tasks = list(evaluation.scores)
    assert wordings.associations(evaluation, {tasks[0]: {"words": 1.0}, tasks[1]: {"words": 2.0}}) == ()
    assert wordings.associations(evaluation, {task: {"words": 3.0} for task in tasks}) == ()


def test_kappa_is_fleiss_s_of_his_own_example():
    """Fleiss (1971) as tabled in many textbooks: 10 subjects, 14 raters, 5 categories, kappa 0.210."""
    counts = [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
    observed, kappa = agreement.fleiss(np.array(counts))
    assert (round(observed, 3), round(kappa, 3)) == (0.378, 0.210)


def test_pairwise_agreement_counts_pairs_of_wordings(read):
    random = np.random.default_rng(3)
    gold = random.integers(0, 3, 40)
    picks = random.integers(0, 3, (4, 40))
    tasks = {n: made_evaluation.task(gold, pick, 3) for n, pick in enumerate(picks)}
    (one,) = agreement.agreements(read({"cb": tasks}))
    pairs = [np.mean(picks[a] == picks[b]) for a, b in combinations(range(4), 2)]
    assert one.pairwise == pytest.approx(np.mean(pairs))
    right = (picks == gold).sum(0)
    assert (one.always_right, one.always_wrong) == (np.mean(right == 4), np.mean(right == 0))
    assert one.flipping == pytest.approx(np.mean((right > 0) & (right < 4)))


def test_wordings_that_always_choose_the_same_agree_and_chance_explains_it(read):
    gold = [0, 1] * 20
    (one,) = agreement.agreements(read({"rte": {n: made_evaluation.task(gold, [0] * 40) for n in range(3)}}))
    assert (one.pairwise, one.kappa) == (1.0, None)


def test_a_wording_with_its_choices_in_another_order_is_left_out_of_the_agreement(read):
    gold = np.array([0, 1] * 20)
    tasks = {n: made_evaluation.task(gold, gold) for n in range(3)} | {"reversed": made_evaluation.task(1 - gold, 1 - gold)}
    (one,) = agreement.agreements(read({"rte": tasks}))
    assert (one.wordings, one.others, one.pairwise, one.kappa) == (3, 1, 1.0, 1.0)
    assert one.always_right == 1.0  # of all four: right is right in any order


def test_wordings_that_apply_to_other_rows_agree_on_the_common_ones(read):
    even, odd = list(range(0, 20, 2)), list(range(1, 20, 2))
    tasks = {
        "all": made_evaluation.task([0] * 20, [0] * 20),
        "even": made_evaluation.task([0] * 10, [0] * 5 + [1] * 5, examples=even),
        "odd": made_evaluation.task([0] * 10, [0] * 10, examples=odd),
    }
    (one,) = agreement.agreements(read({"copa": tasks}))
    assert one.pairwise == pytest.approx(15 / 20)
    assert {flip.example for flip in one.flips} == {10, 12, 14, 16, 18}
    assert {(flip.right, flip.wordings) for flip in one.flips} == {(1, 2)}


def test_the_rows_that_flip_most_divide_the_wordings_most_evenly(read):
    right = {7: 2, 3: 1, 9: 3, 0: 4, 1: 0}  # example -> how many of the four wordings are right
    tasks = {w: made_evaluation.task([0] * 10, [int(w >= right.get(e, 4)) for e in range(10)]) for w in range(4)}
    (one,) = agreement.agreements(read({"rte": tasks}))
    assert [(flip.example, flip.right) for flip in one.flips] == [(7, 2), (3, 1), (9, 3)]


def test_calibration_undoes_a_preference_for_a_choice(read):
    random = np.random.default_rng(0)
    gold = random.integers(0, 2, 400)
    fair = random.normal(size=(400, 2)) * 0.5 + 2.0 * (gold[:, None] == np.arange(2))
    correct = gold[:, None] == np.arange(2)
    tasks = {n: scores_of(fair - [0, bias], correct) for n, bias in enumerate((0.0, 2.5, 3.0))}
    (one,), left_out = calibration.calibrations(read({"rte": tasks}))
    assert left_out == ()
    assert one.median < 0.6
    assert one.calibrated > 0.9 and one.low > 0.25
    assert one.favour > 0.1
    assert one.wordings[0] == pytest.approx(np.mean(fair.argmax(1) == gold), abs=0.02)


def test_calibrated_scores_follow_their_formula():
    logp = np.array([[-1.0, -2.0, -7.0], [-3.0, -0.5, -4.0]])
    p = np.exp(logp) / np.exp(logp).sum(1, keepdims=True)
    np.testing.assert_allclose(calibration.calibrated_logp(logp), np.log(p / p.mean(0)), rtol=1e-12)


def test_calibration_of_very_unlikely_choices_stays_finite():
    assert np.isfinite(calibration.calibrated_logp(np.array([[-1.0, -5000.0], [-2.0, -9000.0]]))).all()


def test_rows_with_different_numbers_of_choices_are_not_calibrated(read):
    tasks = {"a": scores_of([[-1.0, -2.0], [-1.0, -2.0, -3.0]], [[True, False], [True, False, False]])}
    assert calibration.calibrations(read({"d": tasks})) == ((), ("d",))
