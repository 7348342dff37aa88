"""A part of the report as a table of texts: the terminal, Markdown and the page draw the same one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A heading, sentences, and lines of cells under columns; the first `names` columns hold words, the others numbers."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    names: int = 1
    is_detail: bool = False
    """Whether it is long and for those who ask: folded on the page, on the terminal only by its flag."""


def points(difference: float) -> str:
    """A difference of shares in percentage points, with its sign: `0.0123` as `+1.2`."""
    return f"{round(100 * difference, 1) + 0.0:+.1f}"  # + 0.0: no -0.0


def points_range(low: float, high: float) -> str:
    """An interval of differences: `-0.3 to +2.1`."""
    return f"{points(low)} to {points(high)}"
