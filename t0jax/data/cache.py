"""Tasks rendered and tokenized into SeqIO's cache `<output_cache_dir>/<task>/<split>.tfrecord-*`, without TensorFlow."""

import hashlib
import json
import sys
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from t0jax.data.cached_split import CachedTask, check_source, find_cached, put_in_place
from t0jax.data.missing import forget_missing, record_missing
from t0jax.data.parts import Part, Shard, at_work, is_littered, shards, writing
from t0jax.data.processes import cores, finish_units
from t0jax.data.prompting import task_templates
from t0jax.data.sources.places import Places, open_split
from t0jax.data.sources.split import MissingRowsError, SplitRows
from t0jax.data.units import Unit, run_unit, shares
from t0jax.data.universe import PromptedTask
from t0jax.data.vocabulary import Vocabulary
from t0jax.errors import InputError
from t0jax.prompts.templates import Template

_FORMAT = 2  # counted up when the same rows, template and vocabulary come out otherwise
_ROWS_A_SHARD = 25_000
_UNIT_SIZE = 20_000  # prompted rows; below, starting a process takes longer than it saves
_UNITS_A_CORE = 4  # so that the cores end at about the same time
_BEAM_UNIT_SIZE = 100_000

_Opened = dict[tuple[str | None, ...], SplitRows | MissingRowsError]


