"""A template applied to rows: compiled once, sandboxed, byte for byte what promptsource's `Template.apply` writes."""

import contextlib
import copy
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jinja2
from jinja2.sandbox import SecurityError

from t0jax.errors import InputError
from t0jax.prompts.sandbox import TEXT_LENGTH, Program, Sandbox
from t0jax.prompts.templates import Template

_SEPARATOR = "|||"
_PROTECTED = "3ed2dface8203c4c9dfb1a5dc58e41e0"  # stands for the separator where a row's own text holds it
_CHOICES = "answer_choices"


@dataclass(frozen=True)
class Prompted:
    """What one wording makes of one row."""

    inputs: str
    targets: str
    answer_choices: tuple[str, ...] | None


class Renderer:
    """Renders one template. InputError for a broken template, a row without a field it needs, or a breach of the sandbox."""

    def __init__(self, template: Template):
        self.template = template
        self._random = random.Random()
        sandbox = Sandbox(self._random)
        cut = template.jinja.replace("}}", f" | string | truncate({TEXT_LENGTH}) }}}}")  # as promptsource does, on the text
        try:
            self._text = Program(sandbox, cut)
            self._choices = _compile_choices(sandbox, template.answer_choices)
        except (jinja2.TemplateError, RecursionError) as error:
            raise InputError(f"The template {template.name!r} is not valid Jinja: {error}.") from error
        programs = [part for part in (self._text, self._choices) if isinstance(part, Program)]
        self._reads = frozenset[str]().union(*(program.reads for program in programs))
        self._needs = frozenset[str]().union(*(program.needs for program in programs)) - {_CHOICES}
        self._is_random = any(program.is_random for program in programs)
        self._copies = any(program.changes_values for program in programs)
        self._plan: tuple[tuple[str, ...], list[tuple[str, str]]] | None = None

    def __call__(self, row: Mapping[str, Any], seed: int | str) -> Prompted | None:
        """The prompt for a row, or None where the template does not apply to it. The seed decides what random filters draw."""
        values = {
            name: value.replace(_SEPARATOR, _PROTECTED) if isinstance(value := row[field], str) else value
            for field, name in self._fields(row)
        }
        if self._copies:
            values = copy.deepcopy(values)
        if self._is_random:
            self._random.seed(seed)
        try:
            choices = _split(self._choices(values)) if isinstance(self._choices, Program) else self._choices
            values[_CHOICES] = None if choices is None else list(choices)
            parts = self._text(values).split(_SEPARATOR)
        except SecurityError as error:
            raise InputError(
                f"The template {self.template.name!r} reaches into Python's internals ({error}): take that out of it."
            ) from error
        except Exception as error:  # Jinja runs the template's own expressions: anything can be raised
            reason = f"{type(error).__name__}: {error}"
            raise InputError(
                f"The template {self.template.name!r} fails on this row ({reason}): mend the row or the template."
            ) from error
        if len(parts) != 2:
            return None
        inputs, targets = (part.replace(_PROTECTED, _SEPARATOR).strip() for part in parts)
        return Prompted(inputs, targets, choices) if inputs and targets else None

    def _fields(self, row: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The row's fields that the template reads, each with its name there; found anew when a row has other fields."""
        present = tuple(row)
        if self._plan is None or self._plan[0] != present:
            self._plan = (present, self._read_fields(present))
        return self._plan[1]

    def _read_fields(self, present: tuple[str, ...]) -> list[tuple[str, str]]:
        fields = [(field, field.replace("-", "_")) for field in present]
        names = [name for _, name in fields]
        if missing := self._needs.difference(names):
            wanted = ", ".join(sorted(missing))
            raise InputError(
                f"The template {self.template.name!r} needs the field {wanted}, which the row lacks "
                f"(it has {', '.join(names)}): mend the template, or use rows in the dataset's schema."
            )
        if _CHOICES in names:
            raise InputError(f"The row has the field {_CHOICES}, which is the template's own: rename the field.")
        return [(field, name) for field, name in fields if name in self._reads]


def _compile_choices(sandbox: Sandbox, jinja: str | None) -> Program | tuple[str, ...] | None:
    """The choices themselves when they are the same for every row, else their program."""
    if jinja is None:
        return None
    if not any(mark in jinja for mark in ("{{", "{%", "{#", "\r")):  # text alone: what most templates have
        return _split(jinja)
    program = Program(sandbox, jinja)
    if not program.reads and not program.is_random:
        with contextlib.suppress(Exception):  # what fails here fails on every row, and is answered there
            return _split(program({}))
    return program


def _split(rendered: str) -> tuple[str, ...]:
    return tuple(choice.strip().replace(_PROTECTED, _SEPARATOR) for choice in rendered.split(_SEPARATOR))
