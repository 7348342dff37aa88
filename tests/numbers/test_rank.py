"""From choices to outcomes: T0's protocol, against numbers worked out by hand."""

import json

import numpy as np
import pytest

from t0jax import rank
from t0jax.errors import InputError


def task(gold, picked, choices=2, examples=None):
    """Scores of one task whose model picks `picked` where `gold` is right."""
    logp = [[0.0 if choice == pick else -1.0 for choice in range(choices)] for pick in picked]
    correct = [[choice == right for choice in range(choices)] for right in gold]
    return rank.task_scores(list(range(len(gold))) if examples is None else examples, logp, correct)


def origins(*names, dataset="super_glue/rte"):
    return {name: rank.Origin(dataset, "nli", f"wording {name}") for name in names}


def write(path, lines):
    path.write_text("".join(json.dumps(dict(zip(rank.SCORE_FIELDS, line, strict=True))) + "\n" for line in lines))
    return path


def test_the_first_choice_wins_a_tie():
    scores = rank.task_scores([0, 1], [[-1.0, -1.0], [-2.0, -2.0]], [[True, False], [False, True]])
    assert scores.hits.tolist() == [True, False]


def test_any_correct_choice_counts():
    scores = rank.task_scores([0, 1], [[-3.0, -1.0, -2.0]] * 2, [[True, True, False], [True, False, True]])
    assert scores.hits.tolist() == [True, False]
    assert scores.random == pytest.approx(2 / 3)
    assert scores.majority == 1.0  # always the first


def test_longer_choices_get_no_bonus():
    scores = rank.task_scores([0], [[-4.0, -9.0]], [[True, False]])  # sums, whatever the choices' lengths
    assert scores.accuracy == 1.0


def test_examples_may_differ_in_their_number_of_choices():
    scores = rank.task_scores([5, 2], [[-1.0, -2.0, -3.0, -0.5], [-1.0, -2.0]], [[False] * 3 + [True], [True, False]])
    assert scores.examples.tolist() == [2, 5]
    assert scores.choices.tolist() == [2, 4]
    assert scores.hits.tolist() == [True, True]
    assert scores.random == pytest.approx((1 / 2 + 1 / 4) / 2)


def test_majority_is_the_most_frequent_index_of_the_correct_choice():
    assert task([0, 1, 1, 1, 2], [0] * 5, choices=3).majority == pytest.approx(3 / 5)


def test_median_mean_and_quartiles_over_wordings():
    gold = [0] * 10
    scores = {f"t{right}": task(gold, [0] * right + [1] * (10 - right)) for right in (1, 3, 4, 8)}
    (outcome,) = rank.outcomes(scores, origins(*scores))
    assert (outcome.median, outcome.mean) == (pytest.approx(0.35), pytest.approx(0.4))
    assert (outcome.q1, outcome.q3) == (pytest.approx(0.25), pytest.approx(0.5))
    assert [wording.accuracy for wording in outcome.wordings] == [0.1, 0.3, 0.4, 0.8]
    assert (outcome.majority, outcome.random, outcome.rows) == (1.0, 0.5, 10)
    assert (outcome.worst, outcome.spread) == (0.1, pytest.approx(0.7))
    assert outcome.mean_low < outcome.mean < outcome.mean_high


def test_a_wording_that_does_not_apply_to_a_row_leaves_a_gap():
    scores = {"a": task([0, 0], [0, 1], examples=[3, 7]), "b": task([0], [0], examples=[5])}
    expected = [[1, np.nan, 0], [np.nan, 1, np.nan]]
    np.testing.assert_array_equal(rank.hit_matrix(scores.values()), expected)
    (outcome,) = rank.outcomes(scores, origins("a", "b"))
    assert outcome.rows == 3


def test_interval_draws_the_same_rows_for_all_wordings():
    hits = np.random.default_rng(5).integers(0, 2, (3, 40)).astype(float)
    hits[1, ::3] = np.nan
    random, medians = np.random.default_rng(0), []
    for _ in range(200):
        drawn = hits[:, random.integers(0, 40, 40)]
        medians.append(np.median([np.mean(line[~np.isnan(line)]) for line in drawn]))
    np.testing.assert_allclose(rank.bootstrap_interval(hits, resamples=200), np.percentile(medians, [2.5, 97.5]))


def test_interval_of_one_wording_is_the_binomial_one():
    hits = np.array([[1.0] * 240 + [0.0] * 160])
    low, high = rank.bootstrap_interval(hits)
    deviation = np.sqrt(0.6 * 0.4 / 400)
    # 1000 resamples place a 2.5 % quantile within about a tenth of its distance from the middle.
    assert (low, high) == (pytest.approx(0.6 - 1.96 * deviation, abs=0.01), pytest.approx(0.6 + 1.96 * deviation, abs=0.01))


