"""The published P3: T0's tasks as examples that are prompted already, so that what was drawn at random is as T0 saw it.

On the hub `bigscience/P3` has a configuration for each task, in Parquet. A mirror, `p3_dir`, holds a folder for each task, in
Parquet as on the hub today, or in the TFRecords of SeqIO's cache as it was before: `<task>/<split>.tfrecord-00000-of-00001`.
"""

import functools
import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from t0jax.data.sources import hub, memory
from t0jax.data.sources.at_rest import pairs, read_table
from t0jax.data.sources.hub_lock import P3_REPO, HubLine, HubSplit, known_lines
from t0jax.data.sources.p3_records import CHOICES, Records, open_copy
from t0jax.data.sources.split import MissingRowsError
from t0jax.data.universe import SCORE_EVAL, PromptedTask
from t0jax.errors import InputError
from t0jax.prompts.render import Prompted

_INPUTS, _TARGETS = "inputs_pretokenized", "targets_pretokenized"
_STRIDE = 1024


@dataclass(frozen=True)
class P3Rows:
    """The prompted rows of a task's split. A row of a `_score_eval` task is one record for each of its choices."""

    records: Records
    num_rows: int
    fingerprint: str
    starts: tuple[int, ...] | None = field(repr=False)
    """Of a `_score_eval` task, the record at which every 1,024th row begins; None: a record is a row."""

    @property
    def origin(self) -> str:
        """Where the records lie."""
        return self.records.origin

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[Prompted]:
        """Rows `start` to `stop`. InputError for a record that is not of P3's."""
        stop = self.num_rows if stop is None else min(stop, self.num_rows)
        if start >= stop:
            return
        if self.starts is None:
            yield from map(self._plain, self.records.read_columns(None, start, stop))
        else:
            records = self.records.read_columns(None, self.starts[start // _STRIDE])
            rows = (list(choices) for _, choices in itertools.groupby(records, self._row))
            first = start // _STRIDE * _STRIDE
            yield from map(self._ranked, itertools.islice(rows, start - first, stop - first))

    def _plain(self, record: Mapping[str, Any]) -> Prompted:
        choices = record.get(CHOICES)
        # An empty list is what a file says that has choices for other rows only.
        return Prompted(self._text(record, _INPUTS), self._text(record, _TARGETS), tuple(choices) if choices else None)

    def _ranked(self, records: Sequence[Mapping[str, Any]]) -> Prompted:
        if "is_correct" not in records[0]:
            raise InputError(f"p3: {self.origin} has a record without is_correct: it is not of P3's; copy the task again.")
        choices = tuple(self._text(record, _TARGETS) for record in records)
        correct = [text for text, record in zip(choices, records, strict=True) if record["is_correct"]]
        return Prompted(self._text(records[0], _INPUTS), correct[0] if correct else "", choices)

    def _row(self, record: Mapping[str, Any]) -> int:
        return _row_number(self.origin, record)

    def _text(self, record: Mapping[str, Any], name: str) -> str:
        """A text of P3's; targets begin with white space there, which T5's vocabulary drops."""
        if not isinstance(record.get(name), str):
            raise InputError(f"p3: {self.origin} has a record without {name}: it is not of P3's; copy the task again.")
        return str(record[name]).strip() if name == _TARGETS else str(record[name])


def open_p3(p3_dir: str | None, hub_lock: str | None, task: PromptedTask, split: str, limit: int | None = None) -> P3Rows:
    """The prompted rows of a task's split, at most the first `limit`, from the mirror `p3_dir` or else from the hub.

    MissingRowsError when P3 has no such task or split. P3 has `_score_eval` only for what T0 is evaluated on: the choices of
    other tasks come from the task itself.
    """
    name = p3_name(task)
    if name is None:
        raise MissingRowsError(f"p3: P3 has no task {task.name}.")
    splits = _table()[name]
    theirs = split if split in splits else task.source(split)
    if theirs not in splits:
        raise MissingRowsError(f"p3: P3's {name} has no split {split!r}; it has {', '.join(splits)}.")
    if p3_dir is None:
        if hub_lock is None:
            how = "`t0jax tasks lock --mixture M --sources p3 --hub_lock PATH` and give --hub_lock PATH"
            raise InputError(f"p3: {P3_REPO} is not locked to a commit: give --p3_dir, a copy of it, or run {how}.")
        records: Records = hub.open_line(_line(hub_lock, name), hub_lock, theirs, None)
    else:
        records = open_copy(Path(p3_dir), name, theirs)
    return _rows(records, name, limit, needs_choices=task.is_scored)


def lock_p3(tasks: Sequence[str], hub_lock: str | Path, *, accept_changes: bool = False) -> list[hub.Locked]:
    """Lock configurations of `bigscience/P3` to what the hub has today, in the file `hub_lock`, as `hub.lock_hub` does."""
    lines = [_line(str(hub_lock), name) for name in tasks]
    return hub.lock_lines(lines, hub_lock, accept_changes=accept_changes)


def p3_name(task: PromptedTask) -> str | None:
    """P3's name of a task: its own, or that of the task it is the `_score_eval` twin of; None when P3 has neither."""
    return next((name for name in (task.name, task.name.removesuffix(SCORE_EVAL)) if name in _table()), None)


def _rows(records: Records, name: str, limit: int | None, *, needs_choices: bool) -> P3Rows:
    starts = None
    count = records.num_rows
    if name.endswith(SCORE_EVAL):
        count, starts = memory.remembered("p3 rows", records.paths, lambda: _group(records))
        starts = tuple(starts)
    elif needs_choices and not any(record.get(CHOICES) for record in records.read_columns(None, 0, 1)):
        raise MissingRowsError(f"p3: P3's {name} has no answer choices.")
    count = count if limit is None else min(limit, count)
    fingerprint = hashlib.sha256(f"p3 {name} {count} {records.fingerprint}".encode()).hexdigest()
    return P3Rows(records, count, fingerprint, starts)


def _group(records: Records) -> tuple[int, list[int]]:
    """How many rows the records make, and where every 1,024th begins."""
    count, number, starts = 0, 0, list[int]()
    rows = (_row_number(records.origin, record) for record in records.read_columns(["idx"]))
    for _, choices in itertools.groupby(rows):
        if not count % _STRIDE:
            starts.append(number)
        number += sum(1 for _ in choices)
        count += 1
    return count, starts


def _row_number(origin: str, record: Mapping[str, Any]) -> int:
    """`idx` is (row, choice)."""
    idx = record.get("idx")
    if idx is None or len(idx) != 2:
        raise InputError(f"p3: {origin} has a record without idx: it is not of P3's {SCORE_EVAL} tasks; copy it again.")
    return int(idx[0])


def _line(hub_lock: str | None, name: str) -> HubLine:
    """The line of a configuration in the user's lock, or one that is not locked yet."""
    splits = {split: HubSplit(int(rows)) for split, rows in _table()[name].items()}
    new = HubLine(dataset=P3_REPO, subset=name, repo=P3_REPO, config=name, splits=splits)
    return known_lines(hub_lock).get(new.key, new)


@functools.cache
def _table() -> Mapping[str, Mapping[str, str]]:
    """P3's tasks, each with the number of records of its splits."""
    return {line["task"]: pairs(line["splits"]) for line in read_table("p3", ("task", "splits"))}
