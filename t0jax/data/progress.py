"""How far a long job is, how fast, and how long it will take: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as RemainingColumn
from rich.text import Text

_SECONDS_BETWEEN_LINES = 15.0


class _Rate(ProgressColumn):
    """Steps a second."""

    def render(self, task: Task) -> Text:
        rate = task.finished_speed or task.speed
        return Text("" if rate is None else f"{rate:,.0f}/s")


class Advance:
    """Shows `advance(n)` of `total` steps under a label on standard error, as a context manager."""

    def __init__(self, label: str, total: int):
        self._label, self._total, self._done = label, total, 0
        self._began = self._said_at = time.monotonic()
        self._said: int | None = None
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate())
            self._bar = Progress(*columns, TimeElapsedColumn(), RemainingColumn(), console=Console(stderr=True))

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
        elif error is None and self._said != self._done:
            self._say()

    def _say(self) -> None:
        self._said_at, self._said = time.monotonic(), self._done
        seconds = max(self._said_at - self._began, 1e-9)
        line = f"{self._label}: {self._done:,} of {self._total:,}, {self._done / seconds:,.0f}/s"
        if 0 < self._done < self._total:
            line += f", {timedelta(seconds=round((self._total - self._done) / self._done * seconds))} left"
        print(line, file=sys.stderr, flush=True)
