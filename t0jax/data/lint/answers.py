"""The answers that a row itself holds, right and wrong ones, and rows in which they are marked to be seen again in a text."""

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from t0jax.data.row_texts import row_texts
from t0jax.errors import InputError
from t0jax.prompts.render import Prompted, Renderer
from t0jax.prompts.templates import Template

_FIRST_MARK = 0xE000  # Unicode's private use: no dataset's text and no filter of Jinja's knows these characters
_MARKS = 6000


@dataclass(frozen=True)
class Answers:
    """Different texts of the row, of which one answers it."""

    texts: tuple[str, ...]
    right: str

    @property
    def wrong(self) -> tuple[str, ...]:
        """The others."""
        return tuple(text for text in self.texts if text != self.right)


class AnswerFinder:
    """Finds a row's answers by the dataset's wordings that take their choices from the row, those of its own task first.

    A wording that asks `is it ...? Yes or no` does not say which texts of the row it might have shown: its siblings do.
    """

    def __init__(self, templates: Sequence[Template]):
        self._renderers: dict[str, list[Renderer]] = {}
        for template in sorted(templates, key=lambda one: not one.original_task):
            choices = template.answer_choices or ""
            if "{{" in choices or "{%" in choices:
                with contextlib.suppress(InputError):  # which is found where the template itself is looked at
                    self._renderers.setdefault(choices, []).append(Renderer(template))

    def __call__(self, row: Mapping[str, Any], number: int) -> Answers | None:
        """The answers of row `number`; None where no wording takes two or more of its texts as choices, one of them the target.

        Of several lists it is the longest in characters: a dataset that holds its choices' letters has wordings for them too.
        """
        texts = set(row_texts(row))
        found = [self._listed(renderers, row, number, texts) for renderers in self._renderers.values()]
        return max(filter(None, found), key=lambda answers: len("".join(answers.texts)), default=None)

    def _listed(self, renderers: list[Renderer], row: Mapping[str, Any], number: int, texts: set[str]) -> Answers | None:
        """The answers by the first of some wordings with the same choices that applies to the row."""
        for renderer in renderers:
            try:
                prompted = renderer(row, seed=number)
            except InputError:
                continue
            if prompted is not None and prompted.answer_choices:
                known = tuple(dict.fromkeys(choice for choice in prompted.answer_choices if choice in texts))
                is_full = len(known) > 1 and prompted.targets in known
                return Answers(known, prompted.targets) if is_full else None
        return None


def marks_of(texts: Sequence[str]) -> dict[str, str]:
    """A character of its own for each text; the longest lists lose their end."""
    return {text: chr(_FIRST_MARK + number) for number, text in enumerate(texts[:_MARKS]) if text}


def marked(value: Any, marks: Mapping[str, str]) -> Any:
    """The row with marks around each of these texts wherever it is all that a field, or an item of one, holds."""
    if isinstance(value, str):
        mark = marks.get(value.strip())
        return f"{mark}{value}{mark}" if mark else value
    if isinstance(value, Mapping):
        return {name: marked(item, marks) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [marked(item, marks) for item in value]
    return value


def is_same(one: Prompted, other: Prompted | None) -> bool:
    """Whether two prompts are the same but for marks, white space, case and signs: marking did not change what happened."""
    return other is not None and all(_bare(getattr(one, name)) == _bare(getattr(other, name)) for name in ("inputs", "targets"))


def _bare(text: str) -> str:
    return re.sub(r"[\W_]+", "", text.lower())
