"""The hub's row schema and official row counts of every dataset in the tables, read from mixtures/schemas.json."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from t0jax import street
from t0jax.errors import InputError, did_you_mean

FieldType = str | list[Any] | dict[str, Any]
"""string, int, float or bool; {CLASS_LABEL: names}; [type] for a list; {field: type} for a dictionary."""
CLASS_LABEL = "class label"


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


@functools.cache
def _schemas() -> dict[str, Schema]:
    path = street.mixtures_folder() / "schemas.json"
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["datasets"]
        return {name: Schema(entry["fields"], entry["splits"], entry.get("note", "")) for name, entry in entries.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"The table {path} cannot be read ({error}): restore it.") from error
