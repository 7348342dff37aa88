"""The fields of a Parquet file in the words of mixtures/schemas.json, and how they differ from those that templates need."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from t0jax.data.schemas import CLASS_LABEL, FieldType
from t0jax.data.sources.extras import need

if TYPE_CHECKING:
    import pyarrow

_ANY = "null"  # of a column without a value


@dataclass(frozen=True)
class Fit:
    """How a file fits the fields that are expected of it."""

    problems: tuple[str, ...]
    """One sentence part for each field that is missing or of another type."""
    labels: tuple[tuple[str, tuple[int, ...]], ...]
    """Fields whose classes have the expected names in another order: the expected number of each of the file's classes."""


def fields_of(schema: "pyarrow.Schema", renames: Mapping[str, str]) -> dict[str, FieldType]:
    """The fields by their new names; classes have their names where the file says them, as files of the hub do."""
    fields = {renames.get(field.name, field.name): _type_of(field.type) for field in schema}
    written = (schema.metadata or {}).get(b"huggingface")
    features = json.loads(written).get("info", {}).get("features", {}) if written else {}
    for name, feature in features.items():
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and "names" in feature:
            fields[renames.get(name, name)] = {CLASS_LABEL: list(feature["names"])}
    return fields


def fit(found: Mapping[str, FieldType], expected: Mapping[str, FieldType]) -> Fit:
    """What keeps a file with the fields `found` from serving where `expected` ones are needed. More fields do no harm."""
    problems, labels = [], list[tuple[str, tuple[int, ...]]]()
    for name, kind in expected.items():
        if name not in found:
            problems.append(f"the field {name} is missing")
        elif not _is_same(found[name], kind):
            classes = _order(found[name], kind)
            if classes is None:
                problems.append(f"the field {name} is {_shown(found[name])} instead of {_shown(kind)}")
            else:
                labels.append((name, classes))
    return Fit(tuple(problems), tuple(labels))


def _type_of(kind: "pyarrow.DataType") -> FieldType:
    types = need("pyarrow", "words").types
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return [_type_of(kind.value_type)]
    if types.is_struct(kind):
        return {field.name: _type_of(field.type) for field in kind}
    tests = {"bool": types.is_boolean, "int": types.is_integer, "float": types.is_floating, _ANY: types.is_null}
    is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    return "string" if is_text else next((name for name, is_of in tests.items() if is_of(kind)), str(kind))


def _is_same(found: FieldType, expected: FieldType) -> bool:
    """Whether values of one type are values of the other: numbers of classes are ints, a column of nulls is anything."""
    if found == _ANY:
        return True
    if isinstance(expected, list):
        return isinstance(found, list) and _is_same(found[0], expected[0])
    if _names(found) is not None and _names(expected) is not None:
        return _names(found) == _names(expected)
    if isinstance(expected, dict) and _names(expected) is None:
        return isinstance(found, dict) and all(name in found and _is_same(found[name], expected[name]) for name in expected)
    return _plain(found) == _plain(expected)


def _order(found: FieldType, expected: FieldType) -> tuple[int, ...] | None:
    """The expected class of each of the found ones, by name, the part before a colon aside; None unless all are known."""
    theirs, ours = _names(found), _names(expected)
    if theirs is None or ours is None:
        return None
    last = [name.rpartition(":")[2] for name in theirs]
    return tuple(ours.index(name) for name in last) if set(last) == set(ours) else None


def _names(kind: FieldType) -> Sequence[str] | None:
    return kind[CLASS_LABEL] if isinstance(kind, dict) and CLASS_LABEL in kind else None


def _plain(kind: FieldType) -> FieldType:
    return "int" if _names(kind) is not None else kind


def _shown(kind: FieldType) -> str:
    text = json.dumps(kind, ensure_ascii=False)
    return text if len(text) <= 80 else text[:80] + "…"
