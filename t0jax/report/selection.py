"""Which checkpoint of a run is the best, by its scores on what it was trained on: T0's rule, which sees no held-out task."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

import numpy as np

from t0jax import rank
from t0jax.errors import InputError
from t0jax.report.comparison import percentage
from t0jax.report.evaluation import Evaluation
from t0jax.report.section import Section, points, points_range

RULE = (
    "highest mean over datasets of the median over wordings, on validation rows of the training datasets; the earliest on a tie"
)


@dataclass(frozen=True)
class Candidate:
    """One checkpoint; shares in 0..1."""

    checkpoint: str
    step: int
    score: float
    """Mean over datasets of the median over wordings: what decides."""
    mean: float
    """Mean over datasets of the mean over wordings, for comparison."""
    behind: float
    """How far its score lies below the chosen one's."""
    low: float
    high: float
    """95 % interval of that, the same rows drawn again for both."""


@dataclass(frozen=True)
class Selection:
    """The chosen checkpoint, and all of them in the order of their steps."""

    chosen: Candidate
    candidates: tuple[Candidate, ...]
    mixture: str
    split: str
    datasets: int

    @property
    def equals(self) -> tuple[Candidate, ...]:
        """The others that may as well be the best: the interval holds 0."""
        return tuple(one for one in self.candidates if one is not self.chosen and one.low <= 0)

    def as_json(self) -> dict[str, Any]:
        """As JSON values, the rule included."""
        about = {"rule": RULE, "mixture": self.mixture, "split": self.split, "datasets": self.datasets}
        return {**about, "chosen": asdict(self.chosen), "candidates": [asdict(one) for one in self.candidates]}


def select(evaluations: Sequence[Evaluation]) -> Selection:
    """Choose among evaluations of checkpoints of one run; an InputError when they are not of one run and the same rows."""
    if len(evaluations) < 2:
        raise InputError("One evaluation leaves nothing to select: give those of two or more checkpoints of a run.")
    ranked = sorted(evaluations, key=_step)
    for other in ranked[1:]:
        _check_alike(ranked[0], other)
    steps = [_step(evaluation) for evaluation in ranked]
    if len(set(steps)) < len(steps):
        again = next(step for step in steps if steps.count(step) > 1)
        raise InputError(f"Two evaluations are of the checkpoint of step {again}: give one of each.")
    scores = [float(np.mean([outcome.median for outcome in evaluation.outcomes])) for evaluation in ranked]
    best = int(np.argmax(scores))
    draws = [_draws(evaluation) for evaluation in ranked]
    candidates = tuple(
        Candidate(
            checkpoint=str(evaluation.results["checkpoint"]),
            step=steps[number],
            score=scores[number],
            mean=float(np.mean([outcome.mean for outcome in evaluation.outcomes])),
            behind=scores[best] - scores[number],
            **dict(zip(("low", "high"), rank.interval(draws[best] - draws[number]), strict=True)),
        )
        for number, evaluation in enumerate(ranked)
    )
    about = ranked[0].results
    return Selection(candidates[best], candidates, str(about.get("mixture")), str(about.get("split")), len(ranked[0].outcomes))


def _step(evaluation: Evaluation) -> int:
    step = evaluation.results.get("step")
    if not evaluation.results.get("checkpoint") or not isinstance(step, int):
        raise InputError(f"{evaluation.label} is not of a checkpoint with a step: give evaluations of checkpoints of a run.")
    return step


def _check_alike(first: Evaluation, other: Evaluation) -> None:
    names = f"{first.label} and {other.label}"
    for field in ("mixture", "split"):
        one, two = first.results.get(field), other.results.get(field)
        if one != two:
            raise InputError(f"{names} scored different {field}s, {one} and {two}: evaluate both alike.")
    runs = [str(PurePath(str(evaluation.results["checkpoint"])).parent) for evaluation in (first, other)]
    if runs[0] != runs[1]:
        raise InputError(f"{names} are of two runs, {runs[0]} and {runs[1]}: select within one.")
    for task in sorted(first.scores.keys() | other.scores.keys()):
        if task not in first.scores or task not in other.scores:
            raise InputError(f"{names} did not score the same tasks: only one has {task}. Evaluate both alike.")
        one, two = first.scores[task], other.scores[task]
        if not np.array_equal(one.examples, two.examples) or not np.array_equal(one.correct, two.correct):
            raise InputError(f"{names} did not score the same rows of {task}: evaluate both alike.")


def _draws(evaluation: Evaluation) -> np.ndarray:
    """The score in every resample; two evaluations of the same rows draw the same ones."""
    medians = [np.nanmedian(evaluation.hits[outcome.dataset].draws, axis=1) for outcome in evaluation.outcomes]
    return np.mean(medians, axis=0)


def section(selection: Selection) -> Section:
    """One line a checkpoint."""
    lines = [
        (
            one.checkpoint,
            f"{one.step:,}",
            percentage(one.score),
            percentage(one.mean),
            points(-one.behind) if one is not selection.chosen else "",
            points_range(-one.high, -one.low) if one is not selection.chosen else "",
            "chosen" if one is selection.chosen else "as good" if one in selection.equals else "",
        )
        for one in selection.candidates
    ]
    notes = [f"The {RULE}. {selection.mixture}, {selection.split}, {selection.datasets} datasets."]
    if selection.equals:
        notes.append("As good: the 95 % interval of the difference holds 0, so these rows do not tell which of them is better.")
    columns = ("checkpoint", "step", "score", "by means", "to the chosen", "95 % interval", "")
    return Section("Checkpoints by their scores on the training datasets", columns, tuple(lines), tuple(notes))
