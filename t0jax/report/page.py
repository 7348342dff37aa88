"""The report as one HTML file that needs nothing else: no network, no script, no second file."""

from collections.abc import Mapping, Sequence

from t0jax.rank import DatasetOutcome
from t0jax.report.comparison import Comparisons, percent, percentage, sentence
from t0jax.report.figure import COLOURS, clean, families, figure
from t0jax.report.section import Section
from t0jax.report.style import PAGE

WARNINGS = "Warnings"
"""The fact that stands at the top too: what a reader must know first."""
ANSWER = "Reproduced?"
"""The fact that follows it."""


def page(
    title: str,
    outcomes: Sequence[DatasetOutcome],
    *,
    comparisons: Comparisons | None = None,
    notes: Sequence[str] = (),
    facts: Mapping[str, str] | None = None,
    sections: Sequence[Section] = (),
) -> str:
    """The whole HTML document; `notes` are sentences for the reader, `facts` name the run (checkpoint, step, date)."""
    comparisons, facts = comparisons or {}, facts or {}
    drawn = figure(outcomes, comparisons=comparisons, title=title)
    parts = [
        f"<h1>{clean(title)}</h1>",
        f'<p class="lead">{clean(_lead(outcomes))}</p>',
        f'<p class="warnings" role="note">{clean(facts[WARNINGS])}</p>' if WARNINGS in facts else "",
        f'<p class="verdict">{clean(facts[ANSWER])}</p>' if ANSWER in facts else "",
        f'<figure class="card figure" tabindex="0" aria-label="{clean(FIGURE_LABEL)}">{drawn}</figure>',
        _section("Every dataset", _scroll("Every dataset", _outcome_table(outcomes, comparisons))),
        *(_drawn(section) for section in sections),
        _section("In words", f'<div class="card">{_list([sentence(outcome) for outcome in outcomes])}</div>'),
        _section("Every wording", f'<div class="card">{"".join(_wordings(outcome) for outcome in outcomes)}</div>'),
        _section("Notes", f'<div class="card">{_list(notes)}</div>') if notes else "",
        _section("How to read this", f'<div class="card">{_list(READING)}</div>'),
        _section("The run", f'<div class="card">{_definitions(facts)}</div>') if facts else "",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{clean(title)}</title><style>{PAGE}</style></head>\n<body><main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main></body></html>\n"
    )


FIGURE_LABEL = "Box plots of the accuracy of every wording; the tables below hold the same numbers"
READING = (
    "A wording is one prompt template. The model ranks the answer choices by the summed log-probability of their tokens, the "
    "end token included and without length normalisation; a row counts as right when the likeliest choice is a correct one.",
    "A dataset's number is the median over its wordings; the box is the interquartile range. No wording was selected.",
    "The interval is a 95 % bootstrap over rows, the same rows for all wordings.",
    "The majority baseline always answers with the choice index that is most often correct. A dataset is called above or below "
    "it only when the whole interval is.",
)


def _lead(outcomes: Sequence[DatasetOutcome]) -> str:
    counts = {name: sum(outcome.verdict == name for outcome in outcomes) for name in COLOURS}
    wordings = sum(len(outcome.wordings) for outcome in outcomes)
    return (
        f"{len(outcomes)} datasets under {wordings} wordings: {counts['above']} above the majority baseline, "
        f"{counts['at']} not distinguishable from it, {counts['below']} below it."
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{clean(title)}</h2>{body}</section>"


def _scroll(label: str, table: str) -> str:
    """A card whose table may be wider than the page; it takes the focus, so that the arrow keys move it."""
    return f'<div class="card scroll" role="region" tabindex="0" aria-label="{clean(label)}">{table}</div>'


def _drawn(section: Section) -> str:
    """A section of any kind; a detail is folded."""
    head = "".join(
        f'<th scope="col"{NAME if number < section.names else ""}>{clean(name)}</th>'
        for number, name in enumerate(section.columns)
    )
    body = "".join(
        f"<tr>{''.join(_cell(cell, n, section.names) for n, cell in enumerate(line))}</tr>" for line in section.lines
    )
    table = _scroll(section.title, f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
    if section.is_detail:
        table = f"<details><summary>{len(section.lines):,} lines</summary>{table}</details>"
    return _section(section.title, table + (f'<div class="after">{_list(section.notes)}</div>' if section.notes else ""))


NAME = ' class="name"'


def _cell(words: str, number: int, names: int) -> str:
    if number == 0:
        return f'<th scope="row">{clean(words)}</th>'
    long = ' class="long"' if len(words) > 28 else ""
    return f"<td{NAME if number < names else long}>{clean(words)}</td>"


def _list(sentences: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{clean(words)}</li>" for words in sentences) + "</ul>"


def _definitions(facts: Mapping[str, str]) -> str:
    return "<dl>" + "".join(f"<dt>{clean(name)}</dt><dd>{clean(value)}</dd>" for name, value in facts.items()) + "</dl>"


def _outcome_table(outcomes: Sequence[DatasetOutcome], comparisons: Comparisons) -> str:
    names = ["wordings", "rows", "random", "majority", *comparisons]
    names += ["median", "mean", "worst", "spread", "IQR", "95 % interval", "verdict"]
    head = '<th scope="col" class="name">dataset</th>' + "".join(f'<th scope="col">{clean(name)}</th>' for name in names)
    body = ""
    for family, members in families(outcomes):
        title = f'<th scope="rowgroup" colspan="{len(names) + 1}" class="family">{clean(family.replace("_", " "))}</th>'
        body += f"<tbody><tr>{title}</tr>{''.join(_row(outcome, comparisons) for outcome in members)}</tbody>"
    return f"<table><caption>Accuracy in percent</caption><thead><tr>{head}</tr></thead>{body}</table>"


def _row(outcome: DatasetOutcome, comparisons: Comparisons) -> str:
    marks = [by.get(outcome.dataset) for by in comparisons.values()]
    cells = [
        str(len(outcome.wordings)),
        f"{outcome.rows:,}",
        percentage(outcome.random),
        percentage(outcome.majority),
        *(percentage(mark.value) if mark else "–" for mark in marks),
        percentage(outcome.median),
        percentage(outcome.mean),
        percentage(outcome.worst),
        percentage(outcome.spread),
        f"{percentage(outcome.q1)} – {percentage(outcome.q3)}",
        f"{percentage(outcome.low)} – {percentage(outcome.high)}",
    ]
    verdict = f'<td class="verdict {outcome.verdict}">{outcome.verdict}</td>'
    numbers = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row">{clean(outcome.dataset)}</th>{numbers}{verdict}</tr>'


def _wordings(outcome: DatasetOutcome) -> str:
    ranked = sorted(outcome.wordings, key=lambda wording: -wording.accuracy)
    rows = "".join(
        f'<tr><th scope="row">{clean(wording.name)}</th><td>{wording.examples:,}</td><td>{percent(wording.accuracy)}</td></tr>'
        for wording in ranked
    )
    head = '<th scope="col" class="name">wording</th><th scope="col">rows</th><th scope="col">accuracy</th>'
    return (
        f"<details><summary><strong>{clean(outcome.dataset)}</strong>, {percent(ranked[-1].accuracy)} to "
        f"{percent(ranked[0].accuracy)}</summary><table><caption>{clean(outcome.dataset)}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></details>"
    )
