"""All tasks without choices of an evaluation, answered and measured, and the two files that it leaves."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax

from t0jax.batch import OpenExample
from t0jax.errors import InputError
from t0jax.evaluation.engine import config_hash
from t0jax.evaluation.generate import Generator
from t0jax.evaluation.progress import progress
from t0jax.files import check_place, write_whole
from t0jax.metrics import measure
from t0jax.rank import Origin

PREDICTIONS, GENERATED = "predictions.jsonl", "generated.json"


@dataclass(frozen=True)
class OpenTask:
    """Where a task belongs, and the metrics that its template names."""

    origin: Origin
    metrics: tuple[str, ...]


def evaluate_open(
    generator: Generator,
    decode: Callable[[list[int]], str],
    examples: Sequence[OpenExample],
    tasks: Mapping[str, OpenTask],
    output_dir: Path,
    *,
    about: Mapping[str, Any],
) -> None:
    """Answer every example and write `predictions.jsonl` and `generated.json` under `output_dir`.

    `decode` turns an answer's tokens into text; `about` goes into the second file as it is.
    """
    if not examples:
        raise InputError("There is nothing to answer: no row of the split renders under the tasks without choices.")
    if jax.process_index() == 0:
        check_place(output_dir)
    with progress("answered", "examples", len(examples)) as advance:
        answers = generator.generate([example.inputs for example in examples], advance)
    if jax.process_index() != 0:
        return
    predictions = [decode(answer.tolist()) for answer in answers]
    counts = {
        "tasks": len({example.task for example in examples}),
        "examples": len(examples),
        "inputs_at_length_limit": sum(len(example.inputs) >= generator.limit for example in examples),
        "answers_cut": sum(len(answer) >= generator.length for answer in answers),
    }
    about = {**about, **config_hash(about), "created": datetime.now(UTC).isoformat(timespec="seconds"), "counts": counts}
    (output_dir / GENERATED).unlink(missing_ok=True)  # an earlier run's numbers must not stand beside these answers
    lines = [_line(example, text) for example, text in zip(examples, predictions, strict=True)]
    write_whole(output_dir / PREDICTIONS, "".join(lines))
    results = {**about, "tasks": _measured(examples, predictions, tasks)}
    write_whole(output_dir / GENERATED, json.dumps(results, indent=1, ensure_ascii=False) + "\n")


def _line(example: OpenExample, prediction: str) -> str:
    line = {"task": example.task, "example": int(example.example), "prediction": prediction, "targets": list(example.targets)}
    return json.dumps(line, ensure_ascii=False) + "\n"


def _measured(
    examples: Sequence[OpenExample], predictions: Sequence[str], tasks: Mapping[str, OpenTask]
) -> dict[str, dict[str, Any]]:
    """Of every task its origin, how many examples it has, the metrics asked for, and what they came to, in percent."""
    members: dict[str, list[int]] = {}
    for number, example in enumerate(examples):
        members.setdefault(example.task, []).append(number)
    found = {}
    for name, numbers in members.items():
        task = tasks[name]
        texts, targets = [predictions[number] for number in numbers], [examples[number].targets for number in numbers]
        values = measure(task.metrics, texts, targets)
        found[name] = {**vars(task.origin), "examples": len(numbers), "metrics": list(task.metrics), "values": values}
    return found
