"""Dataclasses whose fields hold what their annotations say; standard library only."""

import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

from t0jax.errors import InputError


def _matches(value: Any, kind: Any) -> bool:
    """Whether `value` has the annotated type `kind`; an int is a float, True is not an int."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return True
    if origin is Literal:
        return value in arguments
    if origin in (typing.Union, types.UnionType):
        return any(_matches(value, part) for part in arguments)
    if origin is tuple:
        return isinstance(value, tuple) and all(_matches(item, arguments[0]) for item in value)
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(
            _matches(k, arguments[0]) and _matches(v, arguments[1]) for k, v in value.items()
        )
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


class Checked:
    """Holds every field of a dataclass to its annotation: gin checks no types."""

    def __post_init__(self) -> None:
        for name, kind in typing.get_type_hints(type(self)).items():
            value = getattr(self, name)
            if isinstance(value, list):  # gin writes sequences either way
                value = tuple(value)
                object.__setattr__(self, name, value)
            if not _matches(value, kind):
                wanted = getattr(kind, "__name__", str(kind)) if typing.get_origin(kind) is None else str(kind)
                raise InputError(f"{type(self).__name__}.{name} is {value!r}, which is not of type {wanted}.")

    def _require(self, is_good: bool, name: str, limit: str) -> None:
        if not is_good:
            raise InputError(f"{type(self).__name__}.{name} is {getattr(self, name)!r}; it must be {limit}.")

    def _require_positive(self, *names: str) -> None:
        for name in names:
            self._require(getattr(self, name) > 0, name, "above 0")

    def _require_local(self, *names: str) -> None:
        for name in names:
            self._require("://" not in (getattr(self, name) or ""), name, "a path on this machine: mount the bucket, or copy")
