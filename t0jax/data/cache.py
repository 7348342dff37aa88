"""Tasks rendered and tokenized into SeqIO's cache `<output_cache_dir>/<task>/<split>.tfrecord-*`, without TensorFlow."""

import hashlib
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from t0jax.data.cached_split import CachedTask, SplitWriter, find_cached, parts_folder
from t0jax.data.processes import run_units
from t0jax.data.prompting import Wording, split_rows, task_templates
from t0jax.data.sources import has_rows, rows_path
from t0jax.data.universe import PromptedTask
from t0jax.data.vocabulary import Vocabulary
from t0jax.errors import InputError
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
    rows: int
    data_dir: Path
    output: Path
    parts: Path
    vocabulary: Path

    @property
    def size(self) -> int:
        return self.rows * len(self.tasks)


def cache_tasks(
    tasks: Sequence[PromptedTask],
    *,
    output_cache_dir: str | Path,
    data_dir: str | Path,
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
    output, data = Path(output_cache_dir), Path(data_dir)
    fingerprint = Vocabulary(vocabulary).fingerprint
    rows: dict[Path, tuple[int, str]] = {}
    held: list[CachedTask] = []
    wanted: dict[tuple[str, str | None, str, str], list[tuple[PromptedTask, str]]] = {}
    tasks = list({task.name: task for task in tasks}.values())
    for task, template in zip(tasks, task_templates(tasks), strict=True):
        for split in _splits(task, data, splits):
            source = task.source(split)
            path = rows_path(data, task.dataset, task.subset, source)
            if path not in rows:
                rows[path] = _count_and_hash(path, num_examples)
            mark = _fingerprint(task, split, template, (rows[path][1], fingerprint))
            cached = find_cached(output, task.name, split, mark)
            if cached:
                held.append(cached)
            else:
                wanted.setdefault((task.dataset, task.subset, split, source), []).append((task, mark))
    if not wanted:
        return held
    try:
        with parts_folder(output) as parts:
            units = []
            for (dataset, subset, split, source), marked in wanted.items():
                count = rows[rows_path(data, dataset, subset, source)][0]
                names, marks = zip(*marked, strict=True)
                units.append(_Unit(names, marks, split, count, data, output, parts, Path(vocabulary)))
            written = run_units(_cache_unit, _shares(units), "caching")
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"The cache {output} cannot be written ({reason}): make room or give another --output_cache_dir. "
            "Nothing half-written is left."
        ) from error
    return held + [cached for unit in written for cached in unit]


def _splits(task: PromptedTask, data_dir: Path, splits: Sequence[str] | None) -> list[str]:
    """The splits to cache. InputError when the task lacks one that is asked for, or has no rows at all."""
    if splits is not None:
        for split in splits:
            task.source(split)
        return list(dict.fromkeys(splits))
    present = [split for split, source in task.splits.items() if has_rows(data_dir, task.dataset, task.subset, source)]
    if not present:
        rows_path(data_dir, task.dataset, task.subset, next(iter(task.splits.values())))
    return ["validation"] if task.is_scored and "validation" in present else present


def _count_and_hash(path: Path, limit: int | None) -> tuple[int, str]:
    """How many rows will be read from a file, and a hash of them."""
    count, digest = 0, hashlib.sha256()
    with open(path, "rb") as lines:
        for line in itertools.islice(lines, limit):
            digest.update(line)
            count += 1
    return count, digest.hexdigest()


def _fingerprint(task: PromptedTask, split: str, template: Template, hashes: tuple[str, str]) -> str:
    """A hash of all that decides what a split of a task holds: rows and vocabulary come as hashes."""
    parts = [_FORMAT, task.name, split, template.jinja, template.answer_choices, *hashes]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _shares(units: Sequence[_Unit]) -> list[_Unit]:
    """The units, each cut into groups of tasks of a size worth a process, largest first."""
    shares = []
    for unit in units:
        each = max(1, _UNIT_SIZE // max(1, unit.rows))
        for start in range(0, len(unit.tasks), each):
            part = slice(start, start + each)
            shares.append(replace(unit, tasks=unit.tasks[part], fingerprints=unit.fingerprints[part]))
    return sorted(shares, key=lambda unit: -unit.size)


def _cache_unit(unit: _Unit, advance: Callable[[int], None]) -> list[CachedTask]:
    """Render, tokenize and write a unit; `advance` is told how many prompted rows are done."""
    vocabulary = Vocabulary(unit.vocabulary)
    wordings = [Wording(task, template) for task, template in zip(unit.tasks, task_templates(unit.tasks), strict=True)]
    writers = [SplitWriter(task, unit.split, unit.parts, vocabulary) for task in unit.tasks]
    rows = enumerate(itertools.islice(split_rows(unit.tasks, unit.split, unit.data_dir), unit.rows))
    try:
        while chunk := list(itertools.islice(rows, _ROWS_AT_A_TIME)):
            for wording, writer in zip(wordings, writers, strict=True):
                writer.add([(index, wording(row, unit.split, index)) for index, row in chunk])
                advance(len(chunk))
        return [writer.commit(unit.output, mark) for writer, mark in zip(writers, unit.fingerprints, strict=True)]
    finally:
        for writer in writers:
            writer.close()
