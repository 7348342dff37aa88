"""Whether a row is one of a dataset's by its schema: what made-up and real rows are held to."""

from collections.abc import Callable, Mapping
from typing import Any

from t0jax.data.schemas import CLASS_LABEL, FieldType, Schema

_IS_OF: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}


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
