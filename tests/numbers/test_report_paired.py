"""Two runs side by side: differences on common rows, and nothing said where the rows are not the same."""

import made_evaluation
import numpy as np
import pytest

from t0jax import rank
from t0jax.report import paired
from t0jax.report.evaluation import read_evaluation


@pytest.fixture
def read(tmp_path):
    return lambda name, wordings: read_evaluation(str(made_evaluation.write(tmp_path / name, {"rte": wordings})))


def first_rows(scores, rows):
    return rank.TaskScores(scores.examples[:rows], scores.logp[:rows], scores.correct[:rows], scores.choices[:rows])


def test_the_interval_draws_the_same_rows_for_both(read):
    first, other = (made_evaluation.noisy(accuracies, rows=60) for accuracies in ([0.5, 0.7, 0.8], [0.4, 0.5, 0.6]))
    (one,), said = paired.differences(read("a", first), read("b", other))
    assert said == ()
    hits = [np.array([task.hits for task in tasks.values()], float) for tasks in (first, other)]
    random, apart = np.random.default_rng(0), []
    for _ in range(rank.BOOTSTRAP_RESAMPLES):
        drawn = random.integers(0, 60, 60)
        medians = [np.median(matrix[:, drawn].mean(1)) for matrix in hits]
        apart.append(medians[0] - medians[1])
    assert (one.low, one.high) == pytest.approx(tuple(np.percentile(apart, [2.5, 97.5])))
    assert one.difference == pytest.approx(np.median(hits[0].mean(1)) - np.median(hits[1].mean(1)))


def test_a_run_does_not_differ_from_itself(read):
    tasks = made_evaluation.noisy([0.5, 0.7])
    (one,), _ = paired.differences(read("a", tasks), read("b", tasks))
    assert (one.difference, one.low, one.high, one.verdict) == (0, 0, 0, "no difference")


def test_a_small_gain_on_every_row_alike_shows_though_the_medians_intervals_overlap(read):
    before = made_evaluation.noisy([0.5] * 3, rows=300)
    after = {n: rank.TaskScores(t.examples, t.logp.copy(), t.correct, t.choices) for n, t in before.items()}
    for task in after.values():
        for row in np.flatnonzero(~task.hits)[:15]:
            task.logp[row] = np.where(task.correct[row], 0.0, -1.0)
    first, other = read("a", after), read("b", before)
    (one,), _ = paired.differences(first, other)
    assert first.outcomes[0].low < other.outcomes[0].high
    assert (one.verdict, one.difference) == ("higher", pytest.approx(0.05))


def test_rows_and_wordings_of_only_one_run_are_left_out_and_counted(read):
    tasks = made_evaluation.noisy([0.5, 0.7, 0.9], rows=100)
    fewer = {n: first_rows(tasks[n], 60) for n in (0, 1)}
    (one,), said = paired.differences(read("a", tasks), read("b", fewer))
    assert said == ("a and b did not score the same rows, those of only one are left out: rte (40)",)
    assert (one.rows, one.left_out, one.wordings, one.is_same_wordings) == (60, 40, (2, 2), True)
    assert one.difference == 0


def test_runs_without_a_common_wording_are_compared_with_all_of_each(read):
    tasks = made_evaluation.noisy([0.9, 0.9, 0.5])
    first, other = {"x": tasks[0], "y": tasks[1]}, {"control": tasks[2]}
    (one,), _ = paired.differences(read("a", first), read("b", other))
    assert (one.is_same_wordings, one.wordings, one.verdict) == (False, (2, 1), "higher")
    assert "no wording in common on rte" in " ".join(paired.section([one], ("a", "b")).notes)


def test_the_overview_counts_datasets_as_t0_s_paper_does():
    about = {"wordings": (5, 5), "is_same_wordings": True, "rows": 9, "left_out": 0, "first": 0.5}
    ones = [
        paired.Difference(dataset="a", other=0.4, spreads=(0.1, 0.2), low=0.05, high=0.15, **about),
        paired.Difference(dataset="b", other=0.45, spreads=(0.1, 0.1), low=-0.05, high=0.15, **about),
        paired.Difference(dataset="c", other=0.65, spreads=(0.3, 0.1), low=-0.25, high=-0.05, **about),
    ]
    said = paired.overview(ones)
    assert "Higher on 2 of 3 datasets (1 by the interval), lower by the interval on 1" in said
    assert "IQR over wordings is smaller on 1" in said
    assert "mean difference is +0.0 points (-5.0 to +5.0)" in said  # root of (5² + 10² + 10²) / 3


def test_rows_with_other_right_answers_are_not_compared(read):
    gold = np.arange(50) % 2
    found, said = paired.differences(
        read("a", {"w": made_evaluation.task(gold, gold)}), read("b", {"w": made_evaluation.task(1 - gold, gold)})
    )
    assert found == ()
    assert said == ("a and b are not compared on rte: their rows have other right answers, so they are not the same rows.",)


def test_runs_without_a_common_row_are_not_compared(read):
    first, other = (made_evaluation.task([0] * 5, [0] * 5, examples=range(n, n + 5)) for n in (0, 5))
    assert "no row in common" in paired.differences(read("a", {"w": first}), read("b", {"w": other}))[1][0]
