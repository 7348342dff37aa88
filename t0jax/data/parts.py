"""Finished shards that wait within the cache until their split is whole. What a killed process had finished is found again."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from t0jax.data.files import Presence, put_json
from t0jax.data.records import index_path
from t0jax.data.universe import PromptedTask

_FOLDER, _WRITING = ".incomplete", "writing-"
_MARK = 16  # letters of the fingerprint in a name


@dataclass(frozen=True)
class Shard:
    """One of the `count` files that a split becomes: rows `start` to `stop` of it."""

    number: int
    count: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        """SeqIO's, behind `<split>.tfrecord-`."""
        return f"{self.number:05d}-of-{self.count:05d}"


def shards(num_rows: int, rows_a_shard: int, min_shards: int = 1) -> list[Shard]:
    """A split in contiguous ranges of about equal size, none longer than `rows_a_shard`; of no rows, one that is empty."""
    count = max(1, min(max(min_shards, -(-num_rows // rows_a_shard)), num_rows))
    ends = [number * num_rows // count for number in range(count + 1)]
    return [Shard(number, count, ends[number], ends[number + 1]) for number in range(count)]


@dataclass(frozen=True)
class Part:
    """What is finished of one split of a task; everything that decides its content is in the fingerprint."""

    task: PromptedTask
    split: str
    fingerprint: str
    output: Path

    @property
    def folder(self) -> Path:
        """Where it waits."""
        return self.output / _FOLDER / f"{self.task.name}.{self.split}.{self.fingerprint[:_MARK]}"

    def path(self, shard: Shard) -> Path:
        """Where a finished shard waits."""
        return self.folder / shard.name

    def find(self, shard: Shard) -> dict[str, Any] | None:
        """What a finished shard says of itself (`bytes`, `examples`, ...); None when it is not finished."""
        path = self.path(shard)
        try:
            about = dict(json.loads(_about(path).read_text(encoding="utf-8")))
            is_whole = path.stat().st_size == about["bytes"] and index_path(path).is_file()
        except (OSError, ValueError, KeyError):
            return None
        return about if is_whole else None

    def finish(self, shard: Shard, written: Path, stats: dict[str, int]) -> None:
        """Let the file `written`, with its index, wait as a finished shard."""
        path = self.path(shard)
        self.folder.mkdir(parents=True, exist_ok=True)
        size = written.stat().st_size
        os.replace(index_path(written), index_path(path))
        os.replace(written, path)
        put_json(_about(path), {**stats, "bytes": size}, aside=_about(written))

    def discard(self, shards: Sequence[Shard]) -> None:
        """The split is in its place: nothing waits for it any more."""
        for shard in shards:
            path = self.path(shard)
            for file in (_about(path), path, index_path(path)):
                file.unlink(missing_ok=True)


def _about(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


@contextmanager
def writing(output: Path) -> Iterator[Path]:
    """A folder within the cache for files that are being written; it goes in the end."""
    (output / _FOLDER).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=_WRITING, dir=output / _FOLDER))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def is_littered(output: Path) -> bool:
    """Whether a killed process has left anything in the cache, or another one is at work in it."""
    return (output / _FOLDER).is_dir()


@contextmanager
def at_work(output: Path, parts: Sequence[Part], asked: Sequence[Part], *, anew: bool) -> Iterator[None]:
    """Write `parts` of what was `asked` for, beside others who may be at work in the cache.

    What was finished before stays, unless all is made `anew`. What killed processes left half-written, and finished shards of
    what was asked for with other fingerprints, go when nobody else is at work.
    """
    is_new = not output.is_dir()
    output.mkdir(parents=True, exist_ok=True)
    with Presence(output) as presence:
        if presence.is_alone():
            _sweep(output, () if anew else parts, asked)
            presence.stay()
        try:
            yield
        finally:
            if presence.is_alone():
                _sweep(output, parts, asked)
                if is_new:
                    with suppress(OSError):  # not empty: something is finished
                        output.rmdir()


def _sweep(output: Path, parts: Sequence[Part], asked: Sequence[Part]) -> None:
    """Remove what nobody will go on with, and folders without a finished shard."""
    kept = {part.folder.name for part in parts}
    known = {part.folder.name[:-_MARK] for part in asked}
    for folder in (output / _FOLDER).glob("*"):
        is_other = folder.name[:-_MARK] in known and folder.name not in kept
        if folder.name.startswith(_WRITING) or is_other or not any(folder.glob("*.json")):
            shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # not empty, or not there
        (output / _FOLDER).rmdir()
