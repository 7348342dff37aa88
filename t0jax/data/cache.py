"""Tasks rendered and tokenized into SeqIO's cache `<output_cache_dir>/<task>/<split>.tfrecord-*`, without TensorFlow."""

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from t0jax.data.cached_split import CachedTask, SplitWriter, find_cached, parts_folder
from t0jax.data.processes import run_units
from t0jax.data.prompting import Wording, task_templates
from t0jax.data.sources.places import Places, open_split
from t0jax.data.sources.split import MissingRowsError, SplitRows
from t0jax.data.universe import PromptedTask
from t0jax.data.vocabulary import Vocabulary
from t0jax.errors import InputError
from t0jax.prompts.render import Prompted
from t0jax.prompts.templates import Template

_FORMAT = 1  # counted up when the same rows, template and vocabulary come out otherwise
_ROWS_AT_A_TIME = 256
_UNIT_SIZE = 20_000  # rows times tasks; below, starting a process takes longer than it saves


@dataclass(frozen=True)
class _Unit:
    """Work for one process: tasks of one dataset over the rows of one split, each with its fingerprint."""

    tasks: tuple[PromptedTask, ...]
    fingerprints: tuple[str, ...]
    split: str
    rows: SplitRows
    output: Path
    parts: Path
    vocabulary: Path

    @property
    def size(self) -> int:
        return self.rows.num_rows * len(self.tasks)


def cache_tasks(
    tasks: Sequence[PromptedTask],
    *,
    output_cache_dir: str | Path,
    places: Places,
    vocabulary: str | Path,
    splits: Sequence[str] | None = None,
    num_examples: int | None = None,
) -> list[CachedTask]:
    """Cache the tasks, of each split at most the first `num_examples` rows, and say what the cache holds now.

    By default every split that has rows; of a `_score_eval` twin only validation, if there is one. What is cached already
    from the same rows, template and vocabulary stays. A split appears only when it is whole. InputError for missing or broken
    rows and for a full disk.
    """
    if num_examples is not None and num_examples < 1:
        raise InputError(f"num_examples is {num_examples}; it must be above 0.")
    output = Path(output_cache_dir)
    fingerprint = Vocabulary(vocabulary).fingerprint
    held: list[CachedTask] = []
    wanted: dict[tuple[str, SplitRows], list[tuple[PromptedTask, str]]] = {}
    tasks = list({task.name: task for task in tasks}.values())
    opened: dict[tuple[str, str | None, str], SplitRows] = {}
    for task, template in zip(tasks, task_templates(tasks), strict=True):
        for split, rows in _splits(task, places, splits, num_examples, opened).items():
            mark = _fingerprint(task, split, template, (rows.fingerprint, fingerprint))
            cached = find_cached(output, task.name, split, mark)
            if cached:
                held.append(cached)
            else:
                wanted.setdefault((split, rows), []).append((task, mark))
    if not wanted:
        return held
    try:
        with parts_folder(output) as parts:
            units = []
            for (split, rows), marked in wanted.items():
                names, marks = zip(*marked, strict=True)
                units.append(_Unit(names, marks, split, rows, output, parts, Path(vocabulary)))
            written = run_units(_cache_unit, _shares(units), "caching")
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"The cache {output} cannot be written ({reason}): make room or give another --output_cache_dir. "
            "Nothing half-written is left."
        ) from error
    return held + [cached for unit in written for cached in unit]


def _splits(
    task: PromptedTask,
    places: Places,
    splits: Sequence[str] | None,
    limit: int | None,
    opened: dict[tuple[str, str | None, str], SplitRows],
) -> dict[str, SplitRows]:
    """The splits to cache with their rows. InputError when the task lacks one that is asked for, or has no rows at all."""
    found, missing = {}, None
    for split in dict.fromkeys(splits or task.splits):
        key = (task.dataset, task.subset, task.source(split))
        try:
            found[split] = opened[key] = opened.get(key) or open_split(places, task, split, limit)
        except MissingRowsError as error:
            missing = missing or error
    if missing and (splits or not found):
        raise missing
    return {"validation": found["validation"]} if not splits and task.is_scored and "validation" in found else found


def _fingerprint(task: PromptedTask, split: str, template: Template, hashes: tuple[str, str]) -> str:
    """A hash of all that decides what a split of a task holds: rows and vocabulary come as hashes."""
    parts = [_FORMAT, task.name, split, template.jinja, template.answer_choices, *hashes]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _shares(units: Sequence[_Unit]) -> list[_Unit]:
    """The units, each cut into groups of tasks of a size worth a process, largest first."""
    shares = []
    for unit in units:
        each = max(1, _UNIT_SIZE // max(1, unit.rows.num_rows))
        for start in range(0, len(unit.tasks), each):
            part = slice(start, start + each)
            shares.append(replace(unit, tasks=unit.tasks[part], fingerprints=unit.fingerprints[part]))
    return sorted(shares, key=lambda unit: -unit.size)


def _cache_unit(unit: _Unit, advance: Callable[[int], None]) -> list[CachedTask]:
    """Render, tokenize and write a unit; `advance` is told how many prompted rows are done."""
    vocabulary = Vocabulary(unit.vocabulary)
    wordings = [Wording(task, template) for task, template in zip(unit.tasks, task_templates(unit.tasks), strict=True)]
    writers = [SplitWriter(task, unit.split, unit.parts, vocabulary) for task in unit.tasks]
    rows = enumerate(unit.rows.read())
    try:
        while chunk := list(itertools.islice(rows, _ROWS_AT_A_TIME)):
            for wording, writer in zip(wordings, writers, strict=True):
                writer.add([(index, _prompt(wording, row, unit.split, index)) for index, row in chunk])
                advance(len(chunk))
        return [writer.commit(unit.output, mark) for writer, mark in zip(writers, unit.fingerprints, strict=True)]
    finally:
        for writer in writers:
            writer.close()


def _prompt(wording: Wording, row: Mapping[str, Any] | Prompted, split: str, index: int) -> Prompted | None:
    return row if isinstance(row, Prompted) else wording(row, split, index)
