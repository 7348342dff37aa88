"""The report as one HTML file that needs nothing else: no network, no script, no second file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from t0jax.files import write_whole
from t0jax.rank import DatasetOutcome
from t0jax.report.comparison import Comparisons, percent, percentage, sentence
from t0jax.report.figure import COLOURS, clean, families, figure

WARNINGS = "Warnings"
"""The fact that stands at the top too: what a reader must know first."""

STYLE = """
:root{color-scheme:light}
*{box-sizing:border-box}
body{margin:0;background:#f8fafc;color:#0f172a}
body{font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1064px;margin:0 auto;padding:40px 24px 64px}
h1{font-size:28px;line-height:1.2;margin:0 0 6px;letter-spacing:-.01em}
h2{font-size:18px;margin:40px 0 12px}
p{margin:0 0 10px;max-width:76ch}
.lead{font-size:17px;color:#334155;margin-bottom:24px;max-width:none}
.card{background:#fff;border:1px solid #e2e8f0;border-radius:12px;padding:16px;box-shadow:0 1px 2px rgba(15,23,42,.05)}
.figure svg{display:block;width:100%;height:auto}
.figure{overflow-x:auto}.figure svg{min-width:760px}
table{border-collapse:collapse;width:100%;font-size:14px}
caption{text-align:left;color:#526077;font-size:12px;padding:0 8px 4px}
th,td{text-align:right;padding:6px 8px;border-bottom:1px solid #eef2f7;font-variant-numeric:tabular-nums;white-space:nowrap}
th{font-weight:600;color:#526077;font-size:12px}
th[scope=row],th.name,td.name{text-align:left;color:#0f172a;font-size:14px}
td.name{white-space:normal}
thead th{white-space:normal;vertical-align:bottom}
th.family{text-align:left;text-transform:uppercase;font-size:11px;letter-spacing:.06em;padding-top:16px}
tbody tr:last-child>*{border-bottom:0}
.scroll{overflow-x:auto}
.verdict{font-weight:600}
ul{margin:0;padding-left:20px}li{margin:4px 0}
details{border-top:1px solid #eef2f7;padding:8px 0}details:first-child{border-top:0}
summary{cursor:pointer;padding:2px 0}summary:focus-visible{outline:2px solid #0f766e;outline-offset:3px;border-radius:4px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 18px;margin:0}dt{color:#526077}dd{margin:0;overflow-wrap:anywhere}
@media print{body{background:#fff}.card{box-shadow:none}main{padding:0}}
"""


def write_html(
    path: Path,
    title: str,
    outcomes: Sequence[DatasetOutcome],
    *,
    comparisons: Comparisons | None = None,
    notes: Sequence[str] = (),
    facts: Mapping[str, str] | None = None,
) -> None:
    """Write the report; `notes` are sentences for the reader, `facts` name the run (checkpoint, step, date)."""
    write_whole(Path(path), page(title, outcomes, comparisons=comparisons or {}, notes=notes, facts=facts or {}))


def page(
    title: str,
    outcomes: Sequence[DatasetOutcome],
    *,
    comparisons: Comparisons,
    notes: Sequence[str],
    facts: Mapping[str, str],
) -> str:
    """The whole HTML document."""
    drawn = figure(outcomes, comparisons=comparisons, title=title)
    sections = [
        f"<h1>{clean(title)}</h1>",
        f'<p class="lead">{clean(_lead(outcomes))}</p>',
        f'<p class="verdict">{clean(facts[WARNINGS])}</p>' if WARNINGS in facts else "",
        f'<figure class="card figure" style="margin:0">{drawn}</figure>',
        _section("Every dataset", f'<div class="card scroll">{_outcome_table(outcomes, comparisons)}</div>'),
        _section("In words", f'<div class="card">{_list([sentence(outcome) for outcome in outcomes])}</div>'),
        _section("Every wording", f'<div class="card">{"".join(_wordings(outcome) for outcome in outcomes)}</div>'),
        _section("Notes", f'<div class="card">{_list(notes)}</div>') if notes else "",
        _section("How to read this", f'<div class="card">{_list(READING)}</div>'),
        _section("The run", f'<div class="card">{_definitions(facts)}</div>') if facts else "",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{clean(title)}</title><style>{STYLE}</style></head>\n<body><main>\n"
        + "\n".join(part for part in sections if part)
        + "\n</main></body></html>\n"
    )


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


def _list(sentences: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{clean(words)}</li>" for words in sentences) + "</ul>"


def _definitions(facts: Mapping[str, str]) -> str:
    return "<dl>" + "".join(f"<dt>{clean(name)}</dt><dd>{clean(value)}</dd>" for name, value in facts.items()) + "</dl>"


def _outcome_table(outcomes: Sequence[DatasetOutcome], comparisons: Comparisons) -> str:
    names = ["wordings", "rows", "majority", *comparisons, "median", "IQR", "95 % interval", "verdict"]
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
        percentage(outcome.majority),
        *(percentage(mark.value) if mark else "–" for mark in marks),
        percentage(outcome.median),
        f"{percentage(outcome.q1)} – {percentage(outcome.q3)}",
        f"{percentage(outcome.low)} – {percentage(outcome.high)}",
    ]
    verdict = f'<td class="verdict" style="color:{COLOURS[outcome.verdict]}">{outcome.verdict}</td>'
    numbers = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row">{clean(outcome.dataset)}</th>{numbers}{verdict}</tr>'


def _wordings(outcome: DatasetOutcome) -> str:
    ranked = sorted(outcome.wordings, key=lambda wording: -wording.accuracy)
    rows = "".join(
        f'<tr><td class="name">{clean(wording.name)}</td><td>{wording.examples:,}</td><td>{percent(wording.accuracy)}</td></tr>'
        for wording in ranked
    )
    head = '<th scope="col" class="name">wording</th><th scope="col">rows</th><th scope="col">accuracy</th>'
    return (
        f"<details><summary><strong>{clean(outcome.dataset)}</strong>, {percent(ranked[-1].accuracy)} to "
        f"{percent(ranked[0].accuracy)}</summary><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></details>"
    )
