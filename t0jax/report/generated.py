"""What generated answers came to, by the metrics that the templates name: the part of a report that `generated.json` gives."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from t0jax.errors import InputError
from t0jax.metrics import METRICS
from t0jax.report.evaluation import incomplete
from t0jax.report.section import Section

TITLE = "Generated answers"
SAME = ("checkpoint", "step")
"""What results.json and generated.json of one place must agree on."""


@dataclass(frozen=True)
class Measured:
    """One metric on one dataset: its value, a percentage, for every wording that names it."""

    dataset: str
    metric: str
    rows: int
    """Of the wording that applies to the most."""
    values: Mapping[str, float]
    """By wording."""

    @property
    def median(self) -> float:
        """Over the wordings."""
        return float(np.median(list(self.values.values())))


@dataclass(frozen=True)
class Generated:
    """The generated answers under one EVAL_OUTPUT_DIR, measured."""

    label: str
    results: Mapping[str, Any]
    measured: tuple[Measured, ...]

    @property
    def warnings(self) -> list[str]:
        """What is to be said before anything else."""
        notes = [incomplete(str(self.results.get("mixture")), self.results.get("missing_tasks") or {})]
        if trained := self.results.get("trained_on"):
            notes.append(f"not zero-shot, it was trained on {', '.join(trained)}")
        counts = self.results.get("counts") or {}
        whole = f"of {counts.get('examples', 0):,}"
        if cut := counts.get("inputs_at_length_limit"):
            notes.append(f"{cut:,} {whole} inputs are as long as the limit: most likely they were cut")
        if cut := counts.get("answers_cut"):
            notes.append(f"{cut:,} {whole} answers do not end before the limit")
        asked = {name for task in self.results["tasks"].values() for name in task["metrics"]}
        if unknown := sorted(asked - METRICS.keys()):
            notes.append(f"not computed, though templates name it: {', '.join(unknown)}")
        return [f"{self.label}: {note}" for note in notes if note]


def read_generated(where: str) -> Generated | None:
    """Read `[LABEL=]EVAL_OUTPUT_DIR`; None when nothing was generated there, an InputError when the file is damaged."""
    label, _, folder = where.rpartition("=")
    path = Path(folder) / "generated.json"
    if not path.is_file():
        return None
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        measured = tuple(_measured(results["tasks"]))
        name = Path(folder).name if results.get("checkpoint") else "untrained"
        found = Generated(label or name, results, measured)
        _ = found.warnings
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path} is not what `t0jax eval` writes: run it again.") from None
    return found


def check_same(generated: Generated, scored: Mapping[str, Any]) -> None:
    """An InputError where the scores in the same place are of another evaluation."""
    for name in SAME:
        if generated.results.get(name) != scored.get(name):
            raise InputError(
                f"{generated.label} holds answers of the {name} {generated.results.get(name)} and scores of "
                f"{scored.get(name)}: give each evaluation an EVAL_OUTPUT_DIR of its own."
            )


def sections(found: Sequence[Generated]) -> list[Section]:
    """A line for every dataset and metric, the medians of the other evaluations beside the first's; then every wording."""
    if not found:
        return []
    first, *others = found
    beside = [{(one.dataset, one.metric): one for one in other.measured} for other in others]
    columns = ("dataset", "metric", "wordings", "rows", "median", "mean", "worst", "best", *(other.label for other in others))
    lines, wordings = [], []
    for one in first.measured:
        values = np.array(list(one.values.values()))
        numbers = (one.median, values.mean(), values.min(), values.max())
        compared = [by.get((one.dataset, one.metric)) for by in beside]
        cells = [f"{value:.1f}" for value in numbers] + [f"{other.median:.1f}" if other else "" for other in compared]
        lines.append((one.dataset, one.metric, str(len(values)), f"{one.rows:,}", *cells))
        wordings += [(one.dataset, one.metric, wording, f"{value:.1f}") for wording, value in one.values.items()]
    notes = ("In percent; over the wordings that name the metric.",) if lines else ("No template names a metric.",)
    named = ("dataset", "metric", "wording", first.label)
    every = Section(f"{TITLE}, every wording", named, tuple(wordings), names=3, is_detail=True)
    return [Section(TITLE, columns, tuple(lines), notes, names=2), *([every] if wordings else [])]


def json_lines(found: Sequence[Generated]) -> Iterator[str]:
    """An object for every dataset and metric of every evaluation."""
    for generated in found:
        for one in generated.measured:
            line = {"evaluation": generated.label, "dataset": one.dataset, "metric": one.metric, "rows": one.rows}
            yield json.dumps({**line, "median": one.median, "wordings": dict(one.values)}, ensure_ascii=False)


def _measured(tasks: Mapping[str, Any]) -> Iterator[Measured]:
    """By family, dataset and metric, in the order of the tasks. A KeyError, TypeError or ValueError for what is no result."""
    values: dict[tuple[str, str, str], dict[str, float]] = {}
    rows: dict[tuple[str, str, str], int] = {}
    for task in tasks.values():
        for metric, value in task["values"].items():
            key = (str(task["family"]), str(task["dataset"]), metric)
            values.setdefault(key, {})[str(task["wording"])] = float(value)
            rows[key] = max(rows.get(key, 0), int(task["examples"]))
    families = list(dict.fromkeys(family for family, _, _ in values))
    for family, dataset, metric in sorted(values, key=lambda key: families.index(key[0])):
        key = (family, dataset, metric)
        yield Measured(dataset, metric, rows[key], values[key])
