"""How much of the scores is a preference for a choice whatever the row: taken off afterwards, without the model."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from t0jax import rank
from t0jax.report.comparison import percentage
from t0jax.report.evaluation import Evaluation
from t0jax.report.section import Section, points, points_range


@dataclass(frozen=True)
class Calibration:
    """One dataset before and after; shares in 0..1."""

    dataset: str
    median: float
    calibrated: float
    """Median over wordings after calibration."""
    low: float
    high: float
    """95 % interval of the gain, the rows drawn again for both; the preferences are not estimated anew."""
    wordings: tuple[float, ...]
    """Calibrated accuracies, in the order of the outcome's wordings."""
    favour: float
    """Mean over wordings: how much more often than its share of right answers the most favoured choice is chosen."""

    @property
    def gain(self) -> float:
        """The calibrated median less the median."""
        return self.calibrated - self.median


def calibrated_logp(logp: Float[np.ndarray, "N C"]) -> Float[np.ndarray, "N C"]:
    """Log-probabilities among the choices, less the log of each choice's mean probability over the rows.

    The correction divides by a prior as contextual calibration does (Zhao et al. 2021, arXiv 2102.09690); the prior is the
    mean over the evaluated rows, as in batch calibration (Zhou et al. 2023, arXiv 2309.17249). No label is used.
    """
    among = logp - np.logaddexp.reduce(logp, axis=1)[:, None]
    return among - np.log(np.maximum(np.exp(among).mean(0), np.finfo(float).tiny))[None]


def calibrations(evaluation: Evaluation) -> tuple[tuple[Calibration, ...], tuple[str, ...]]:
    """Every dataset whose rows all have the same number of choices, and the names of the others."""
    found, left_out = [], []
    for outcome in evaluation.outcomes:
        tasks = evaluation.tasks(outcome.dataset)
        if any(np.unique(task.choices).size > 1 or task.choices[0] < 2 for task in tasks.values()):
            left_out.append(outcome.dataset)
        else:
            found.append(_calibration(outcome, tasks, evaluation.hits[outcome.dataset].matrix))
    return tuple(found), tuple(left_out)


def _calibration(
    outcome: rank.DatasetOutcome, tasks: dict[str, rank.TaskScores], before: Float[np.ndarray, "W N"]
) -> Calibration:
    after = [rank.TaskScores(task.examples, calibrated_logp(task.logp), task.correct, task.choices) for task in tasks.values()]
    draws = rank.resampled(np.concatenate([before, rank.hit_matrix(after)]))
    gains = np.nanmedian(draws[:, len(tasks) :], axis=1) - np.nanmedian(draws[:, : len(tasks)], axis=1)
    accuracies = tuple(task.accuracy for task in after)
    return Calibration(
        outcome.dataset,
        outcome.median,
        float(np.median(accuracies)),
        *rank.interval(gains),
        accuracies,
        float(np.mean([_favour(task) for task in tasks.values()])),
    )


def _favour(task: rank.TaskScores) -> float:
    chosen = np.bincount(task.logp.argmax(1), minlength=task.logp.shape[1]) / len(task.examples)
    return float((chosen - task.correct.mean(0)).max())


def section(found: Sequence[Calibration], left_out: Sequence[str]) -> Section:
    """One line a dataset."""
    lines = [
        (
            one.dataset,
            points(one.favour),
            percentage(one.median),
            percentage(one.calibrated),
            points(one.gain),
            points_range(one.low, one.high),
        )
        for one in found
    ]
    notes = [
        "An analysis, not T0's protocol: each choice's probability is divided by its mean over all rows (a prior divided out "
        "as by Zhao et al. 2021, estimated from the rows as by Zhou et al. 2023), without labels, without the model. Favour: "
        "how much more often than it is right the most favoured choice is chosen, in points. Where choices are texts that "
        "differ from row to row, only the preference for a position is corrected."
    ]
    if left_out:
        notes.append(f"Without {', '.join(left_out)}: their rows differ in the number of choices.")
    columns = ("dataset", "favour", "median", "calibrated", "gain", "95 % interval")
    return Section("Whether a choice is preferred whatever the row", columns, tuple(lines), tuple(notes))
