"""The records of P3 in a copy of it: Parquet, or the TFRecords of SeqIO's cache, without TensorFlow."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from t0jax.data.records import RecordFile, decode_example
from t0jax.data.sources import memory
from t0jax.data.sources.local import parquet_files
from t0jax.data.sources.parquet import open_parquet
from t0jax.data.sources.split import MissingRowsError
from t0jax.errors import InputError

CHOICES = "answer_choices"


class Records(Protocol):
    """P3's records of one task and split, by number."""

    @property
    def origin(self) -> str:
        """Where they lie."""
        ...

    @property
    def num_rows(self) -> int:
        """How many there are."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash of them."""
        ...

    @property
    def paths(self) -> tuple[Path, ...]:
        """Their files."""
        ...

    def read_columns(self, columns: list[str] | None, start: int = 0, stop: int | None = None) -> Iterator[Mapping[str, Any]]:
        """Records `start` to `stop`, with these fields only; None: all."""
        ...


@dataclass(frozen=True)
class _TfRecords:
    """Records in SeqIO's TFRecord files."""

    paths: tuple[Path, ...]
    counts: tuple[int, ...]
    fingerprint: str

    @property
    def origin(self) -> str:
        return f"p3: {self.paths[0]}"

    @property
    def num_rows(self) -> int:
        return sum(self.counts)

    def read_columns(self, columns: list[str] | None, start: int = 0, stop: int | None = None) -> Iterator[Mapping[str, Any]]:
        stop, first = self.num_rows if stop is None else stop, 0
        for path, count in zip(self.paths, self.counts, strict=True):
            if start < first + count and first < stop:
                yield from _decoded(path, columns, range(max(start - first, 0), min(stop - first, count)))
            first += count


def open_copy(p3_dir: Path, name: str, split: str) -> Records:
    """The records of a task's split in a copy. MissingRowsError when they are not there, InputError when they are not whole."""
    folder = next((path for path in (p3_dir / name, p3_dir / "data" / name) if path.is_dir()), None)
    if folder is None:
        raise MissingRowsError(f"p3: {p3_dir} has no folder {name}, nor data/{name}: copy the task there.")
    if paths := parquet_files(folder, split):
        return open_parquet(paths, f"p3: {paths[0]}")
    if paths := sorted(folder.glob(f"{split}.tfrecord-*-of-*")):
        return _open_tfrecords(folder, split, paths)
    raise MissingRowsError(f"p3: {folder} has no split {split!r}: copy {split}.tfrecord-00000-of-00001 there.")


def _open_tfrecords(folder: Path, split: str, paths: Sequence[Path]) -> _TfRecords:
    """InputError when files are missing, or do not hold what SeqIO's statistics say."""
    count = int(paths[0].name.rpartition("-of-")[2])
    if count != len(paths):
        raise InputError(f"p3: {folder} has {len(paths)} of the {count} files of {split}: copy all.")
    counts = tuple(memory.remembered("tfrecords", paths, lambda: [len(_record_file(path)) for path in paths]))
    path = folder / f"stats.{split}.json"
    try:
        expected = json.loads(path.read_text())["examples"] if path.is_file() else sum(counts)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"p3: {path} is damaged ({error!r}): copy the task again.") from error
    if expected != sum(counts):
        raise InputError(f"p3: {path} counts {expected} examples, the files hold {sum(counts)}: copy the task again.")
    hashes = " ".join(memory.sha256_of(path) for path in paths)
    return _TfRecords(tuple(paths), counts, hashlib.sha256(f"tfrecords {hashes}".encode()).hexdigest())


def _decoded(path: Path, columns: list[str] | None, wanted: range) -> Iterator[Mapping[str, Any]]:
    records = _record_file(path)
    for number in wanted:
        with _copied():
            record = records[number]
        try:
            features = decode_example(record, columns)
        except KeyError as error:
            raise InputError(f"p3: {path}: record {number} has no feature {error}: copy the task again.") from error
        yield {name: _python(name, values) for name, values in features.items()}


def _record_file(path: Path) -> RecordFile:
    with _copied():
        return RecordFile(path)


@contextmanager
def _copied() -> Iterator[None]:
    """What is broken in a copy of P3 must be copied again, not cached again."""
    try:
        yield
    except InputError as error:
        raise InputError(f"p3: {str(error).partition(';')[0]}: copy the task again.") from error


def _python(name: str, values: Any) -> Any:
    """A feature as Parquet gives it: texts and flags are single, choices and numbers lists."""
    if isinstance(values, list):
        texts = [text.decode() for text in values]
        return texts if name == CHOICES else "".join(texts)
    numbers = values.tolist()
    return numbers if name in ("inputs", "targets", "idx") or len(numbers) != 1 else numbers[0]
