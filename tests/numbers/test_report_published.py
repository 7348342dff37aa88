"""Published numbers: the table is the collected facts and nothing else, and the verdict follows from the interval alone."""

import json

import made_evaluation
import numpy as np
import pytest

from t0jax.errors import InputError
from t0jax.report import published
from t0jax.report.completeness import Expected
from t0jax.report.evaluation import read_evaluation

FACTS = {
    "T0_3B": ("T0 3B", "T0-3B (re-evaluated in CoT Collection/RoE)"),
    "T0": ("T0 (11B)",),
    "T0p": ("T0+",),
    "T0pp": ("T0++",),
    "T0_single_prompt": ("T0 (p=1)",),
    "T0_original_task_only": ("T0 (p=5.7)",),
    "T0_3B_HINT": ("T0 3B T5X replication (HINT, 20k steps, bs 2048)",),
    "T0_HINT": ("T0 11B T5X replication (HINT, 20k steps, bs 2048)",),
    "T5_LM_3B": ('T5-LM 3B (paper row "T5-3B")',),
}
"""What a model of the table is called in the facts."""
STATISTICS = {"mean": "mean over prompts", "median": "median over prompts", "wording": "single prompt"}
DATASETS = {"anli": "anli (avg of r1-r3)", "super_glue/axg": "super_glue/axg (WinoGender)"}
SOURCES = {
    "CoT Collection": "CoT Collection",
    "T-Few": "T-Few",
    "xmtf": "xmtf",
    "bigscience/T0": "bigscience/T0*",
    "hypertask_T0": "hypertask_T0",
    "2110.08207": "2110.08207",
}


@pytest.fixture(scope="module")
def facts(shared_models):
    return json.loads((shared_models.parent / "facts/published_results.json").read_text(encoding="utf-8"))["results"]


def is_of(fact, line):
    source = next(name for mark, name in SOURCES.items() if mark in line.source)
    return (
        fact["model"] in FACTS[line.model]
        and fact["dataset"] == DATASETS.get(line.dataset, line.dataset)
        and fact["aggregate"] == STATISTICS[line.statistic]
        and (line.statistic != "wording" or fact["prompt"] == line.wording)
        and source in fact["source"]
    )


def test_every_published_number_is_in_the_facts_with_its_source(facts):
    for line in published.read_published():
        values = [fact["value"] for fact in facts if is_of(fact, line)]
        assert 100 * line.value in [pytest.approx(value) for value in values], line


def test_every_rank_classification_mean_and_median_of_the_facts_is_published(facts):
    models = {name for names in FACTS.values() for name in names}
    wanted = [
        fact
        for fact in facts
        if fact["model"] in models
        and fact["metric"] == "accuracy (rank classification)"
        and fact["aggregate"] in ("mean over prompts", "median over prompts")
        and not fact["prompt"].startswith("no instruction")
    ]
    lines = published.read_published()
    assert len(wanted) > 70
    for fact in wanted:
        assert any(is_of(fact, line) and 100 * line.value == pytest.approx(fact["value"]) for line in lines), fact


def test_the_tolerances_are_how_far_evaluations_of_one_checkpoint_lie_apart():
    for size, model in (("3B", "T0_3B"), ("11B", "T0")):
        means = {}
        for line in published.published_of(model):
            if line.statistic == "mean":
                means.setdefault(line.dataset, []).append(line.value)
        apart = max(max(values) - min(values) for values in means.values())
        assert published.TOLERANCES[size] == pytest.approx(apart, abs=0.0005)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.03, 0.03, "reproduced"),
        (-0.04, 0.04, "reproduced"),
        (0.041, 0.3, "not reproduced"),
        (-0.3, -0.041, "not reproduced"),
        (-0.041, 0.0, "cannot tell"),
        (0.039, 0.05, "cannot tell"),
        (-0.2, 0.2, "cannot tell"),
    ],
)
def test_the_verdict_needs_the_whole_interval_on_one_side(low, high, verdict):
    assert published.judge(low, high, 0.04) == verdict


def published_line(**changes):
    about = {"model": "M", "size": "3B", "dataset": "super_glue/rte", "split": "validation", "statistic": "mean"}
    return published.Published(**{**about, "wording": "", "value": 0.6, "source": "a paper", **changes})


@pytest.fixture
def evaluation(tmp_path):
    datasets = {
        "super_glue/rte": made_evaluation.noisy([0.58, 0.6, 0.7], rows=4000),
        **{f"anli/r{n}": made_evaluation.noisy([0.3 + n / 100] * 2, rows=1000, choices=3, seed=n) for n in (1, 2, 3)},
    }
    return read_evaluation(str(made_evaluation.write(tmp_path / "e", datasets)))


