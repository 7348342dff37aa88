"""From the log-probability of every choice to the outcome of every dataset. NumPy only.

The protocol is T0's: the choice with the highest summed log-probability wins, the first one on a tie, and any correct choice
counts. No length normalisation, no choice among wordings: a dataset's number is the median over its wordings.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from t0jax.errors import InputError

SCORE_FIELDS = ("task", "example", "choice", "logp", "correct")
BOOTSTRAP_RESAMPLES = 1000
INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class Origin:
    """Where a task comes from: its dataset (`super_glue/rte`), the dataset's family, and its template's name."""

    dataset: str
    family: str
    wording: str


@dataclass(frozen=True)
class TaskScores:
    """One task, N examples with up to C choices each; `logp` is -inf where an example has fewer."""

    examples: Int[np.ndarray, "N"]
    logp: Float[np.ndarray, "N C"]
    correct: Bool[np.ndarray, "N C"]
    choices: Int[np.ndarray, "N"]

    @property
    def hits(self) -> Bool[np.ndarray, "N"]:
        """Whether the likeliest choice of each example is a correct one; the first choice wins a tie."""
        return np.take_along_axis(self.correct, self.logp.argmax(1)[:, None], axis=1)[:, 0]

    @property
    def accuracy(self) -> float:
        """Share of examples whose likeliest choice is correct."""
        return float(self.hits.mean())

    @property
    def majority(self) -> float:
        """Accuracy of always answering with the index that is most often correct."""
        return float(self.correct.mean(0).max())

    @property
    def random(self) -> float:
        """Expected accuracy of a choice made by lot."""
        return float((self.correct.sum(1) / self.choices).mean())


@dataclass(frozen=True)
class Wording:
    """One template's result on one dataset."""

    name: str
    task: str
    examples: int
    accuracy: float


@dataclass(frozen=True)
class DatasetOutcome:
    """One dataset over all its wordings; every share lies in 0..1."""

    dataset: str
    family: str
    wordings: tuple[Wording, ...]
    rows: int
    """Rows that at least one wording applies to."""
    majority: float
    random: float
    mean: float
    median: float
    q1: float
    q3: float
    low: float
    high: float
    """The 95 % bootstrap interval of the median, `low` to `high`."""

    @property
    def verdict(self) -> Literal["above", "at", "below"]:
        """Where the interval of the median lies against the majority baseline; `at` when it holds the baseline."""
        if self.low > self.majority:
            return "above"
        return "below" if self.high < self.majority else "at"

    def as_json(self) -> dict[str, Any]:
        """The outcome as JSON values, the verdict included."""
        fields = {name: value for name, value in vars(self).items() if name != "wordings"}
        return {**fields, "verdict": self.verdict, "wordings": [vars(wording) for wording in self.wordings]}


def task_scores(examples: Sequence[int], logp: Sequence[Any], correct: Sequence[Any]) -> TaskScores:
    """One task's scores from each example's number, log-probabilities and truths; examples may differ in their choices."""
    choices = np.array([len(row) for row in logp])
    order = np.argsort(examples, kind="stable")
    is_choice = np.arange(choices.max())[None] < choices[order, None]
    padded, truths = np.full(is_choice.shape, -np.inf), np.zeros(is_choice.shape, bool)
    padded[is_choice] = np.concatenate([np.asarray(logp[number], float) for number in order])
    truths[is_choice] = np.concatenate([np.asarray(correct[number], bool) for number in order])
    return TaskScores(np.asarray(examples)[order], padded, truths, choices[order])


def read_scores(path: Path) -> dict[str, TaskScores]:
    """Scores by task from a `scores.jsonl`, in the file's order; an InputError when it is not such a file or not whole."""
    lines: dict[str, dict[tuple[int, int], tuple[float, bool]]] = {}
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                task, key, value = _parse(line, f"{path}, line {number}")
                cells = lines.setdefault(task, {})
                if key in cells:
                    raise InputError(f"{path}, line {number} scores choice {key[1]} of example {key[0]} of {task} twice.")
                cells[key] = value
    except FileNotFoundError:
        raise InputError(f"There are no scores at {path}: run `t0jax eval` with this EVAL_OUTPUT_DIR first.") from None
    if not lines:
        raise InputError(f"{path} holds no scores: run `t0jax eval` again.")
    return {task: _gather(task, cells) for task, cells in lines.items()}