@dataclass(frozen=True, kw_only=True)
class Caching:
    """What `cache_tasks` is to do."""

    output_cache_dir: str | Path
    places: Places
    vocabulary: str | Path
    splits: Sequence[str] | None = None
    """None: every split that has rows; of a `_score_eval` twin only validation, if there is one."""
    num_examples: int | None = None
    """At most the first so many rows of each split."""
    min_shards: int = 1
    """Files of a split, if it has so many rows; one of many rows has more."""
    overwrite: bool = False
    """Render again what is cached or finished already."""
    skip_missing: bool = False
    """Go on without tasks that no source has rows of, and note them in the cache."""
    runner: str | None = None
    """A runner of Apache Beam's; None: the cores of this machine."""
    beam_options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("num_examples", "min_shards"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise InputError(f"{name} is {value}; it must be above 0.")
        if "://" in str(self.output_cache_dir):
            raise InputError(
                f"The cache cannot be written to {self.output_cache_dir}: give --output_cache_dir a path that this machine "
                "and all workers have, such as a mounted bucket, and copy it afterwards."
            )
        if self.beam_options and not self.runner:
            raise InputError("--beam_options are for a runner of Apache Beam's: give --runner, for example DirectRunner.")


@dataclass(frozen=True)
class _Split:
    """A split of a task to be cached."""

    part: Part
    rows: SplitRows
    shards: tuple[Shard, ...]


def cache_tasks(tasks: Sequence[PromptedTask], **caching: Any) -> list[CachedTask]:
    """Cache the tasks as a `Caching` of these keywords says, and say what the cache holds of them now.

    What is cached already from the same rows, template and vocabulary stays, and so do shards that a killed process had
    finished. A split appears only when it is whole. InputError for missing or broken rows and for a full disk.
    """
    how = Caching(**caching)
    output = Path(how.output_cache_dir)
    try:
        splits, held = _splits(list({task.name: task for task in tasks}.values()), how)
        wanted = []
        for split in splits:
            part = split.part
            found = None if how.overwrite else find_cached(output, part.task.name, part.split, part.fingerprint)
            held += [found] if found else []
            wanted += [] if found else [split]
        return held + (_write(wanted, splits, how) if wanted or is_littered(output) else [])
    except OSError as error:
        if error.filename is not None and output not in (Path(error.filename), *Path(error.filename).parents):
            raise  # not ours: a file of rows, for one
        reason = error.strerror or str(error)
        raise InputError(
            f"The cache {output} cannot be written ({reason}): make room or give another --output_cache_dir. "
            "Nothing half-written is left."
        ) from error


def _splits(tasks: Sequence[PromptedTask], how: Caching) -> tuple[list[_Split], list[CachedTask]]:
    """What is to be cached, and what the cache holds of rows that no source has any more, where missing ones are skipped.

    InputError for a split that a task lacks, that no source has, or that the cache holds of other rows.
    """
    vocabulary, output = Vocabulary(how.vocabulary).fingerprint, Path(how.output_cache_dir)
    opened: _Opened = {}
    splits, kept, missing = list[_Split](), list[CachedTask](), None
    for task, template in zip(tasks, task_templates(tasks), strict=True):
        found, lacking = _open(task, how, opened)
        if lacking and not how.skip_missing:
            raise next(iter(lacking.values()))
        for split in (*lacking, *found) if not how.overwrite else ():
            check_source(output, task, split)
        for split, reason in lacking.items():
            if held := find_cached(output, task.name, split, fingerprint=None):
                kept.append(held)
                forget_missing(output, task.name, split)
                continue
            missing = reason
            record_missing(output, task.name, split, str(reason))
        for split, rows in found.items():
            forget_missing(output, task.name, split)
            ranges = tuple(shards(rows.num_rows, _ROWS_A_SHARD, how.min_shards))
            fingerprint = _fingerprint(task, split, template, (rows.fingerprint, vocabulary, len(ranges)))
            splits.append(_Split(Part(task, split, fingerprint, output), rows, ranges))
    if missing and not splits and not kept:
        raise InputError(f"No source has rows of any of the {len(tasks)} tasks, so there is nothing to cache. {missing}")
    if kept:
        more = f" and {len(kept) - 1} more are" if len(kept) > 1 else " is"
        what = f"{kept[0].split} of {kept[0].task}{more} kept as cached before: no source has the rows any more"
        print(f"t0jax: {what}, so that whether they have changed is not known", file=sys.stderr)
    return splits, kept


def _open(task: PromptedTask, how: Caching, opened: _Opened) -> tuple[dict[str, SplitRows], dict[str, MissingRowsError]]:
    """The rows of the splits to cache, and the splits that are to be cached and have none."""
    found, lacking = dict[str, SplitRows](), dict[str, MissingRowsError]()
    splits = list(dict.fromkeys(how.splits or task.splits))
    if not set(splits) & set(task.splits):
        task.source(splits[0])  # an InputError
    for split in (split for split in splits if split in task.splits):
        own = task.name if "p3" in how.places.order else None  # P3 has rows for each task, others for each dataset
        key = (task.dataset, task.subset, task.source(split), own)
        if key not in opened:
            try:
                opened[key] = open_split(how.places, task, split, how.num_examples)
            except MissingRowsError as error:
                opened[key] = error
        rows = opened[key]
        if isinstance(rows, MissingRowsError):
            lacking[split] = rows
        else:
            found[split] = rows
    if found and not how.splits:
        return {"validation": found["validation"]} if task.is_scored and "validation" in found else found, {}
    return found, lacking


def _fingerprint(task: PromptedTask, split: str, template: Template, others: tuple[str, str, int]) -> str:
    """A hash of all that decides what a split of a task holds: rows and vocabulary come as hashes, then how many shards."""
    parts = [_FORMAT, task.name, split, template.jinja, template.answer_choices, *others]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _write(wanted: Sequence[_Split], asked: Sequence[_Split], how: Caching) -> list[CachedTask]:
    """Make shards of the splits, and put each split in its place as soon as it is whole."""
    output, parts = Path(how.output_cache_dir), [split.part for split in wanted]
    with at_work(output, parts, [split.part for split in asked], anew=how.overwrite):
        units = _units(wanted, how)
        total = sum(len(split.shards) for split in wanted)
        left = {part: 0 for part in parts}
        for unit in units:
            left |= {part: left[part] + 1 for part in unit.parts}
        if before := total - sum(left.values()):
            print(f"t0jax: {before} of {total} shards had been finished before", file=sys.stderr)
        written = [put_in_place(split.part, split.shards, anew=how.overwrite) for split in wanted if not left[split.part]]
        by_part = {split.part: split for split in wanted}
        try:
            with closing(_finished(units, how)) as finished:
                for unit in finished:
                    for part in unit.parts:
                        left[part] -= 1
                        if not left[part]:
                            written.append(put_in_place(part, by_part[part].shards, anew=how.overwrite))
        except BaseException:
            undone = sum(split.part.find(shard) is None for split in wanted if left[split.part] for shard in split.shards)
            if undone < total:
                what = f"{total - undone} of {total} shards are finished and stay in {output}"
                print(f"t0jax: {what}: the same command goes on from there", file=sys.stderr)
            raise
    return written


def _finished(units: Sequence[Unit], how: Caching) -> Generator[Unit]:
    """The units, each one when its shards are finished."""
    if not units:
        return
    if how.runner is None:
        with closing(finish_units(run_unit, units, "caching")) as finished:
            yield from (units[number] for number, _ in finished)
    else:
        from t0jax.data.beam import run_on_beam

        with writing(Path(how.output_cache_dir)) as complaints:
            run_on_beam(units, how.runner, how.beam_options, complaints)
        yield from units


def _units(splits: Sequence[_Split], how: Caching) -> list[Unit]:
    """Work for all shards that are not finished: tasks that share rows have a unit for each range, or some."""
    sharing: dict[tuple[str, SplitRows], list[_Split]] = {}
    for split in splits:
        sharing.setdefault((split.part.split, split.rows), []).append(split)
    units = []
    for (_, rows), members in sharing.items():
        for shard in members[0].shards:
            parts = tuple(split.part for split in members if split.part.find(shard) is None)
            units += [Unit(parts, rows, shard, Path(how.vocabulary))] if parts else []
    size = _BEAM_UNIT_SIZE if how.runner else sum(unit.size for unit in units) // (_UNITS_A_CORE * cores())
    return shares(units, max(_UNIT_SIZE, size))
