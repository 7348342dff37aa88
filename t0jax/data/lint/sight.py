"""One wording looked at on rows: what it makes of each, of the row with its answers marked, and under other random draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from t0jax.data.lint.answers import Answers, is_same, marked, marks_of
from t0jax.data.prompting import Wording
from t0jax.data.row_texts import row_texts
from t0jax.data.universe import PromptedTask
from t0jax.errors import InputError
from t0jax.prompts.render import Prompted, Renderer
from t0jax.prompts.templates import Template

DRAWS = 8
"""How often a row's random choices are drawn anew: a draw of two stays the same throughout in 1 of 256 rows."""
SEPARATOR = "\uf8ff"
"""Stands for the separator in `Sight.unsplit`."""


@dataclass(frozen=True)
class Row:
    """A row of a split by its number, and the answers that it holds."""

    number: int
    values: Mapping[str, Any] | Prompted
    answers: Answers | None = None


@dataclass(frozen=True)
class Sight:
    """What a wording makes of a row."""

    row: Row
    prompted: Prompted | None = None
    problem: str | None = None
    """Why it fails on the row."""
    unsplit: str | None = None
    """Where it makes nothing of the row, the text as it is before it is split into input and target."""
    traced: tuple[str, ...] = ()
    """Texts of the row whose way into the input could be followed: its answers, where one of them or a verdict on them is
    asked for, else the target where a field holds it."""
    shown: tuple[str, ...] = ()
    """Those that the input shows, in its order."""
    redrawn: tuple[Prompted, ...] = ()
    """The same row under other random draws."""

    @property
    def answers(self) -> Answers | None:
        """The row's answers where their way into the input could be followed."""
        return self.row.answers if self.row.answers and self.traced == self.row.answers.texts else None


def look(task: PromptedTask, template: Template, rows: Sequence[Row], split: str, *, draws: bool) -> list[Sight]:
    """Every row under a task's wording. InputError when the template cannot be compiled."""
    wording = Wording(task, template)
    whole = Renderer(replace(template, jinja=template.jinja.replace("|||", SEPARATOR) + "|||."))
    return [_sight(wording, whole, row, split, draws) for row in rows]


def _sight(wording: Wording, whole: Renderer, row: Row, split: str, draws: bool) -> Sight:
    if isinstance(row.values, Prompted):
        return Sight(row, row.values)
    try:
        prompted = wording(row.values, split, row.number)
        if prompted is None:
            text = whole(row.values, seed=0)
            return Sight(row, unsplit=text.inputs if text else "")
        redrawn = [wording(row.values, f"{split}, draw {number}", row.number) for number in range(DRAWS if draws else 0)]
    except InputError as error:
        return Sight(row, problem=str(error.__cause__ or error))
    return Sight(row, prompted, None, None, *_trace(wording, prompted, row, split), tuple(filter(None, redrawn)))


def _trace(wording: Wording, prompted: Prompted, row: Row, split: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """`Sight.traced` and `Sight.shown`: texts that are marked in the row, and those whose marks come back in the input."""
    assert not isinstance(row.values, Prompted)
    target, answers = prompted.targets, row.answers
    if answers and (prompted.answer_choices or target in answers.texts):
        texts = answers.texts
    else:
        texts = (target,) if target in set(row_texts(row.values)) else ()
    if not texts:
        return (), ()
    marks = marks_of(texts)
    try:
        again = wording(marked(row.values, marks), split, row.number)
    except InputError:
        again = None
    if again is None or not is_same(prompted, again):
        return (), ()
    places = {text: again.inputs.find(mark) for text, mark in marks.items()}
    return texts, tuple(sorted((text for text in places if places[text] >= 0), key=places.__getitem__))