def outcomes(scores: Mapping[str, TaskScores], origins: Mapping[str, Origin]) -> tuple[DatasetOutcome, ...]:
    """One outcome a dataset; families, and datasets in them, stand in the order of `origins`, which must name every task."""
    if unknown := [task for task in scores if task not in origins]:
        raise InputError(
            f"The scores hold the task {unknown[0]}, of which no dataset is known: they belong to another mixture."
        )
    groups: dict[str, list[str]] = {}
    for task, origin in origins.items():
        if task in scores:
            groups.setdefault(origin.dataset, []).append(task)
    families = list(dict.fromkeys(origin.family for origin in origins.values()))
    ranked = sorted(groups.values(), key=lambda tasks: families.index(origins[tasks[0]].family))
    return tuple(_outcome({task: scores[task] for task in tasks}, origins) for tasks in ranked)


def hit_matrix(scores: Iterable[TaskScores]) -> Float[np.ndarray, "W N"]:
    """1 where a wording (line) is right about a row (column), 0 where it is wrong, NaN where it does not apply."""
    tasks = list(scores)
    rows = np.unique(np.concatenate([task.examples for task in tasks]))
    matrix = np.full((len(tasks), len(rows)), np.nan)
    for line, task in zip(matrix, tasks, strict=True):
        line[np.searchsorted(rows, task.examples)] = task.hits
    return matrix


def bootstrap_interval(
    hits: Float[np.ndarray, "W N"], resamples: int = BOOTSTRAP_RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of the median over wordings when the rows are drawn again, the same ones for all wordings."""
    random = np.random.default_rng(seed)
    applies = ~np.isnan(hits)
    right = np.where(applies, hits, 0.0)
    medians = np.empty(resamples)
    rows = hits.shape[1]
    for number in range(resamples):
        times = np.bincount(random.integers(0, rows, rows), minlength=rows).astype(float)
        drawn = applies @ times
        accuracy = np.divide(right @ times, drawn, out=np.full(len(hits), np.nan), where=drawn > 0)
        medians[number] = np.nanmedian(accuracy)
    low, high = np.percentile(medians, INTERVAL)
    return float(low), float(high)


def _parse(line: str, where: str) -> tuple[str, tuple[int, int], tuple[float, bool]]:
    try:
        task, example, choice, logp, correct = (json.loads(line)[name] for name in SCORE_FIELDS)
    except (json.JSONDecodeError, KeyError, TypeError):
        raise InputError(
            f"{where} is not a score (an object with {', '.join(SCORE_FIELDS)}): run `t0jax eval` again."
        ) from None
    if not isinstance(logp, int | float) or not math.isfinite(logp):
        raise InputError(f"{where} has the log-probability {logp}: the scores are of no use, evaluate a sound checkpoint.")
    return task, (example, choice), (float(logp), bool(correct))


def _gather(task: str, cells: Mapping[tuple[int, int], tuple[float, bool]]) -> TaskScores:
    rows: dict[int, list[tuple[float, bool]]] = {}
    for example, choice in sorted(cells):
        row = rows.setdefault(example, [])
        if choice != len(row):
            raise InputError(
                f"The scores of {task} lack choice {len(row)} of example {example}: the file is not whole; "
                "run `t0jax eval` again."
            )
        row.append(cells[example, choice])
    logp, correct = ([[pair[part] for pair in row] for row in rows.values()] for part in (0, 1))
    return task_scores(list(rows), logp, correct)


def _outcome(scores: Mapping[str, TaskScores], origins: Mapping[str, Origin]) -> DatasetOutcome:
    origin = origins[next(iter(scores))]
    accuracies = np.array([task.accuracy for task in scores.values()])
    matrix = hit_matrix(scores.values())
    low, high = bootstrap_interval(matrix)
    q1, median, q3 = np.percentile(accuracies, [25, 50, 75])
    return DatasetOutcome(
        dataset=origin.dataset,
        family=origin.family,
        wordings=tuple(
            Wording(origins[name].wording, name, len(task.examples), task.accuracy) for name, task in scores.items()
        ),
        rows=matrix.shape[1],
        majority=float(np.median([task.majority for task in scores.values()])),
        random=float(np.median([task.random for task in scores.values()])),
        mean=float(accuracies.mean()),
        median=float(median),
        q1=float(q1),
        q3=float(q3),
        low=low,
        high=high,
    )
