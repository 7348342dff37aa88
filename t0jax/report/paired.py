"""Two evaluations of the same rows: how far their medians differ, with the rows drawn again for both at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot
from typing import Literal

import numpy as np

from t0jax import rank
from t0jax.report.comparison import percentage
from t0jax.report.evaluation import Evaluation
from t0jax.report.section import Section, points, points_range


@dataclass(frozen=True)
class Difference:
    """One dataset: the first evaluation's median less the other's, on rows of both; all shares in 0..1."""

    dataset: str
    wordings: tuple[int, int]
    """Of the first and of the other; the same ones where they have any in common."""
    is_same_wordings: bool
    rows: int
    left_out: int
    """Rows that only one of the two evaluated."""
    first: float
    other: float
    spreads: tuple[float, float]
    """The interquartile range over wordings of the first and of the other."""
    low: float
    high: float

    @property
    def difference(self) -> float:
        """The first's median less the other's."""
        return self.first - self.other

    @property
    def verdict(self) -> Literal["higher", "lower", "no difference"]:
        """What the interval of the difference says of the first."""
        if self.low > 0:
            return "higher"
        return "lower" if self.high < 0 else "no difference"


def differences(first: Evaluation, other: Evaluation) -> tuple[tuple[Difference, ...], tuple[str, ...]]:
    """Every dataset of both; and what to know of them first: which cannot be compared and why, which are so in part."""
    found: list[Difference] = []
    said: list[str] = []
    shared = {outcome.dataset for outcome in other.outcomes}
    for dataset in (outcome.dataset for outcome in first.outcomes if outcome.dataset in shared):
        one = difference(dataset, *_matched(first.tasks(dataset), other.tasks(dataset)))
        if isinstance(one, str):
            said.append(f"{first.label} and {other.label} are not compared on {dataset}: {one}")
        else:
            found.append(one)
    if fewer := [f"{one.dataset} ({one.left_out:,})" for one in found if one.left_out]:
        said.append(
            f"{first.label} and {other.label} did not score the same rows, those of only one are left out: {', '.join(fewer)}"
        )
    return tuple(found), tuple(said)


Scores = dict[str, rank.TaskScores]


def _matched(first: Scores, other: Scores) -> tuple[Scores, Scores]:
    """Their common wordings; all of each where they have none in common."""
    if common := [task for task in first if task in other]:
        return {task: first[task] for task in common}, {task: other[task] for task in common}
    return first, other


def difference(dataset: str, first: Scores, other: Scores) -> Difference | str:
    """The difference of two groups of wordings on their common rows, or why there is none."""
    all_rows = [np.unique(np.concatenate([task.examples for task in scores.values()])) for scores in (first, other)]
    rows = np.intersect1d(all_rows[0], all_rows[1])  # every draw of these holds a row for a wording of each
    if not rows.size:
        return "they have no row in common."
    is_same = first.keys() == other.keys()
    if is_same and any(_is_another(first[task], other[task]) for task in first):
        return "their rows have other right answers, so they are not the same rows."
    stacked = np.concatenate([rank.hit_matrix(scores.values(), rows) for scores in (first, other)])
    if np.isnan(stacked).all(axis=1).any():
        return "a wording applies to none of their common rows."
    accuracies, draws = np.nanmean(stacked, axis=1), rank.resampled(stacked)
    medians = [np.nanmedian(draws[:, part], axis=1) for part in (slice(len(first)), slice(len(first), None))]
    low, high = rank.interval(medians[0] - medians[1])
    return Difference(
        dataset=dataset,
        wordings=(len(first), len(other)),
        is_same_wordings=is_same,
        rows=len(rows),
        left_out=len(np.union1d(all_rows[0], all_rows[1])) - len(rows),
        first=float(np.median(accuracies[: len(first)])),
        other=float(np.median(accuracies[len(first) :])),
        spreads=(_spread(accuracies[: len(first)]), _spread(accuracies[len(first) :])),
        low=low,
        high=high,
    )


def _spread(accuracies: np.ndarray) -> float:
    return float(np.subtract(*np.percentile(accuracies, [75, 25])))


def overview(found: Sequence[Difference]) -> str:
    """How many datasets differ, and the mean difference; the arms of its interval add up as those of independent means."""
    higher, smaller = sum(one.difference > 0 for one in found), sum(one.spreads[0] < one.spreads[1] for one in found)
    mean, n = float(np.mean([one.difference for one in found])), len(found)
    down, up = (hypot(*arms) / n for arms in zip(*((o.difference - o.low, o.high - o.difference) for o in found), strict=True))
    return (
        f"Higher on {higher} of {n} datasets ({sum(one.verdict == 'higher' for one in found)} by the interval), lower by the "
        f"interval on {sum(one.verdict == 'lower' for one in found)}; the IQR over wordings is smaller on {smaller}. The mean "
        f"difference is {points(mean)} points ({points_range(mean - down, mean + up)})."
    )


def _is_another(first: rank.TaskScores, other: rank.TaskScores) -> bool:
    """Whether a row of both has another number of choices, or another right one."""
    _, here, there = np.intersect1d(first.examples, other.examples, return_indices=True)
    if (first.choices[here] != other.choices[there]).any():
        return True
    width = min(first.correct.shape[1], other.correct.shape[1])
    return bool((first.correct[here, :width] != other.correct[there, :width]).any())


def section(found: Sequence[Difference], labels: tuple[str, str]) -> Section:
    """The differences as a table."""
    lines = [
        (
            one.dataset,
            f"{one.wordings[0]}" if one.is_same_wordings else f"{one.wordings[0]} | {one.wordings[1]}",
            f"{one.rows:,}",
            percentage(one.first),
            percentage(one.other),
            points(one.difference),
            points_range(one.low, one.high),
            " | ".join(map(percentage, one.spreads)),
            one.verdict,
        )
        for one in found
    ]
    notes = [
        overview(found),
        f"The median of {labels[0]} less that of {labels[1]}, in points, on rows of both. The interval draws the same rows for "
        "both, so it is narrower than those of the two medians suggest. Over many datasets one in twenty differs by chance.",
    ]
    if others := [one.dataset for one in found if not one.is_same_wordings]:
        notes.append(f"The two have no wording in common on {', '.join(others)}: all wordings of each are compared.")
    columns = ("dataset", "wordings", "rows", *labels, "difference", "95 % interval", "IQRs", labels[0])
    return Section(f"{labels[0]} less {labels[1]}", columns, tuple(lines), tuple(notes))
