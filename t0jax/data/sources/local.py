"""Rows of a user's own folder, `<data_dir>/<dataset>/<subset or default>/`, in the hub's schema.

A split is `<split>.jsonl`, or Parquet: `<split>.parquet`, `<split>-00000-of-0000N.parquet`, or `<split>/0000.parquet` and so
on, as the hub's own conversion names its files.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from t0jax.data.sources.json_lines import open_json_lines
from t0jax.data.sources.parquet import open_parquet
from t0jax.data.sources.split import MissingRowsError, SplitRows
from t0jax.errors import InputError, did_you_mean

_SHARD = re.compile(r"(?P<split>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})(-[0-9a-f]+)?\.parquet")
_NUMBERED = re.compile(r"\d+\.parquet")


def open_local(data_dir: str | Path, dataset: str, subset: str | None, split: str, limit: int | None = None) -> SplitRows:
    """The rows of a split, at most the first `limit`; MissingRowsError says what is there instead.

    InputError for a split that is there twice, or not whole.
    """
    folder = _folder(Path(data_dir), dataset, subset, split)
    found = _files(folder, split)
    if not found:
        missing = f"{folder} has no split {split!r}; it has {_listed(_splits(folder))}"
        raise MissingRowsError(f"{missing}: put the rows into {folder / f'{split}.jsonl'}.")
    if len(found) > 1:
        first, second, *_ = (paths[0] for paths in found)
        raise InputError(f"The split {split!r} is there twice, as {first} and as {second}: remove one of them.")
    [paths] = found
    if paths[0].suffix == ".jsonl":
        return open_json_lines(paths[0], limit)
    return open_parquet(paths, f"local: {paths[0]}", limit)


def _folder(data_dir: Path, dataset: str, subset: str | None, split: str) -> Path:
    """The folder of a subset. MissingRowsError when dataset or subset is missing, InputError when the directory is none."""
    if not data_dir.is_dir():
        raise InputError(f"There is no data directory {data_dir}: give the folder of <dataset>/<subset or default>/.")
    path = data_dir / dataset / (subset or "default") / f"{split}.jsonl"
    folder = data_dir
    for kind, name in (("dataset", dataset), ("subset", subset or "default")):
        if not (folder / name).is_dir():
            known = sorted(child.name for child in folder.iterdir() if child.is_dir())
            what = f"{folder} has no {kind} {name!r}; it has {_listed(known)}"
            raise MissingRowsError(f"{what}: put the rows into {path}.{did_you_mean(name, known)}")
        folder = folder / name
    return folder


def _files(folder: Path, split: str) -> list[list[Path]]:
    """The ways in which a split lies there, each as its files in order."""
    single = [[path] for suffix in ("jsonl", "parquet") if (path := folder / f"{split}.{suffix}").is_file()]
    return [*single, *([files] if (files := parquet_files(folder, split)) else [])]


def parquet_files(folder: Path, split: str) -> list[Path]:
    """The numbered Parquet files of a split, in order. InputError when one is absent, or they lie there in two ways."""
    shards = sorted(path for path, name in _shards(folder) if name == split)
    numbered = sorted((folder / split).glob("*.parquet"), key=lambda path: (len(path.name), path.name))
    _check_whole(shards, numbered)
    if shards and numbered:
        raise InputError(f"The split {split!r} is there twice, as {shards[0]} and as {numbered[0]}: remove one of them.")
    return shards or numbered


def _check_whole(shards: list[Path], numbered: list[Path]) -> None:
    for path in shards:
        if (match := _SHARD.fullmatch(path.name)) and int(match["count"]) != len(shards):
            raise InputError(f"{path} says that there are {int(match['count'])} files, but there are {len(shards)}: copy all.")
    if all(_NUMBERED.fullmatch(path.name) for path in numbered):
        absent = sorted(set(range(len(numbered))) - {int(path.stem) for path in numbered})
        if absent:
            raise InputError(f"{numbered[0].parent} holds {len(numbered)} files, but none of number {absent[0]}: copy all.")


def _shards(folder: Path) -> Iterable[tuple[Path, str]]:
    """The numbered Parquet files with the split that each is of."""
    matches = ((path, _SHARD.fullmatch(path.name)) for path in folder.glob("*.parquet"))
    return [(path, match["split"]) for path, match in matches if match]


def _splits(folder: Path) -> list[str]:
    shards = dict(_shards(folder))
    single = [path.stem for path in (*folder.glob("*.jsonl"), *folder.glob("*.parquet")) if path not in shards]
    return sorted({*single, *shards.values(), *(path.parent.name for path in folder.glob("*/*.parquet"))})


def _listed(names: list[str], limit: int = 12) -> str:
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return (", ".join(names[:limit]) or "none") + rest
