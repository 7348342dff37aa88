"""A template applied to rows: compiled once, sandboxed, byte for byte what promptsource's `Template.apply` writes."""

import copy
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import SandboxedEnvironment

from t0jax.errors import InputError
from t0jax.prompts.templates import Template

_SEPARATOR = "|||"
_PROTECTED = "3ed2dface8203c4c9dfb1a5dc58e41e0"  # stands for the separator where a row's own text holds it
_TEXT_LENGTH = 2048  # characters of every substituted expression; T0 was trained with this limit
_CHANGES_ITS_VALUES = re.compile(r"\.(append|extend|insert|pop|remove|clear|update|setdefault|sort|reverse|add)\b")


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
        self._environment = _environment(self._random)
        cut = template.jinja.replace("}}", f" | string | truncate({_TEXT_LENGTH}) }}}}")
        try:
            self._text = self._environment.from_string(cut)
            self._needs, self._is_random = self._read(template.jinja)
            self._choices = self._compile_choices(template.answer_choices)
        except jinja2.TemplateError as error:
            raise InputError(f"The template {template.name!r} is not valid Jinja: {error}.") from error
        self._needs -= {"answer_choices"}
        self._copies = bool(_CHANGES_ITS_VALUES.search(template.jinja + (template.answer_choices or "")))

    def __call__(self, row: Mapping[str, Any], seed: int | str) -> Prompted | None:
        """The prompt for a row, or None where the template does not apply to it. The seed decides what random filters draw."""
        values = self._values(row)
        if self._is_random:
            self._random.seed(seed)
        try:
            choices = self._answer_choices(values)
            parts = self._text.render(values, answer_choices=None if choices is None else list(choices)).split(_SEPARATOR)
        except Exception as error:  # Jinja runs the template's own expressions: anything can be raised
            reason = f"{type(error).__name__}: {error}"
            raise InputError(
                f"The template {self.template.name!r} fails on this row ({reason}): mend the row or the template."
            ) from error
        if len(parts) != 2:
            return None
        inputs, targets = (part.replace(_PROTECTED, _SEPARATOR).strip() for part in parts)
        return Prompted(inputs, targets, choices) if inputs and targets else None

    def _compile_choices(self, jinja: str | None) -> jinja2.Template | tuple[str, ...] | None:
        """The choices themselves when they are the same for every row, else their compiled template."""
        if jinja is None:
            return None
        compiled = self._environment.from_string(jinja)
        needs, is_random = self._read(jinja)
        if not needs and not is_random:
            return _split_choices(compiled.render())
        self._needs |= needs
        self._is_random |= is_random
        return compiled

    def _answer_choices(self, values: dict[str, Any]) -> tuple[str, ...] | None:
        if isinstance(self._choices, jinja2.Template):
            return _split_choices(self._choices.render(values))
        return self._choices

    def _read(self, jinja: str) -> tuple[set[str], bool]:
        """The row's fields that the text uses without asking whether they are defined, and whether it draws at random."""
        syntax = self._environment.parse(jinja)
        asked = {
            test.node.name
            for test in syntax.find_all(nodes.Test)
            if test.name in ("defined", "undefined") and isinstance(test.node, nodes.Name)
        }
        draws = any(node.name in ("choice", "random") for node in syntax.find_all(nodes.Filter))
        return meta.find_undeclared_variables(syntax) - asked, draws

    def _values(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row as the template sees it: names without hyphens, the separator in its texts protected."""
        values = {
            name.replace("-", "_"): value.replace(_SEPARATOR, _PROTECTED) if isinstance(value, str) else value
            for name, value in row.items()
        }
        missing = self._needs.difference(values)
        if missing:
            wanted, present = ", ".join(sorted(missing)), ", ".join(values)
            raise InputError(
                f"The template {self.template.name!r} needs the field {wanted}, which the row lacks (it has {present}): "
                "use rows in the dataset's schema."
            )
        if "answer_choices" in values:
            raise InputError("The row has the field answer_choices, which is the template's own: rename the field.")
        return copy.deepcopy(values) if self._copies else values


def _split_choices(rendered: str) -> tuple[str, ...]:
    return tuple(choice.strip().replace(_PROTECTED, _SEPARATOR) for choice in rendered.split(_SEPARATOR))


def _environment(rng: random.Random) -> SandboxedEnvironment:
    """promptsource's filters and globals in a sandbox; its random draws come from `rng`."""

    @jinja2.pass_context  # the context keeps Jinja from drawing once, at compile time, where the choices are constants
    def choice(_context: jinja2.runtime.Context, items: Sequence[Any]) -> Any:
        return rng.choice(items)

    environment = SandboxedEnvironment()
    environment.globals["zip"] = zip
    environment.filters.update(choice=choice, random=choice, most_frequent=_most_frequent, highlight=_highlight)
    return environment


def _most_frequent(items: Sequence[Any]) -> list[Any] | None:
    """All items that occur as often as the most frequent one; None for no items."""
    counts = Counter(items or ())
    return [item for item, count in counts.most_common() if count == max(counts.values())] or None


def _highlight(text: str) -> str:
    return f"<span style='color: #F08080'>{text}</span>"
