"""The picture: one box plot a dataset, a dot a wording, drawn as SVG without any other file."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from html import escape
from itertools import groupby
from pathlib import Path

from t0jax.files import write_whole
from t0jax.rank import DatasetOutcome
from t0jax.report.comparison import Comparisons, Mark, percent, percentage, sentence
from t0jax.report.style import FIGURE

WIDTH = 1000
LEFT, RIGHT = 240, 740
"""Where 0 % and 100 % lie."""
TOP = 92
ROW, FAMILY = 62, 34
"""Heights of a dataset and of a family's heading."""
DOT = 3.6
COLOURS = {"above": "#0f766e", "at": "#64748b", "below": "#b45309"}
CONTROLS = (
    ("#7c3aed", "M0-5.5L5.5 0L0 5.5L-5.5 0Z"),
    ("#c2410c", "M0-5.5L5.3 4.2L-5.3 4.2Z"),
    ("#0369a1", "M-4.4-4.4H4.4V4.4H-4.4Z"),
    ("#be185d", "M0 5.5L5.3-4.2L-5.3-4.2Z"),
    ("#4d7c0f", "M-5-1.6H-1.6V-5H1.6V-1.6H5V1.6H1.6V5H-1.6V1.6H-5Z"),
)
"""Colour and outline of each comparison's marker, in the order in which they are given."""


def write_svg(
    path: Path, outcomes: Sequence[DatasetOutcome], *, comparisons: Comparisons | None = None, title: str = "Outcomes"
) -> None:
    """Write the figure as a file of its own, whole or not at all."""
    write_whole(Path(path), figure(outcomes, comparisons=comparisons or {}, title=title) + "\n")


