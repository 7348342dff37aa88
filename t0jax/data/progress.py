"""How far a long job is: a bar on a terminal, a line now and then elsewhere. Standard error only."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 15.0


class Advance:
    """Shows `advance(n)` of `total` steps under a label, as a context manager."""

    def __init__(self, label: str, total: int):
        self._label, self._total, self._done = label, total, 0
        self._said_at = time.monotonic()
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            self._bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True))

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
            self._task = self._bar.add_task(self._label, total=self._total)
        return self

    def advance(self, steps: int) -> None:
        """Go `steps` further."""
        self._done += steps
        if self._bar:
            self._bar.advance(self._task, steps)
        elif time.monotonic() - self._said_at > _SECONDS_BETWEEN_LINES:
            self._say()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()
        elif error is None:
            self._say()

    def _say(self) -> None:
        self._said_at = time.monotonic()
        print(f"{self._label}: {self._done:,} of {self._total:,}", file=sys.stderr, flush=True)
