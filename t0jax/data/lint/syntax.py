"""What a template's text says without any row: the fields that it reads, what it draws, what it must not touch."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jinja2
from jinja2 import meta, nodes

from t0jax.data.lint.finding import Said, Tally
from t0jax.data.lint.sight import Row
from t0jax.data.universe import SCORE_EVAL, task_name
from t0jax.errors import InputError, did_you_mean
from t0jax.prompts.render import Prompted
from t0jax.prompts.sandbox import Sandbox
from t0jax.prompts.templates import Template

Path = tuple[str, ...]
"""A field of the row, and of what it holds: `answers.text` is ("answers", "text")."""

_DRAWS = ("choice", "random")
_OWN = {"answer_choices"}


@dataclass(frozen=True)
class Syntax:
    """One template's text, read."""

    fields: tuple[Path, ...]
    """What it reads of the row without asking whether it is there, sorted."""
    internals: tuple[str, ...]
    """Names of Python's internals that it reaches for."""
    draws: bool
    """Whether it draws at random from a list that is its own, not one of the row's."""


def read(template: Template) -> Syntax:
    """Read a template and its answer choices; InputError when they are not Jinja."""
    environment = Sandbox(random.Random())
    fields: set[Path] = set()
    internals: set[str] = set()
    draws = False
    for text in (template.jinja, template.answer_choices or ""):
        try:
            syntax = environment.parse(text)
            free = meta.find_undeclared_variables(syntax) - _OWN
        except jinja2.TemplateError as error:
            raise InputError(f"It is not valid Jinja: {(error.message or '').rstrip('.')}.") from error
        fields |= _fields(syntax, free)
        internals |= {name for name in _attributes(syntax) if name.startswith("_")}
        drawn = [node.node for node in syntax.find_all(nodes.Filter) if node.name in _DRAWS]
        draws |= any(_root(node) not in free for node in drawn)
    return Syntax(tuple(sorted(fields)), tuple(sorted(internals)), draws)


def missing(path: Path, values: Mapping[str, Any]) -> str | None:
    """Which field of the path a row (or a schema in a row's shape) lacks, as a name with what is near; None: it has it all."""
    here: Any = {name.replace("-", "_"): value for name, value in values.items()}  # as templates see the row
    for depth, name in enumerate(path):
        if not isinstance(here, Mapping):
            return None  # a method of a text or a list, or an item of it
        if name not in here:
            if depth and hasattr(dict, name):
                return None
            near = did_you_mean(name, here) or f" There are {', '.join(here)}."
            return f"{'.'.join(path[: depth + 1])}.{near}"
        here = here[name]
    return None


def lacks_field(syntax: Syntax, row: Mapping[str, Any]) -> bool:
    """Whether the template cannot be rendered for want of one of the row's fields."""
    names = {name.replace("-", "_") for name in row}
    return any(path[0] not in names for path in syntax.fields)


def check_fields(syntax: Syntax, rows: Sequence[Row]) -> Iterator[Said]:
    """Fields that the template reads and rows lack."""
    for path in syntax.fields:
        tally = Tally()
        for row in rows:
            if not isinstance(row.values, Prompted):
                lacking = missing(path, row.values)
                tally.add(row.number, lacking is not None, lacking or "")
        if tally.hits:
            yield Said("field", "error", tally, f"It reads the field {tally.said}")


def check_schema(syntax: Syntax, fields: Mapping[str, Any]) -> Iterator[Said]:
    """Fields that the template reads and the dataset's schema lacks, where there are no rows to look at."""
    for path in syntax.fields:
        if lacking := missing(path, fields):
            yield Said("field", "error", Tally(), f"It reads the field {lacking}")


def check_internals(syntax: Syntax) -> Iterator[Said]:
    """Python's internals, which the sandbox keeps from templates."""
    if syntax.internals:
        message = f"It reaches into Python's internals ({', '.join(syntax.internals)}): take that out."
        yield Said("internals", "error", Tally(), message)


def check_name(template: Template) -> Iterator[Said]:
    """Names that make no task, or one that is taken for a twin."""
    if not any(character.isalnum() for character in template.name):
        yield Said("name", "error", Tally(), f"Its name {template.name!r} has no letter or digit: call it something.")
    if task_name("", None, template.name).endswith(SCORE_EVAL):
        message = f"Its name {template.name!r} ends as those of twins for scoring do, so that mixtures lack it: rename it."
        yield Said("name", "error", Tally(), message)


def _fields(syntax: nodes.Template, free: set[str]) -> set[Path]:
    asked = {_path(test.node) for test in syntax.find_all(nodes.Test) if test.name in ("defined", "undefined")}
    chains = {_path(node) for node in syntax.find_all((nodes.Getattr, nodes.Getitem, nodes.Name))}
    return {path for path in chains if path and path[0] in free and not any(path[: len(one)] == one for one in asked if one)}


def _path(node: nodes.Node) -> Path | None:
    """`answers.text`, `answers["text"]` or `answers` as a path; None for anything else."""
    if isinstance(node, nodes.Name):
        return (node.name,)
    if not isinstance(node, nodes.Getattr | nodes.Getitem):
        return None
    inner, name = _path(node.node), _name(node)
    return (*inner, name) if inner and name else None


def _name(node: nodes.Getattr | nodes.Getitem) -> str | None:
    if isinstance(node, nodes.Getattr):
        return node.attr
    return node.arg.value if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str) else None


def _root(node: nodes.Node | None) -> str | None:
    """The name at the beginning of `name.a[1]["b"]`; None where there is an expression."""
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        node = node.node
    return node.name if isinstance(node, nodes.Name) else None


def _attributes(syntax: nodes.Template) -> Iterator[str]:
    for node in syntax.find_all((nodes.Getattr, nodes.Getitem)):
        if isinstance(node, nodes.Getattr | nodes.Getitem) and (name := _name(node)):
            yield name


def same_texts(templates: Sequence[Template]) -> dict[str, str]:
    """Templates whose text and choices are those of an earlier one but for white space, each with that one's name."""
    first: dict[tuple[str, str], str] = {}
    again = {}
    for template in templates:
        key = (" ".join(template.jinja.split()), " ".join((template.answer_choices or "").split()))
        if first.setdefault(key, template.name) != template.name:
            again[template.name] = first[key]
    return again
