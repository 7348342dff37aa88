"""The outcomes on a terminal, and as one JSON object a line."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from t0jax.rank import DatasetOutcome
from t0jax.report.comparison import Comparisons, percentage
from t0jax.report.section import Section

STYLES = {"above majority": "green", "at majority": "dim", "below majority": "yellow"}
PLAIN_WIDTH = 200
"""Columns when the output is no terminal: wide enough that nothing is cut."""
FULL_WIDTH = 150
"""Columns of a terminal that takes all numbers of a dataset; a narrower one is not shown those in SPARED."""
SPARED = ("random", "mean", "worst", "spread")


def print_table(
    outcomes: Sequence[DatasetOutcome],
    *,
    comparisons: Comparisons,
    title: str,
    notes: Sequence[str] = (),
    sections: Iterable[Section] = (),
    console: Console | None = None,
) -> None:
    """Print `notes`, one line a dataset (baselines, comparisons, median, IQR, interval, verdict), and the sections."""
    console = console or _console()
    _print_warnings(notes, console)
    overview = outcomes_section(outcomes, comparisons)
    console.print(_table(overview if console.width >= FULL_WIDTH else _without(overview, SPARED), title))
    print_sections(sections, console=console)


def print_sections(sections: Iterable[Section], *, notes: Sequence[str] = (), console: Console | None = None) -> None:
    """Print `notes`, and each section with its own."""
    console = console or _console()
    _print_warnings(notes, console)
    for section in sections:
        console.print()
        console.print(_table(section, section.title))
        for note in section.notes:
            console.print(Padding(escape(note), (0, 0, 0, 2)), style="dim", highlight=False)


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=PLAIN_WIDTH)


def _print_warnings(notes: Iterable[str], console: Console) -> None:
    for note in notes:
        console.print(note, style="yellow", markup=False, highlight=False)


def json_lines(
    outcomes: Sequence[DatasetOutcome], *, comparisons: Comparisons, further: Mapping[str, Mapping[str, Any]] | None = None
) -> Iterator[str]:
    """Each outcome as a JSON object on a line of its own; `comparisons` holds value, low and high by label.

    `further` holds what else is to be said of a dataset, by its name.
    """
    for outcome in outcomes:
        marks = {label: vars(by[outcome.dataset]) for label, by in comparisons.items() if outcome.dataset in by}
        fields = {**outcome.as_json(), "comparisons": marks, **(further or {}).get(outcome.dataset, {})}
        yield json.dumps(fields, ensure_ascii=False)


def outcomes_section(outcomes: Sequence[DatasetOutcome], comparisons: Comparisons) -> Section:
    """One line a dataset."""
    columns = ["family", "dataset", "wordings", "rows", "random", "majority", *comparisons]
    columns += ["median", "mean", "worst", "spread", "IQR", "95 % interval", "verdict"]
    lines = []
    family = None
    for outcome in outcomes:
        compared = [marks.get(outcome.dataset) for marks in comparisons.values()]
        cells = (
            outcome.family if outcome.family != family else "",
            outcome.dataset,
            str(len(outcome.wordings)),
            f"{outcome.rows:,}",
            percentage(outcome.random),
            percentage(outcome.majority),
            *(percentage(mark.value) if mark else "" for mark in compared),
            percentage(outcome.median),
            percentage(outcome.mean),
            percentage(outcome.worst),
            percentage(outcome.spread),
            f"{percentage(outcome.q1)} – {percentage(outcome.q3)}",
            f"{percentage(outcome.low)} – {percentage(outcome.high)}",
            f"{outcome.verdict} majority",
        )
        lines.append(cells)
        family = outcome.family
    return Section("Every dataset", tuple(columns), tuple(lines), names=2)


def _without(section: Section, names: Sequence[str]) -> Section:
    kept = [number for number, name in enumerate(section.columns) if name not in names]
    lines = tuple(tuple(cells[number] for number in kept) for cells in section.lines)
    return replace(section, columns=tuple(section.columns[number] for number in kept), lines=lines)


def _table(section: Section, title: str) -> Table:
    table = Table(title=escape(title), title_style="bold", title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, name in enumerate(section.columns):
        is_words = number < section.names
        table.add_column(escape(name), justify="left" if is_words else "right", style="bold" if name == "median" else "")
    for cells in section.lines:
        table.add_row(*(f"[{STYLES[cell]}]{cell}[/]" if cell in STYLES else escape(cell) for cell in cells))
    return table
