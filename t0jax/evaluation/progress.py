"""One bar over all that an evaluation computes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import jax
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

PLAIN_LINES = 10
"""Progress lines on an output that is no terminal."""


@contextmanager
def progress(done_what: str, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, else a line for every tenth ("scored 10 of 100 choices"); on standard error of the first host."""
    console = Console(stderr=True, quiet=jax.process_index() != 0)
    if console.is_terminal:
        columns = (
            TextColumn(f"{what} {done_what}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console) as bar:
            task = bar.add_task(what, total=total)
            yield lambda more: bar.advance(task, more)
        return
    done = 0

    def advance(more: int) -> None:
        nonlocal done
        before, done = done, done + more
        if done * PLAIN_LINES // total > before * PLAIN_LINES // total:
            console.print(f"{done_what} {done:,} of {total:,} {what}", highlight=False)

    yield advance
