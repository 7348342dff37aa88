"""Parquet files as rows that can be read from any one on, a batch at a time."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from t0jax.data.sources import memory
from t0jax.data.sources.extras import need
from t0jax.errors import InputError

if TYPE_CHECKING:
    import pyarrow.parquet

_BATCH = 256  # rows in memory at once


@dataclass(frozen=True)
class ParquetRows:
    """The rows of one or several Parquet files, or the first of them."""

    origin: str
    paths: tuple[Path, ...]
    counts: tuple[int, ...]
    """Rows of each file."""
    num_rows: int
    fingerprint: str
    states: tuple[tuple[int, int], ...] = field(repr=False)
    renames: tuple[tuple[str, str], ...] = ()
    """Columns that are given another name."""
    labels: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Of some columns, under their new name, the class that stands for each of the file's."""

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[dict[str, Any]]:
        """Rows `start` to `stop`. InputError names a file that cannot be read."""
        for row in self.read_columns(None, start, stop):
            for old, new in self.renames:
                if old in row:
                    row[new] = row.pop(old)
            for name, classes in self.labels:
                if row[name] is not None and row[name] >= 0:
                    row[name] = classes[row[name]]
            yield row

    def read_columns(self, columns: list[str] | None, start: int = 0, stop: int | None = None) -> Iterator[dict[str, Any]]:
        """The rows as the files have them, with these columns only; None: all."""
        stop = self.num_rows if stop is None else min(stop, self.num_rows)
        first = 0
        for path, count, state in zip(self.paths, self.counts, self.states, strict=True):
            if start < first + count and first < stop:
                memory.check_state(path, state)
                yield from _rows(path, columns, max(start - first, 0), min(stop - first, count))
            first += count


def open_parquet(paths: Sequence[Path], origin: str, limit: int | None = None) -> ParquetRows:
    """The rows of the files, at most the first `limit`. InputError for a file that is no Parquet file."""
    states, hashes = [memory.state(path) for path in paths], [memory.sha256_of(path) for path in paths]
    counts = []
    for path in paths:
        with parquet_file(path) as file:
            counts.append(file.metadata.num_rows)
    num_rows = sum(counts) if limit is None else min(limit, sum(counts))
    fingerprint = hashlib.sha256(f"parquet {num_rows} {' '.join(hashes)}".encode()).hexdigest()
    return ParquetRows(origin, tuple(paths), tuple(counts), num_rows, fingerprint, tuple(states))


@contextmanager
def parquet_file(path: Any) -> Iterator["pyarrow.parquet.ParquetFile"]:
    """An open Parquet file. InputError when it is none, also for what is read of it; a file object's own OSErrors stay."""
    pyarrow, parquet = need("pyarrow", "words"), need("pyarrow.parquet", "words")
    try:
        with parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False) as file:
            yield file
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and not isinstance(path, Path):
            raise
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"{path} cannot be read as Parquet ({reason}): put a whole file in its place.") from error


def _rows(path: Path, columns: list[str] | None, start: int, stop: int) -> Iterator[dict[str, Any]]:
    with parquet_file(path) as file:
        first = 0
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            if start < first + count and first < stop:
                yield from _group_rows(file, group, columns, (max(start - first, 0), min(stop - first, count)))
            first += count


def _group_rows(
    file: "pyarrow.parquet.ParquetFile", group: int, columns: list[str] | None, wanted: tuple[int, int]
) -> Iterator[dict[str, Any]]:
    """The wanted rows of a row group. Those before them are decoded, a batch at a time, and never become Python objects."""
    first, (start, stop) = 0, wanted
    for batch in file.iter_batches(_BATCH, row_groups=[group], columns=columns, use_threads=False):
        if start < first + len(batch):
            low = max(start - first, 0)
            yield from batch.slice(low, min(stop - first, len(batch)) - low).to_pylist()
        first += len(batch)
        if first >= stop:
            return