@pytest.mark.parametrize(("right", "verdict"), [(95, "above"), (50, "at"), (5, "below")])
def test_verdict_needs_the_whole_interval(right, verdict):
    gold = [0, 1] * 50
    scores = {"t": task(gold, [g if n < right else 1 - g for n, g in enumerate(gold)])}
    (outcome,) = rank.outcomes(scores, origins("t"))
    assert (outcome.majority, outcome.verdict) == (0.5, verdict)


def test_datasets_keep_the_order_of_their_tasks_origins():
    scores = {name: task([0], [0]) for name in ("x", "y", "z")}
    by_dataset = {**origins("z", dataset="b"), **origins("x", "y", dataset="a")}
    assert [(o.dataset, len(o.wordings)) for o in rank.outcomes(scores, by_dataset)] == [("b", 1), ("a", 2)]


def test_datasets_of_a_family_stand_together():
    scores = {name: task([0], [0]) for name in ("x", "y", "z")}
    families = {name: rank.Origin(name, family, "w") for name, family in (("x", "nli"), ("y", "qa"), ("z", "nli"))}
    assert [outcome.dataset for outcome in rank.outcomes(scores, families)] == ["x", "z", "y"]


def test_scores_are_read_back_whatever_the_order_of_their_lines(tmp_path):
    lines = [("t", 4, 1, -2.5, True), ("u", 0, 0, -1.0, True), ("t", 4, 0, -3.5, False), ("t", 1, 0, -1.0, True)]
    scores = rank.read_scores(write(tmp_path / "scores.jsonl", lines))
    assert list(scores) == ["t", "u"]
    np.testing.assert_array_equal(scores["t"].logp, [[-1.0, -np.inf], [-3.5, -2.5]])
    assert scores["t"].accuracy == 1.0


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "holds no scores"),
        ([("t", 0, 1, -1.0, True)], "lack choice 0 of example 0"),
        ([("t", 0, 0, -1.0, True), ("t", 0, 2, -1.0, True)], "lack choice 1 of example 0"),
        ([("t", 0, 0, -1.0, True)] * 2, "line 2 scores choice 0 of example 0 of t twice"),
        ([("t", 0, 0, float("nan"), True)], "line 1 has the log-probability nan"),
    ],
)
def test_scores_that_are_not_whole_are_refused(tmp_path, lines, message):
    with pytest.raises(InputError, match=message):
        rank.read_scores(write(tmp_path / "scores.jsonl", lines))


def test_a_file_that_holds_no_scores_is_refused(tmp_path):
    (tmp_path / "scores.jsonl").write_text('{"task": "t"}\n')
    with pytest.raises(InputError, match="line 1 is not a score"):
        rank.read_scores(tmp_path / "scores.jsonl")
    with pytest.raises(InputError, match="no scores at"):
        rank.read_scores(tmp_path / "none.jsonl")


def test_a_task_of_another_mixture_is_refused():
    with pytest.raises(InputError, match="the task t, of which no dataset is known"):
        rank.outcomes({"t": task([0], [0])}, origins("u"))


@pytest.mark.parametrize("seed", range(5))
def test_scores_read_in_blocks_are_those_of_a_plain_loop(tmp_path, monkeypatch, seed):
    monkeypatch.setattr(rank, "BLOCK", 7)
    random = np.random.default_rng(seed)
    lines = [
        (f"task {number}", int(example), choice, float(random.normal()), bool(random.integers(2)))
        for number in range(4)
        for example in random.choice(1000, 6, replace=False)
        for choice in range(random.integers(1, 5))
    ]
    lines = [lines[number] for number in random.permutation(len(lines))]
    scores = rank.read_scores(write(tmp_path / "scores.jsonl", lines))
    assert list(scores) == list(dict.fromkeys(line[0] for line in lines))
    cells = {line[:3]: line[3:] for line in lines}
    for name, task in scores.items():
        assert task.examples.tolist() == sorted({example for other, example, _ in cells if other == name})
        for row, example in enumerate(task.examples):
            choices = [cells[name, example, choice] for choice in range(task.choices[row])]
            assert (name, example, task.choices[row]) not in cells
            np.testing.assert_array_equal(task.logp[row, : len(choices)], [logp for logp, _ in choices])
            np.testing.assert_array_equal(task.correct[row, : len(choices)], [correct for _, correct in choices])
            assert np.isneginf(task.logp[row, len(choices) :]).all() and not task.correct[row, len(choices) :].any()


def test_the_line_that_is_no_score_is_named_in_any_block(tmp_path, monkeypatch):
    monkeypatch.setattr(rank, "BLOCK", 7)
    path = write(tmp_path / "scores.jsonl", [("t", example, 0, -1.0, True) for example in range(20)])
    lines = path.read_text().splitlines(keepends=True)
    lines[16] = lines[16].replace("-1.0", "null")
    path.write_text("".join(lines))
    with pytest.raises(InputError, match="line 17 is not a score"):
        rank.read_scores(path)