def test_each_statistic_is_compared_with_its_own(evaluation):
    lines = [published_line(statistic=name) for name in ("mean", "median")]
    lines.append(published_line(statistic="wording", wording="2"))
    mean, median, wording = published.reproductions(evaluation, lines)
    accuracies = [scores.accuracy for scores in evaluation.tasks("super_glue/rte").values()]
    assert mean.ours == pytest.approx(np.mean(accuracies))
    assert median.ours == pytest.approx(np.median(accuracies))
    assert wording.ours == accuracies[2]
    deviation = np.sqrt(accuracies[2] * (1 - accuracies[2]) / 4000)
    assert wording.high - wording.low == pytest.approx(2 * 1.96 * deviation, rel=0.1)
    assert [one.verdict for one in (mean, median, wording)] == ["reproduced", "reproduced", "not reproduced"]


def test_rounds_that_were_published_as_one_number_are_averaged(evaluation):
    (one,) = published.reproductions(evaluation, [published_line(dataset="anli", value=0.32)])
    parts = [outcome for outcome in evaluation.outcomes if outcome.dataset.startswith("anli")]
    assert one.ours == pytest.approx(np.mean([part.mean for part in parts]))
    arms = [part.mean_high - part.mean for part in parts]
    assert one.high - one.ours == pytest.approx(np.sqrt(np.sum(np.square(arms))) / 3)


def test_what_was_not_evaluated_is_not_compared(evaluation):
    lines = [published_line(dataset="super_glue/cb"), published_line(statistic="wording", wording="another")]
    assert published.reproductions(evaluation, lines) == ()


@pytest.mark.parametrize(
    ("results", "expected", "reason"),
    [
        ({}, Expected(10, 4000), "3 of 10 wordings"),
        ({}, Expected(3, 277), "4,000 of 277 rows"),
        ({"trained_on": ["super_glue/rte"]}, Expected(3, 4000), "trained on it"),
        ({"split": "test"}, Expected(3, 4000), "scored on test, published for validation"),
    ],
)
def test_an_evaluation_that_is_not_whole_gives_no_verdict(tmp_path, results, expected, reason):
    datasets = {"super_glue/rte": made_evaluation.noisy([0.6] * 3, rows=4000)}
    evaluation = read_evaluation(str(made_evaluation.write(tmp_path / "e", datasets, **results)))
    (one,) = published.reproductions(evaluation, [published_line()], {"super_glue/rte": expected})
    assert (one.verdict, one.reason) == ("cannot tell", reason)
    assert published.overall([one, one]) == ()


def test_training_on_one_dataset_says_nothing_of_another(tmp_path):
    datasets = {"super_glue/rte": made_evaluation.noisy([0.6] * 3, rows=4000)}
    evaluation = read_evaluation(str(made_evaluation.write(tmp_path / "e", datasets, trained_on=["super_glue/r", "super"])))
    (one,) = published.reproductions(evaluation, [published_line()])
    assert one.lack == ""


def test_a_small_dataset_cannot_tell_even_when_it_is_equal(tmp_path):
    datasets = {"super_glue/rte": {"a": made_evaluation.task([0] * 56, [0] * 28 + [1] * 28)}}
    evaluation = read_evaluation(str(made_evaluation.write(tmp_path / "e", datasets)))
    (one,) = published.reproductions(evaluation, [published_line(value=0.5)])
    assert (one.difference, one.verdict, one.reason) == (0, "cannot tell", "interval wider than the tolerance")


def test_the_mean_over_datasets_may_tell_what_one_cannot():
    line = published_line()
    ones = [published.Reproduction(line, 0.6 + d, 0.6 + d - 0.06, 0.6 + d + 0.06, "") for d in (0.02, -0.02, 0.01, -0.01)]
    (mean,) = published.overall(ones)
    assert {one.verdict for one in ones} == {"cannot tell"}
    assert (mean.difference, mean.datasets, mean.verdict) == (pytest.approx(0), 4, "reproduced")
    assert (mean.low, mean.high) == (pytest.approx(-0.03), pytest.approx(0.03))  # 0.06 * sqrt(4) / 4


def test_an_unknown_model_is_answered_with_the_nearest():
    with pytest.raises(InputError, match=r"No numbers of 'T0-3B' are known\. Did you mean T0_3B"):
        published.published_of("T0-3B")
