"""Rows as they come: JSON lines under `<data_dir>/<dataset>/<subset or default>/<split>.jsonl`, in the hub's schema."""

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from t0jax.data.sources.split import MissingRowsError
from t0jax.errors import InputError, did_you_mean


@dataclass(frozen=True)
class LocalRows:
    """A file of JSON lines, or the beginning of one."""

    path: Path
    num_rows: int
    fingerprint: str

    @property
    def origin(self) -> str:
        """The file."""
        return f"local: {self.path}"

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[dict[str, Any]]:
        """Rows `start` to `stop`. InputError names the line that is not a JSON object."""
        stop = self.num_rows if stop is None else min(stop, self.num_rows)
        return itertools.islice(_rows(self.path), start, stop)


def open_local(data_dir: str | Path, dataset: str, subset: str | None, split: str, limit: int | None = None) -> LocalRows:
    """The rows of a split, at most the first `limit`; MissingRowsError says what is there instead."""
    path = rows_path(data_dir, dataset, subset, split)
    return LocalRows(path, *_count_and_hash(path, limit))


def _count_and_hash(path: Path, limit: int | None) -> tuple[int, str]:
    """How many rows will be read from a file, and a hash of them."""
    count, digest = 0, hashlib.sha256()
    with open(path, "rb") as lines:
        for line in itertools.islice(lines, limit):
            digest.update(line)
            count += 1
    return count, digest.hexdigest()


def rows_path(data_dir: str | Path, dataset: str, subset: str | None, split: str) -> Path:
    """The file of a split. MissingRowsError says what is there instead when directory, dataset, subset or split is missing."""
    folder, path = Path(data_dir), _path(data_dir, dataset, subset, split)
    if not folder.is_dir():
        raise MissingRowsError(f"There is no data directory {folder}: give the folder of <dataset>/<subset or default>/.")
    for kind, name in (("dataset", dataset), ("subset", subset or "default")):
        known = _names(child for child in folder.iterdir() if child.is_dir())
        if name not in known:
            what = f"{folder} has no {kind} {name!r}; it has {_listed(known)}"
            raise MissingRowsError(f"{what}: put the rows into {path}.{did_you_mean(name, known)}")
        folder = folder / name
    if not path.is_file():
        present = _names(file.with_suffix("") for file in folder.glob("*.jsonl"))
        raise MissingRowsError(f"{folder} has no split {split!r}; it has {_listed(present)}: put the rows into {path}.")
    return path


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
            except ValueError as error:  # broken JSON or broken UTF-8
                raise InputError(f"{path}, line {number} is not JSON ({error}): repair or remove the line.") from error
            if not isinstance(row, dict):
                raise InputError(f"{path}, line {number} is not a JSON object: write each row as {{field: value, ...}}.")
            yield row


def _path(data_dir: str | Path, dataset: str, subset: str | None, split: str) -> Path:
    return Path(data_dir) / dataset / (subset or "default") / f"{split}.jsonl"


def _names(paths: Iterable[Path]) -> list[str]:
    return sorted(path.name for path in paths)


def _listed(names: list[str], limit: int = 12) -> str:
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return (", ".join(names[:limit]) or "none") + rest
