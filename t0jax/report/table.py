"""The outcomes on a terminal, and as one JSON object a line."""

import json
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from t0jax.rank import DatasetOutcome
from t0jax.report.comparison import Comparisons, percentage

STYLES = {"above": "green", "at": "dim", "below": "yellow"}
PLAIN_WIDTH = 160
"""Columns when the output is no terminal: wide enough that nothing is cut."""


def print_table(
    outcomes: Sequence[DatasetOutcome],
    *,
    comparisons: Comparisons,
    title: str,
    notes: Sequence[str] = (),
    console: Console | None = None,
) -> None:
    """Print `notes`, and one line a dataset: baselines, comparisons, median and IQR over wordings, interval, verdict."""
    if console is None:
        console = Console()
        if not console.is_terminal:
            console = Console(width=PLAIN_WIDTH)
    for note in notes:
        console.print(note, style="yellow", markup=False, highlight=False)
    console.print(_table(outcomes, comparisons, title))


def json_lines(outcomes: Sequence[DatasetOutcome], *, comparisons: Comparisons) -> Iterator[str]:
    """Each outcome as a JSON object on a line of its own; `comparisons` holds value, low and high by label."""
    for outcome in outcomes:
        marks = {label: vars(by[outcome.dataset]) for label, by in comparisons.items() if outcome.dataset in by}
        yield json.dumps({**outcome.as_json(), "comparisons": marks}, ensure_ascii=False)


def _table(outcomes: Sequence[DatasetOutcome], comparisons: Comparisons, title: str) -> Table:
    table = Table(title=escape(title), title_style="bold", title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("family", no_wrap=True)
    table.add_column("dataset", no_wrap=True)
    for name in ("wordings", "rows", "majority", *comparisons, "median", "IQR", "95 % interval"):
        table.add_column(escape(name), justify="right")
    table.add_column("verdict", no_wrap=True)
    family = None
    for outcome in outcomes:
        compared = [marks.get(outcome.dataset) for marks in comparisons.values()]
        table.add_row(
            escape(outcome.family) if outcome.family != family else "",
            escape(outcome.dataset),
            str(len(outcome.wordings)),
            str(outcome.rows),
            percentage(outcome.majority),
            *(percentage(mark.value) if mark else "" for mark in compared),
            f"[bold]{percentage(outcome.median)}[/bold]",
            f"{percentage(outcome.q1)} – {percentage(outcome.q3)}",
            f"{percentage(outcome.low)} – {percentage(outcome.high)}",
            f"[{STYLES[outcome.verdict]}]{outcome.verdict} majority[/]",
        )
        family = outcome.family
    return table
