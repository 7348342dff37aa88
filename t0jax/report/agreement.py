"""Whether the wordings of a dataset agree on a row, and on which rows they do not."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from t0jax import rank
from t0jax.report.comparison import percentage
from t0jax.report.evaluation import Evaluation
from t0jax.report.section import Section

FLIPPING = 5
"""Rows that are named for each dataset."""


@dataclass(frozen=True)
class Flip:
    """A row, and how many of the wordings that apply to it are right about it."""

    example: int
    right: int
    wordings: int


@dataclass(frozen=True)
class Agreement:
    """One dataset under several wordings; shares in 0..1."""

    dataset: str
    wordings: int
    """Those that order their choices alike, the largest such group: only of them it can be said that they choose the same."""
    others: int
    pairwise: float
    """Mean over rows of the share of pairs of wordings that choose the same."""
    kappa: float | None
    """Fleiss' kappa: the same beyond chance; None when every choice made is the same one, so that chance explains all."""
    always_right: float
    always_wrong: float
    """Shares of the rows on which all wordings are right, and wrong."""
    flips: tuple[Flip, ...]
    """The rows that divide the wordings most evenly."""

    @property
    def flipping(self) -> float:
        """Share of the rows that some wordings answer rightly and some wrongly."""
        return 1 - self.always_right - self.always_wrong


def agreements(evaluation: Evaluation) -> tuple[Agreement, ...]:
    """Every dataset with at least two wordings and a row that two of them apply to."""
    found = []
    for outcome in evaluation.outcomes:
        tasks = list(evaluation.tasks(outcome.dataset).values())
        alike = _alike(tasks)
        counts = choice_counts(alike)
        if (counts.sum(1) >= 2).any():
            found.append(_agreement(outcome.dataset, counts, evaluation.hits[outcome.dataset].matrix, tasks, alike))
    return tuple(found)


def fleiss(counts: Int[np.ndarray, "N C"]) -> tuple[float, float | None]:
    """Mean pairwise agreement and Fleiss' kappa (1971), from how many wordings chose each choice of each row.

    Rows may have different numbers of wordings, at least two; then each row weighs the same and chance follows all choices.
    """
    raters = counts.sum(1)
    agreeing = (counts * (counts - 1)).sum(1) / (raters * (raters - 1))
    observed, chance = float(agreeing.mean()), float(((counts.sum(0) / raters.sum()) ** 2).sum())
    return observed, None if np.isclose(chance, 1) else (observed - chance) / (1 - chance)


def choice_counts(tasks: Sequence[rank.TaskScores]) -> Int[np.ndarray, "N C"]:
    """How many wordings choose each choice, for every row that one of them applies to."""
    rows = np.unique(np.concatenate([task.examples for task in tasks]))
    counts = np.zeros((len(rows), max(task.logp.shape[1] for task in tasks)), int)
    for task in tasks:
        counts[np.searchsorted(rows, task.examples), task.logp.argmax(1)] += 1
    return counts


def _alike(tasks: Sequence[rank.TaskScores]) -> list[rank.TaskScores]:
    """The largest group of wordings with the same right choices on all rows of any two of them; the first one on a tie."""
    groups: list[list[rank.TaskScores]] = []
    for task in tasks:
        fitting = (group for group in groups if all(_has_same_truth(task, other) for other in group))
        if (group := next(fitting, None)) is None:
            groups.append([task])
        else:
            group.append(task)
    return max(groups, key=len)


def _has_same_truth(one: rank.TaskScores, other: rank.TaskScores) -> bool:
    _, here, there = np.intersect1d(one.examples, other.examples, return_indices=True)
    width = min(one.correct.shape[1], other.correct.shape[1])
    is_as_many = (one.choices[here] == other.choices[there]).all()
    return bool(is_as_many and (one.correct[here, :width] == other.correct[there, :width]).all())


def _agreement(
    dataset: str,
    counts: Int[np.ndarray, "N C"],
    matrix: Float[np.ndarray, "W N"],
    tasks: Sequence[rank.TaskScores],
    alike: Sequence[rank.TaskScores],
) -> Agreement:
    pairwise, kappa = fleiss(counts[counts.sum(1) >= 2])
    applies, right = (~np.isnan(matrix)).sum(0), np.nansum(matrix, axis=0).astype(int)
    rows = np.unique(np.concatenate([task.examples for task in tasks]))
    evenness = np.minimum(right, applies - right)
    first = np.lexsort((rows, -evenness))[:FLIPPING]
    return Agreement(
        dataset=dataset,
        wordings=len(alike),
        others=len(tasks) - len(alike),
        pairwise=pairwise,
        kappa=kappa,
        always_right=float((right == applies).mean()),
        always_wrong=float((right == 0).mean()),
        flips=tuple(Flip(int(rows[n]), int(right[n]), int(applies[n])) for n in first if evenness[n]),
    )


def section(found: Sequence[Agreement]) -> Section:
    """One line a dataset, with the rows that flip most."""
    lines = [
        (
            one.dataset,
            str(one.wordings) + (f" of {one.wordings + one.others}" if one.others else ""),
            percentage(one.pairwise),
            "–" if one.kappa is None else f"{one.kappa:.2f}",
            percentage(one.always_right),
            percentage(one.always_wrong),
            percentage(one.flipping),
            ", ".join(f"{flip.example} ({flip.right} of {flip.wordings})" for flip in one.flips),
        )
        for one in found
    ]
    notes = [
        "Pairs: how often two wordings choose the same on a row, in percent. Kappa (Fleiss 1971): the same beyond what their "
        "preferences for a choice give by chance; 1 is full agreement, 0 chance. The rows that flip most stand with the number "
        "of wordings that are right."
    ]
    if any(one.others for one in found):
        notes.append(
            "Of 9 of 10 wordings: the others order their choices otherwise, so that the same choice means another answer."
        )
    columns = ("dataset", "wordings", "pairs", "kappa", "all right", "all wrong", "flipping", "rows that flip most")
    return Section("Whether wordings agree", columns, tuple(lines), tuple(notes))
