"""The hub's row schema and official row counts of every dataset in the tables, read from mixtures/schemas.json."""

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from t0jax import street
from t0jax.errors import InputError, did_you_mean

FieldType = str | list[Any] | dict[str, Any]
"""string, int, float or bool; {CLASS_LABEL: names}; [type] for a list; {field: type} for a dictionary."""
CLASS_LABEL = "class label"

_IS_OF: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}


@dataclass(frozen=True)
class Schema:
    """What a row of a dataset looks like, and how many rows its splits have."""

    fields: Mapping[str, FieldType]
    splits: Mapping[str, int]
    """The hub's own names of the splits with their official numbers of rows."""
    note: str
    """Where the source needs an explanation; else empty."""


def schema(dataset: str, subset: str | None) -> Schema:
    """The schema of a dataset of the tables. InputError when it is not among them."""
    name = dataset if subset is None else f"{dataset}/{subset}"
    known = _schemas()
    if name not in known:
        raise InputError(f"mixtures/schemas.json has no schema for {name}.{did_you_mean(name, known)}")
    return known[name]


def row_problem(row: Mapping[str, Any], schema: Schema) -> str | None:
    """What is wrong with a row: a field that is missing, of another type or too many; None when nothing is.

    Null passes everywhere, as on the hub, and so does an underscore for a hyphen in a field's name, as templates have it.
    """
    values = {_name(field): value for field, value in row.items()}
    fields = {_name(field): kind for field, kind in schema.fields.items()}
    for field, kind in fields.items():
        if field not in values:
            return f"the field {field} is missing"
        if problem := _problem(field, values[field], kind):
            return problem
    unknown = ", ".join(field for field in values if field not in fields)
    return f"the dataset does not have the field {unknown}" if unknown else None


def _problem(place: str, value: Any, kind: FieldType) -> str | None:
    """What is wrong with one value; `place` is how a template would write it."""
    if value is None:
        return None
    if isinstance(kind, str):
        return None if _IS_OF[kind](value) else f"{place} is {_shown(value)}, not {kind}"
    if isinstance(kind, list):
        if not isinstance(value, list):
            return f"{place} is {_shown(value)}, not a list"
        problems = (_problem(f"{place}[{index}]", item, kind[0]) for index, item in enumerate(value))
        return next(filter(None, problems), None)
    if CLASS_LABEL in kind:
        last = len(kind[CLASS_LABEL]) - 1
        is_label = _IS_OF["int"](value) and -1 <= value <= last
        return None if is_label else f"{place} is {_shown(value)}, not a class label (an int from 0 to {last}, or -1 for none)"
    if not isinstance(value, dict):
        return f"{place} is {_shown(value)}, not a dictionary"
    if value.keys() != kind.keys():
        return f"{place} has the fields {', '.join(value)}, not {', '.join(kind)}"
    return next(filter(None, (_problem(f"{place}.{field}", value[field], kind[field]) for field in kind)), None)


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 40 else text[:40] + '...'} ({type(value).__name__})"


def _name(field: str) -> str:
    return field.replace("-", "_")


@functools.cache
def _schemas() -> dict[str, Schema]:
    path = street.mixtures_folder() / "schemas.json"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["datasets"]
        return {name: Schema(entry["fields"], entry["splits"], entry.get("note", "")) for name, entry in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"The table {path} cannot be read ({error}): restore it.") from error
