"""A file of JSON lines as rows that can be read from any one on."""

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from t0jax.data.sources import memory
from t0jax.errors import InputError

_STRIDE = 1024  # lines between two places that reading can begin at


@dataclass(frozen=True)
class JsonLines:
    """A file of JSON lines, or the beginning of one."""

    path: Path
    num_rows: int
    fingerprint: str
    offsets: tuple[int, ...] = field(repr=False)
    """The byte at which every 1,024th line begins."""
    state: tuple[int, int] = field(repr=False)

    @property
    def origin(self) -> str:
        """The file."""
        return f"local: {self.path}"

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[dict[str, Any]]:
        """Rows `start` to `stop`. InputError names the line that is not a JSON object."""
        stop = self.num_rows if stop is None else min(stop, self.num_rows)
        if start >= stop:
            return
        memory.check_state(self.path, self.state)
        with open(self.path, "rb") as lines:
            lines.seek(self.offsets[start // _STRIDE])
            wanted = itertools.islice(lines, start % _STRIDE, stop - start // _STRIDE * _STRIDE)
            for number, line in enumerate(wanted, start=start + 1):
                yield self._row(number, line)

    def _row(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            row = json.loads(line)
        except ValueError as error:  # broken JSON or broken UTF-8
            raise InputError(f"{self.path}, line {number} is not JSON ({error}): repair or remove the line.") from error
        if not isinstance(row, dict):
            raise InputError(f"{self.path}, line {number} is not a JSON object: write each row as {{field: value, ...}}.")
        return row


def open_json_lines(path: Path, limit: int | None) -> JsonLines:
    """The rows of a file, at most the first `limit`, which are counted and hashed unless that was done before."""
    state = memory.state(path)
    count, digest, offsets = memory.remembered(f"lines {limit}", [path], lambda: _scan(path, limit))
    return JsonLines(path, count, digest, tuple(offsets), state)


def _scan(path: Path, limit: int | None) -> tuple[int, str, list[int]]:
    """How many lines will be read of a file, a hash of them, and where every 1,024th begins."""
    count, position, offsets, digest = 0, 0, list[int](), hashlib.sha256()
    with open(path, "rb") as lines:
        for line in itertools.islice(lines, limit):
            if not count % _STRIDE:
                offsets.append(position)
            digest.update(line)
            position += len(line)
            count += 1
    return count, digest.hexdigest(), offsets
