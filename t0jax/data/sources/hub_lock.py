"""The lock of the Hugging Face hub: of each dataset the repository, one commit of it, its files with size and hash, and rows.

One JSON object a line. t0jax's own, mixtures/sources/hub.lock, has repositories and official row counts; a user's adds to it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from t0jax.data.sources.at_rest import table_folder
from t0jax.errors import InputError
from t0jax.files import write_whole

Key = tuple[str, str | None]
P3_REPO = "bigscience/P3"  # the source p3 reads it, one configuration for each task


@dataclass(frozen=True)
class HubFile:
    """A file of a repository, at its commit."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class HubSplit:
    """A split: how many rows it has, and, once it is locked, its files in order."""

    rows: int
    files: tuple[HubFile, ...] = ()


@dataclass(frozen=True, kw_only=True)
class HubLine:
    """Where a dataset is on the hub. Without a revision it is not locked."""

    dataset: str
    subset: str | None
    repo: str
    config: str
    revision: str = ""
    """A commit."""
    renames: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Fields of the hub's that templates know by another name."""
    accepted: tuple[str, ...] = ()
    """What the person who locked it was told of changed fields, and accepted."""
    splits: Mapping[str, HubSplit] = field(default_factory=dict, hash=False)

    @property
    def key(self) -> Key:
        """Dataset and subset."""
        return self.dataset, self.subset

    @property
    def name(self) -> str:
        """For people: glue/mrpc."""
        return f"{self.dataset}/{self.subset}" if self.subset else self.dataset


def own_lock() -> Path:
    """t0jax's own lock."""
    return table_folder() / "hub.lock"


def read_lock(path: Path) -> dict[Key, HubLine]:
    """The lines of a lock by dataset and subset. InputError names a broken line."""
    lines = {}
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            line = _line(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}, line {number} is no line of a lock ({error!r}): restore it, or remove it.") from error
        if line.key in lines:
            raise InputError(f"{path}, line {number} has {line.name} a second time: remove one of them.")
        lines[line.key] = line
    return lines


def known_lines(user: str | Path | None) -> dict[Key, HubLine]:
    """t0jax's own lines, and instead of them those of the user's lock, which need not be there yet."""
    lines = read_lock(own_lock())
    return lines | read_lock(Path(user)) if user is not None and Path(user).is_file() else lines


def add_lines(path: Path, lines: Iterable[HubLine]) -> None:
    """Put lines into a lock, instead of those it has for the same datasets. It is written aside and renamed."""
    kept = read_lock(path) if path.is_file() else {}
    kept |= {line.key: line for line in lines}
    ordered = sorted(kept.values(), key=lambda line: (line.dataset, line.subset or ""))
    text = "".join(json.dumps(_object(line), ensure_ascii=False) + "\n" for line in ordered)
    write_whole(path, text, remedy="give another --hub_lock")


def _line(value: dict[str, Any]) -> HubLine:
    splits = {
        name: HubSplit(int(split["rows"]), tuple(HubFile(*file) for file in split.get("files", ())))
        for name, split in value["splits"].items()
    }
    if value["revision"] and not all(split.files for split in splits.values()):
        raise ValueError("a locked split has no files")
    return HubLine(
        dataset=value["dataset"],
        subset=value["subset"],
        repo=value["repo"],
        config=value["config"],
        revision=value["revision"],
        renames=dict(value.get("renames", {})),
        accepted=tuple(value.get("accepted", ())),
        splits=splits,
    )


def _object(line: HubLine) -> dict[str, Any]:
    splits = {}
    for name, split in line.splits.items():
        files = [[file.path, file.size, file.sha256] for file in split.files]
        splits[name] = {"rows": split.rows} | ({"files": files} if files else {})
    optional = {"renames": dict(line.renames), "accepted": list(line.accepted)}
    return {
        **{name: getattr(line, name) for name in ("dataset", "subset", "repo", "config", "revision")},
        **{name: value for name, value in optional.items() if value},
        "splits": splits,
    }
