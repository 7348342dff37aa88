"""From the log-probability of every choice to the outcome of every dataset. NumPy only.

The protocol is T0's: the choice with the highest summed log-probability wins, the first one on a tie, and any correct choice
counts. No length normalisation, no choice among wordings: a dataset's number is the median over its wordings.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from t0jax.errors import InputError

SCORE_FIELDS = ("task", "example", "choice", "logp", "correct")
BOOTSTRAP_RESAMPLES = 1000
INTERVAL = (2.5, 97.5)
DRAWN_AT_ONCE = 50
BLOCK = 20_000
"""Lines of a `scores.jsonl` that are parsed at once."""


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
    mean_low: float
    mean_high: float
    """The 95 % bootstrap interval of the mean."""

    @property
    def worst(self) -> float:
        """Accuracy of the worst wording."""
        return min(wording.accuracy for wording in self.wordings)

    @property
    def spread(self) -> float:
        """How far the best wording lies above the worst."""
        return max(wording.accuracy for wording in self.wordings) - self.worst

    @property
    def verdict(self) -> Literal["above", "at", "below"]:
        """Where the interval of the median lies against the majority baseline; `at` when it holds the baseline."""
        if self.low > self.majority:
            return "above"
        return "below" if self.high < self.majority else "at"

    def as_json(self) -> dict[str, Any]:
        """The outcome as JSON values, the verdict included."""
        fields = {name: value for name, value in vars(self).items() if name != "wordings"}
        derived = {"worst": self.worst, "spread": self.spread, "verdict": self.verdict}
        return {**fields, **derived, "wordings": [vars(wording) for wording in self.wordings]}


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
    names: dict[str, int] = {}
    blocks: list[list[np.ndarray]] = []
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            while lines := list(islice(file, BLOCK)):
                blocks.append(_columns(lines, names, f"{path}, line ", len(blocks) * BLOCK + 1))
    except FileNotFoundError:
        raise InputError(f"There are no scores at {path}: run `t0jax eval` with this EVAL_OUTPUT_DIR first.") from None
    if not blocks:
        raise InputError(f"{path} holds no scores: run `t0jax eval` again.")
    columns = [np.concatenate(parts) for parts in zip(*blocks, strict=True)]
    order = np.lexsort((columns[2], columns[1], columns[0]))  # by task, example, choice; equal ones in the file's order
    ends = np.cumsum(np.bincount(columns[0], minlength=len(names)))
    members = np.split(order, ends[:-1])
    return {name: _gather(name, lines, columns, path) for name, lines in zip(names, members, strict=True)}


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


def hit_matrix(scores: Iterable[TaskScores], rows: Int[np.ndarray, "N"] | None = None) -> Float[np.ndarray, "W N"]:
    """1 where a wording (line) is right about a row (column), 0 where it is wrong, NaN where it does not apply.

    The columns are `rows`, the sorted numbers of examples: by default those that at least one wording applies to.
    """
    tasks = list(scores)
    if rows is None:
        rows = np.unique(np.concatenate([task.examples for task in tasks]))
    matrix = np.full((len(tasks), len(rows)), np.nan)
    for line, task in zip(matrix, tasks, strict=True):
        wanted = np.isin(task.examples, rows)
        line[np.searchsorted(rows, task.examples[wanted])] = task.hits[wanted]
    return matrix


def resampled(hits: Float[np.ndarray, "W N"], resamples: int = BOOTSTRAP_RESAMPLES, seed: int = 0) -> Float[np.ndarray, "R W"]:
    """Every wording's accuracy when the rows are drawn again, the same ones for all wordings; NaN where none applies."""
    random, rows = np.random.default_rng(seed), hits.shape[1]
    gaps = np.isnan(hits)
    counted = np.nan_to_num(hits) if not gaps.any() else np.concatenate([np.nan_to_num(hits), ~gaps])
    counted = counted.astype(np.float32)  # whole numbers below 2^24: exact
    sums = np.empty((resamples, len(counted)))
    for start in range(0, resamples, DRAWN_AT_ONCE):
        draws = range(start, min(start + DRAWN_AT_ONCE, resamples))
        times = np.stack([np.bincount(random.integers(0, rows, rows), minlength=rows) for _ in draws]).astype(np.float32)
        sums[draws.start : draws.stop] = np.einsum("rn,wn->rw", times, counted)  # no BLAS: its threads wait for each other
    right = sums[:, : len(hits)]
    drawn = sums[:, len(hits) :] if gaps.any() else np.full_like(right, rows)
    return np.divide(right, drawn, out=np.full_like(right, np.nan), where=drawn > 0)


