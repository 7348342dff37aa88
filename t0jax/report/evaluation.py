"""An evaluation on disk, read back: `results.json` says what was scored, `scores.jsonl` how it came out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from t0jax import rank
from t0jax.errors import InputError
from t0jax.report.comparison import Comparisons, marks_of
from t0jax.report.page import WARNINGS


@dataclass(frozen=True)
class Hits:
    """One dataset: its tasks, what each is right about (W wordings, N rows), and every wording's accuracy in R resamples."""

    tasks: tuple[str, ...]
    matrix: Float[np.ndarray, "W N"]
    draws: Float[np.ndarray, "R W"]


@dataclass(frozen=True)
class Evaluation:
    """The outcomes under one EVAL_OUTPUT_DIR, the scores they come from, and what `results.json` says of the run."""

    label: str
    outcomes: tuple[rank.DatasetOutcome, ...]
    results: Mapping[str, Any]
    scores: Mapping[str, rank.TaskScores]

    def tasks(self, dataset: str) -> dict[str, rank.TaskScores]:
        """The scores of a dataset's tasks."""
        return {task: self.scores[task] for task, about in self.results["tasks"].items() if about["dataset"] == dataset}

    @cached_property
    def hits(self) -> Mapping[str, Hits]:
        """Every dataset's matrix of hits, drawn again once for all that asks for intervals."""
        found = {}
        for outcome in self.outcomes:
            tasks = self.tasks(outcome.dataset)
            matrix = rank.hit_matrix(tasks.values())
            found[outcome.dataset] = Hits(tuple(tasks), matrix, rank.resampled(matrix))
        return found

    @property
    def warnings(self) -> list[str]:
        """What is to be said before anything else."""
        notes = [incomplete(str(self.results.get("mixture")), self.results.get("missing_tasks") or {})]
        if trained := self.results.get("trained_on"):
            notes.append(f"not zero-shot, it was trained on {', '.join(trained)}")
        counts = self.results.get("counts") or {}
        if cut := counts.get("inputs_at_length_limit"):
            notes.append(f"{cut:,} of {counts.get('examples', 0):,} inputs are as long as the limit: most likely they were cut")
        if cut := counts.get("choices_cut"):
            notes.append(f"{cut:,} of {counts.get('choices', 0):,} choices were cut at the limit")
        if empty := counts.get("examples_of_empty_choices"):
            notes.append(f"{empty:,} of {counts.get('examples', 0):,} examples have empty choices only: the first one wins")
        return [f"{self.label}: {note}" for note in notes if note]

    @property
    def facts(self) -> dict[str, str]:
        """What a reader has to know of the run, as text."""
        counts = self.results.get("counts") or {}
        about = {
            WARNINGS: " ".join(self.warnings),
            "Mixture": self.results.get("mixture"),
            "Split": self.results.get("split"),
            "Checkpoint": self.results.get("checkpoint") or "none (random initialisation)",
            "Step": self.results.get("step"),
            "Scored": self.results.get("created"),
            "Examples": f"{counts['examples']:,} with {counts['choices']:,} choices"
            if {"examples", "choices"} <= counts.keys()
            else None,
            "Inputs as long as the limit": counts.get("inputs_at_length_limit"),
            "Choices cut at the limit": counts.get("choices_cut"),
            "Rows to which a wording does not apply": sum((self.results.get("skipped_rows") or {}).values()),
            "Recipe": self.results.get("config_sha256", "")[:12],
        }
        return {name: str(value) for name, value in about.items() if value not in (None, "")}


def incomplete(mixture: str, missing: Mapping[str, str]) -> str | None:
    """That a mixture was used without the tasks that are `missing`, each with its reason; None when it was whole."""
    if not missing:
        return None
    names, reason = list(missing), next(iter(missing.values()))
    listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{mixture} is incomplete, {len(names)} of its tasks had no rows: {listed}. {reason}"


def read_evaluation(where: str) -> Evaluation:
    """Read `[LABEL=]EVAL_OUTPUT_DIR`; an InputError when it is missing, not finished, or a mix of two evaluations."""
    label, _, folder = where.rpartition("=")
    path = Path(folder)
    if not path.is_dir():
        raise InputError(f"There is no evaluation at {path}: give the EVAL_OUTPUT_DIR of a finished `t0jax eval`.")
    results = _read_results(path)
    scores = rank.read_scores(path / "scores.jsonl")
    tasks = results["tasks"]
    for name in sorted(set(tasks) ^ set(scores)):
        raise InputError(f"The task {name} is in only one of scores.jsonl and results.json of {path}: run `t0jax eval` again.")
    for name, task in scores.items():
        if int(task.choices.sum()) != tasks[name]["choices"]:
            raise InputError(
                f"{path}/scores.jsonl holds {task.choices.sum()} choices of {name} where results.json counts "
                f"{tasks[name]['choices']}: run `t0jax eval` again."
            )
    origins = {name: rank.Origin(task["dataset"], task["family"], task["wording"]) for name, task in tasks.items()}
    default = path.name if results.get("checkpoint") else "untrained"
    return Evaluation(label or default, rank.outcomes(scores, origins), results, scores)


def compare(evaluations: Sequence[Evaluation]) -> Comparisons:
    """All but the first evaluation as comparisons of the first, which must share datasets with each of them."""
    first, *others = evaluations
    datasets = {outcome.dataset for outcome in first.outcomes}
    comparisons: dict[str, Mapping[str, Any]] = {}
    for other in others:
        marks = marks_of(other.outcomes)
        if not datasets & set(marks):
            raise InputError(f"{other.label} has no dataset in common with {first.label}: compare evaluations of one mixture.")
        if other.label in comparisons:
            raise InputError(f"Two evaluations are called {other.label}: give them names, NAME=EVAL_OUTPUT_DIR.")
        comparisons[other.label] = marks
    return comparisons


def _check_notes(results: Mapping[str, Any]) -> None:
    """A TypeError when what the warnings are made of is of another kind."""
    numbers = [*(results.get("counts") or {}).values(), *(results.get("skipped_rows") or {}).values()]
    texts = [*(results.get("missing_tasks") or {}).values(), *(results.get("trained_on") or [])]
    if not all(isinstance(number, int) for number in numbers) or not all(isinstance(text, str) for text in texts):
        raise TypeError


def _read_results(path: Path) -> Mapping[str, Any]:
    try:
        results = json.loads((path / "results.json").read_text(encoding="utf-8"))
        for task in results["tasks"].values():
            texts = [task[name] for name in ("dataset", "family", "wording")]
            if not all(isinstance(text, str) for text in texts) or not isinstance(task["choices"], int):
                raise TypeError
        _check_notes(results)
    except FileNotFoundError:
        raise InputError(f"The evaluation at {path} is not finished (no results.json): run `t0jax eval` again.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path}/results.json is not what `t0jax eval` writes: run it again.") from None
    return results
