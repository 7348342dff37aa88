"""Rows as they come: JSON lines under `<data_dir>/<dataset>/<subset or default>/<split>.jsonl`, in the hub's schema."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from t0jax.errors import InputError, did_you_mean


def rows_path(data_dir: str | Path, dataset: str, subset: str | None, split: str) -> Path:
    """The file of a split. InputError says what is there instead when directory, dataset, subset or split is missing."""
    folder, path = Path(data_dir), _path(data_dir, dataset, subset, split)
    if not folder.is_dir():
        raise InputError(f"There is no data directory {folder}: give the folder that holds <dataset>/<subset or default>/.")
    for kind, name in (("dataset", dataset), ("subset", subset or "default")):
        known = _names(child for child in folder.iterdir() if child.is_dir())
        if name not in known:
            what = f"{folder} has no {kind} {name!r}; it has {_listed(known)}"
            raise InputError(f"{what}: put the rows into {path}.{did_you_mean(name, known)}")
        folder = folder / name
    if not path.is_file():
        present = _names(file.with_suffix("") for file in folder.glob("*.jsonl"))
        raise InputError(f"{folder} has no split {split!r}; it has {_listed(present)}: put the rows into {path}.")
    return path


def has_rows(data_dir: str | Path, dataset: str, subset: str | None, split: str) -> bool:
    """Whether there is a file of rows for the split."""
    return _path(data_dir, dataset, subset, split).is_file()


def read_rows(data_dir: str | Path, dataset: str, subset: str | None, split: str) -> Iterator[dict[str, Any]]:
    """The rows of a split in the order of the file. InputError names the line that is not a JSON object."""
    path = rows_path(data_dir, dataset, subset, split)
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
