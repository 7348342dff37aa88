"""Rows from the Hugging Face hub: Parquet files of one commit, pinned with their hashes and row counts in a lock."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from t0jax.data.schemas import FieldType, schema
from t0jax.data.sources import hub_client
from t0jax.data.sources.by_hand import advice
from t0jax.data.sources.features import Fit, fields_of, fit
from t0jax.data.sources.hub_lock import HubLine, HubSplit, Key, add_lines, known_lines, own_lock, read_lock
from t0jax.data.sources.parquet import ParquetRows, open_parquet, parquet_file
from t0jax.data.sources.split import MissingRowsError
from t0jax.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Locked:
    """What came of locking a dataset."""

    dataset: str
    subset: str | None
    revision: str
    """Empty when it could not be locked."""
    rows: Mapping[str, int]
    problem: str | None
    """Why it could not be locked."""


def open_hub(hub_lock: str | None, key: Key, split: str, limit: int | None = None) -> ParquetRows:
    """The rows of a split, at most the first `limit`, verified against the lock.

    A dataset that is not locked is refused unless `hub_lock` names a user's lock: then it is locked there first.
    MissingRowsError when the lock has no such dataset or split, or the hub does not give it; InputError when it gives another.
    """
    lines = known_lines(hub_lock)
    if key not in lines:
        name = f"{key[0]}/{key[1]}" if key[1] else key[0]
        near = did_you_mean(name, (line.name for line in lines.values()))
        raise MissingRowsError(f"hub: the lock has no dataset {name}.{near}")
    return open_line(lines[key], hub_lock, split, limit)


def open_line(line: HubLine, hub_lock: str | None, split: str, limit: int | None) -> ParquetRows:
    """The rows of a split of a line, which is locked first if that is asked for."""
    if split not in line.splits:
        raise MissingRowsError(f"hub: {line.name} has no split {split!r}; it has {', '.join(line.splits)}.")
    if not line.revision:
        if hub_lock is None:
            raise InputError(f"hub: {line.name} is not locked to a commit: {hub_client.relock(line)}.")
        line = _lock(line, accept_changes=False)
        add_lines(Path(hub_lock), [line])
    return _rows(line, split, limit)


def key_of(name: str, hub_lock: str | None = None) -> Key:
    """Dataset and subset of a name as people write it: `glue/mrpc`; or, where no lock has that, `owner/repository:config`."""
    known = {line.name: line.key for line in known_lines(hub_lock).values()}
    repo, _, config = name.partition(":")
    return known.get(name, (repo, config or None))


def lock_hub(datasets: Iterable[Key], hub_lock: str | Path, *, accept_changes: bool = False) -> list[Locked]:
    """Lock datasets to what the hub has of them today, in the file `hub_lock`, each as soon as it is known.

    One that fails, or whose row counts or fields are not the official ones, is reported and left as it was; changes can be
    accepted. A dataset with a slash that no lock has is taken for a repository, its subset for a configuration.
    """
    known, lines, done = known_lines(hub_lock), [], []
    for dataset, subset in datasets:
        new = HubLine(dataset=dataset, subset=subset, repo=dataset, config=subset or "default")
        if new.key in known or "/" in dataset:
            lines.append(known.get(new.key, new))
        else:
            problem = f"hub: no lock has a repository for {new.name}.{advice(new.key)}"
            done.append(Locked(dataset, subset, "", {}, problem))
    return done + lock_lines(lines, hub_lock, accept_changes=accept_changes)


def lock_lines(lines: Iterable[HubLine], hub_lock: str | Path, *, accept_changes: bool) -> list[Locked]:
    """Lock what these lines say."""
    done = []
    for line in lines:
        try:
            locked = _lock(line, accept_changes)
            add_lines(Path(hub_lock), [locked])
        except InputError as error:
            done.append(Locked(line.dataset, line.subset, "", {}, str(error)))
        else:
            rows = {name: split.rows for name, split in locked.splits.items()}
            done.append(Locked(line.dataset, line.subset, locked.revision, rows, None))
    return done


def _lock(line: HubLine, accept_changes: bool) -> HubLine:
    """The line at the hub's commit of today. InputError when rows or fields are not those expected."""
    found = hub_client.find(line)
    splits, changes, fields = {}, list[str](), list[str]()
    every = [file for files in found.splits.values() for file in files]
    seen = dict(zip(every, hub_client.look_into(line, found.revision, every), strict=True))
    for name, files in found.splits.items():
        looks = [seen[file] for file in files]
        splits[name] = HubSplit(sum(rows for rows, _ in looks), files)
        expected = line.splits[name].rows if name in line.splits else None
        if expected not in (None, splits[name].rows):
            changes.append(f"{name} has {splits[name].rows} rows instead of {expected}")
        for _, found_fields in looks:
            fields += [problem for problem in _fit(line, found_fields).problems if problem not in fields]
    if (changes or fields) and not accept_changes:
        what = f"hub: {line.name}: {line.repo} has changed upstream: {'; '.join(changes + fields)}"
        raise InputError(f"{what}. Give --accept_changes if that is what you want, or put the old rows into --data_dir.")
    return replace(line, revision=found.revision, splits=splits, accepted=tuple(fields))


def _rows(line: HubLine, split: str, limit: int | None) -> ParquetRows:
    """The verified rows; with a limit only of the files that it reaches."""
    locked, paths, count = line.splits[split], list[Path](), 0
    for file in locked.files:
        if limit is None or count < limit:
            path = hub_client.fetch(line, file)
            with parquet_file(path) as parquet:
                count += parquet.metadata.num_rows
                fitted = _fit(line, fields_of(parquet.schema_arrow, line.renames))
            _check_fields(line, file.path, fitted)
            paths.append(path)
    if count != locked.rows and (len(paths) == len(locked.files) or count > locked.rows):
        raise InputError(f"hub: {line.name}: {split} has {count} rows, the lock has {locked.rows}: {hub_client.relock(line)}.")
    rows = open_parquet(paths, f"hub: {line.repo}@{line.revision[:12]} {locked.files[0].path}", limit)
    hashed = f"{line.repo} {sorted(line.renames.items())} {fitted.labels} {rows.fingerprint}"
    return replace(
        rows,
        fingerprint=hashlib.sha256(hashed.encode()).hexdigest(),
        renames=tuple(line.renames.items()),
        labels=fitted.labels,
    )


def _check_fields(line: HubLine, path: str, fitted: Fit) -> None:
    if changed := [problem for problem in fitted.problems if problem not in line.accepted]:
        what = f"hub: {line.name}: the fields of {path} have changed upstream: {'; '.join(changed)}"
        raise InputError(f"{what}. Put rows with the old fields into --data_dir.")


def _fit(line: HubLine, found: Mapping[str, FieldType]) -> Fit:
    return fit(found, _expected(line))


def _expected(line: HubLine) -> Mapping[str, FieldType]:
    """The fields that templates need, as the table of schemas has them; of a user's dataset nothing is known."""
    return schema(line.dataset, line.subset).fields if line.key in read_lock(own_lock()) else {}
