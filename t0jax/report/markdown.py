"""The report as Markdown, for an issue, a paper's appendix or a model card."""

import re
from collections.abc import Iterable, Sequence
from html import escape

from t0jax.rank import DatasetOutcome
from t0jax.report.comparison import Comparisons
from t0jax.report.section import Section
from t0jax.report.table import outcomes_section


def markdown(
    title: str,
    outcomes: Sequence[DatasetOutcome],
    *,
    comparisons: Comparisons,
    sections: Iterable[Section] = (),
    first: Sequence[str] = (),
) -> str:
    """The whole report: the sentences that are to be read first, then a table a section."""
    parts = [f"# {_plain(title)}", *(f"> **{_plain(words)}**" for words in first)]
    for section in (*([outcomes_section(outcomes, comparisons)] if outcomes else []), *sections):
        parts += [f"## {_plain(section.title)}", _table(section), *(f"- {_plain(note)}" for note in section.notes)]
    return "\n\n".join(parts) + "\n"


def _table(section: Section) -> str:
    marks = [":--" if number < section.names else "--:" for number in range(len(section.columns))]
    return "\n".join(f"| {' | '.join(map(_plain, cells))} |" for cells in (section.columns, *section.lines)).replace(
        "\n", f"\n|{'|'.join(marks)}|\n", 1
    )


def _plain(words: str) -> str:
    """Text that cannot leave its cell nor become markup."""
    printable = "".join(c if c.isprintable() or c == "\u00a0" else "\ufffd" for c in words)
    return re.sub(r"([\\`*_|\[\]#~$])", r"\\\1", escape(printable, quote=False))