def figure(outcomes: Sequence[DatasetOutcome], *, comparisons: Comparisons, title: str) -> str:
    """The SVG element: datasets under their families, in the order given."""
    rows: list[str] = []
    y = TOP
    for family, members in families(outcomes):
        y += FAMILY
        rows.append(text(8, y - 9, family.replace("_", " ").upper(), size=11, weight=700, klass="quiet", spacing=0.8))
        rows.append(element("path", d=f"M{8} {y - 1}H{WIDTH - 8}", stroke="#cbd5e1", stroke_width=1))
        for outcome in members:
            rows += _dataset(outcome, comparisons, y + ROW / 2)
            y += ROW
    height = y + 34
    described = escape(" ".join(sentence(outcome) for outcome in outcomes))
    parts = [
        f"<title>{clean(title)}</title><desc>{clean(described, is_escaped=True)}</desc><style>{FIGURE}</style>",
        element("rect", width=WIDTH, height=height, fill="#fff", rx=10),
        *_legend(comparisons),
        *_axis(y),
        *rows,
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" class="t0-figure" viewBox="0 0 {WIDTH} {height:g}" role="img" '
    head += f'aria-label="{clean(title)}">'
    return head + "\n".join(parts) + "</svg>"


def element(name: str, content: str = "", /, **attributes: object) -> str:
    """One SVG element; `content` is markup, attribute values are escaped; `stroke_width=2` is written stroke-width="2"."""
    names = {key: key.rstrip("_").replace("_", "-") for key in attributes}
    written = "".join(f' {names[key]}="{clean(_short(value))}"' for key, value in attributes.items())
    return f"<{name}{written}>{content}</{name}>" if content else f"<{name}{written}/>"


def text(x: float, y: float, words: str, *, size: int = 13, klass: str = "", **style: object) -> str:
    """A line of text at (x, y); `style` takes anchor, weight, fill and spacing."""
    names = {"anchor": "text_anchor", "weight": "font_weight", "fill": "style", "spacing": "letter_spacing"}
    values = {names[key]: f"fill:{value}" if key == "fill" else value for key, value in style.items()}
    return element("text", clean(words), x=x, y=y, font_size=size, class_=klass, **values)


def clean(words: str, *, is_escaped: bool = False) -> str:
    """Text that cannot leave its place in HTML or SVG: markup escaped, control characters replaced."""
    printable = "".join(c if c.isprintable() or c == "\u00a0" else "\ufffd" for c in words)
    return printable if is_escaped else escape(printable)


def _short(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def families(outcomes: Sequence[DatasetOutcome]) -> list[tuple[str, list[DatasetOutcome]]]:
    """Families in the order of their first dataset, each with its datasets."""
    order = list(dict.fromkeys(outcome.family for outcome in outcomes))
    ranked = sorted(outcomes, key=lambda outcome: order.index(outcome.family))
    return [(family, list(members)) for family, members in groupby(ranked, key=lambda outcome: outcome.family)]


def _x(share: float) -> float:
    return LEFT + (RIGHT - LEFT) * share


def _axis(bottom: float) -> list[str]:
    parts = [
        text(RIGHT + 40, TOP + FAMILY - 10, "median", size=11, klass="quiet"),
        text(WIDTH - 8, TOP + FAMILY - 10, "baseline", size=11, klass="quiet", anchor="end"),
    ]
    for tenth in range(0, 11):
        x, is_labelled = _x(tenth / 10), tenth % 2 == 0
        colour = "#e2e8f0" if is_labelled else "#f1f5f9"
        parts.append(element("path", d=f"M{x:.1f} {TOP + FAMILY - 1}V{bottom}", stroke=colour))
        if is_labelled:
            label = f"{tenth * 10} %"
            parts.append(text(x, TOP + FAMILY - 10, label, size=11, klass="quiet num", anchor="middle"))
            parts.append(text(x, bottom + 18, label, size=11, klass="quiet num", anchor="middle"))
    return parts


def _dataset(outcome: DatasetOutcome, comparisons: Comparisons, y: float) -> list[str]:
    colour = COLOURS[outcome.verdict]
    name = outcome.dataset if len(outcome.dataset) <= 25 else outcome.dataset[:24] + "…"
    wordings = f"{len(outcome.wordings)} wordings" if len(outcome.wordings) > 1 else "1 wording"
    box = {"x": _x(outcome.q1) - 2, "width": _x(outcome.q3) - _x(outcome.q1) + 4, "y": y - 13, "height": 26, "rx": 5}
    return [
        element("g", text(8, y + 1, name, size=14, weight=600) + _hover(outcome.dataset)),
        text(8, y + 17, f"{wordings} · {outcome.rows:,} rows", size=11, klass="quiet num"),
        element("rect", **box, fill=colour, stroke=colour, fill_opacity=0.13, stroke_opacity=0.55),
        _majority_line(_x(outcome.majority), y, 25),
        *_interval(outcome, y + 20, colour),
        *_dots(outcome, y, colour),
        element("path", d=f"M{_x(outcome.median):.1f} {y - 14:g}V{y + 14:g}", stroke=colour, stroke_width=3.2),
        *_markers(outcome, comparisons, y - 21),
        text(RIGHT + 40, y + 1, percent(outcome.median), size=16, weight=700, klass="num", fill=colour),
        text(RIGHT + 40, y + 17, f"{percentage(outcome.low)} – {percentage(outcome.high)}", size=11, klass="quiet num"),
        text(WIDTH - 8, y + 1, f"{outcome.verdict} majority", size=12, weight=600, anchor="end", fill=colour),
        text(WIDTH - 8, y + 17, percent(outcome.majority), size=11, klass="quiet num", anchor="end"),
    ]


def _hover(words: str) -> str:
    return f"<title>{clean(words)}</title>"


def _interval(outcome: DatasetOutcome, y: float, colour: str) -> list[str]:
    low, high = _x(outcome.low), _x(outcome.high)
    path = f"M{low:.1f} {y - 3:g}v6M{low:.1f} {y:g}H{high:.1f}M{high:.1f} {y - 3:g}v6"
    words = f"95 % interval of the median: {percent(outcome.low)} to {percent(outcome.high)}"
    return [element("path", _hover(words), d=path, stroke=colour, fill="none", stroke_width=1.6)]


def _dots(outcome: DatasetOutcome, y: float, colour: str) -> list[str]:
    """A dot a wording; dots that would touch move up or down."""
    placed: list[tuple[float, float]] = []
    dots = []
    for wording in sorted(outcome.wordings, key=lambda wording: wording.accuracy):
        x = _x(wording.accuracy)
        offsets = [sign * step * 2.4 for step in range(5) for sign in (1, -1)]
        free = [o for o in offsets if all((x - px) ** 2 + (o - py) ** 2 >= (2 * DOT) ** 2 for px, py in placed)]
        offset = free[0] if free else offsets[len(placed) % len(offsets)]
        placed.append((x, offset))
        words = _hover(f"{wording.name}: {percent(wording.accuracy)} of {wording.examples:,} rows")
        dots.append(element("circle", words, cx=x, cy=y + offset, r=DOT, fill=colour, class_="dot"))
    return dots


def _markers(outcome: DatasetOutcome, comparisons: Comparisons, y: float) -> list[str]:
    markers = []
    for number, (label, marks) in enumerate(comparisons.items()):
        if mark := marks.get(outcome.dataset):
            markers.append(_marker(number, _x(mark.value), y, _hover(f"{label}: {_with_interval(mark)}")))
    return markers


def _with_interval(mark: Mark) -> str:
    if mark.low is None or mark.high is None:
        return percent(mark.value)
    return f"{percent(mark.value)} (95 % interval {percent(mark.low)} to {percent(mark.high)})"


def _marker(number: int, x: float, y: float, words: str = "") -> str:
    colour, outline = CONTROLS[number % len(CONTROLS)]
    where = f"translate({x:.1f} {y:g})"
    return element("path", words, d=outline, fill="#fff", stroke=colour, stroke_width=1.7, transform=where)


def _legend(comparisons: Iterable[str]) -> list[str]:
    signs: list[tuple[str, Callable[[float, float], str]]] = [
        ("one wording", lambda x, y: element("circle", cx=x + 9, cy=y, r=DOT, fill="#475569")),
        ("median and IQR over wordings", _box_sign),
        ("95 % interval of the median", _interval_sign),
        ("majority baseline", lambda x, y: _majority_line(x + 9, y, 9)),
        *((label, partial(_marker_sign, number)) for number, label in enumerate(comparisons)),
    ]
    parts: list[str] = []
    x, y = 8.0, 26.0
    for label, draw in signs:
        width = 46 + 6.3 * len(label)
        if x + width > WIDTH:
            x, y = 8.0, y + 26
        parts += [draw(x, y), text(x + 25, y + 4, label, size=12, klass="quiet")]
        x += width
    return parts


def _box_sign(x: float, y: float) -> str:
    box = element("rect", x=x, y=y - 7, width=18, height=14, rx=3, fill="#e2e8f0", stroke="#94a3b8")
    return box + element("path", d=f"M{x + 9:g} {y - 8:g}v16", stroke="#475569", stroke_width=3)


def _interval_sign(x: float, y: float) -> str:
    return element("path", d=f"M{x:g} {y - 3:g}v6m0-3h18m0-3v6", stroke="#475569", fill="none", stroke_width=1.6)


def _marker_sign(number: int, x: float, y: float) -> str:
    return _marker(number, x + 9, y)


def _majority_line(x: float, y: float, half: float) -> str:
    return element("path", d=f"M{x:.1f} {y - half:g}v{2 * half:g}", stroke="#0f172a", stroke_width=1.6, stroke_dasharray="3 3")