def interval(draws: Float[np.ndarray, "R"]) -> tuple[float, float]:
    """The middle 95 % of what was found in every resample."""
    low, high = np.percentile(draws, INTERVAL)
    return float(low), float(high)


def bootstrap_interval(
    hits: Float[np.ndarray, "W N"], resamples: int = BOOTSTRAP_RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of the median over wordings when the rows are drawn again, the same ones for all wordings."""
    return interval(np.nanmedian(resampled(hits, resamples, seed), axis=1))


def _columns(lines: Sequence[str], names: dict[str, int], where: str, first: int) -> list[np.ndarray]:
    """Task (its number in `names`), example, choice, log-probability and truth of every line, and the line's number."""
    try:
        cells = list(map(itemgetter(*SCORE_FIELDS), json.loads(f"[{','.join(lines)}]")))
        if len(cells) != len(lines):
            raise ValueError
        columns = _typed(cells, names)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        if len(lines) == 1:
            raise InputError(
                f"{where}{first} is not a score (an object with {', '.join(SCORE_FIELDS)}): run `t0jax eval` again."
            ) from None
        for number, line in enumerate(lines):  # which one it is
            _columns([line], {}, where, first + number)
        raise InputError(f"{where}{first} and those after it are not one score a line: run `t0jax eval` again.") from None
    if not (finite := np.isfinite(columns[3])).all():
        number = int(finite.argmin())
        raise InputError(
            f"{where}{first + number} has the log-probability {columns[3][number]}: the scores are of no use, evaluate a sound "
            "checkpoint."
        )
    return [*columns, first + np.arange(len(lines))]


def _typed(cells: Sequence[tuple[Any, ...]], names: dict[str, int]) -> list[np.ndarray]:
    """The columns as arrays; a ValueError where a value is of another kind than `t0jax eval` writes."""
    tasks, examples, choices, logp, correct = zip(*cells, strict=True)
    kinds = ((tasks, {str}), (examples, {int}), (choices, {int}), (logp, {int, float}), (correct, {bool}))
    if any(not set(map(type, column)) <= kind for column, kind in kinds) or min(examples) < 0 or min(choices) < 0:
        raise ValueError
    numbers = np.array([names.setdefault(task, len(names)) for task in tasks])
    return [numbers, np.array(examples, np.int64), np.array(choices, np.int64), np.array(logp, float), np.array(correct)]


def _gather(task: str, lines: Int[np.ndarray, "L"], columns: Sequence[np.ndarray], path: Path) -> TaskScores:
    """One task from its lines, which are sorted by example and choice."""
    example, choice, logp, correct, number = (column[lines] for column in columns[1:])
    is_first = np.diff(example, prepend=example[0] - 1) != 0
    starts = np.flatnonzero(is_first)
    expected = np.arange(len(lines)) - np.repeat(starts, np.diff(starts, append=len(lines)))
    if (wrong := np.flatnonzero(choice != expected)).size:
        at = wrong[0]
        if not is_first[at] and choice[at] == choice[at - 1]:
            what = f"choice {choice[at]} of example {example[at]} of {task} twice"
            raise InputError(f"{path}, line {number[at]} scores {what}.")
        raise InputError(
            f"The scores of {task} lack choice {expected[at]} of example {example[at]}: the file is not whole; "
            "run `t0jax eval` again."
        )
    row = np.cumsum(is_first) - 1
    shape = (len(starts), int(choice.max()) + 1)
    padded, truths = np.full(shape, -np.inf), np.zeros(shape, bool)
    padded[row, choice], truths[row, choice] = logp, correct
    return TaskScores(example[starts], padded, truths, np.bincount(row))


def _outcome(scores: Mapping[str, TaskScores], origins: Mapping[str, Origin]) -> DatasetOutcome:
    origin = origins[next(iter(scores))]
    accuracies = np.array([task.accuracy for task in scores.values()])
    matrix = hit_matrix(scores.values())
    draws = resampled(matrix)
    (low, high), (mean_low, mean_high) = interval(np.nanmedian(draws, axis=1)), interval(np.nanmean(draws, axis=1))
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
        mean_low=mean_low,
        mean_high=mean_high,
    )
