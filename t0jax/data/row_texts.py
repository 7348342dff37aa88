"""The texts of a row, whatever its schema."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def row_texts(value: Any) -> Iterator[str]:
    """Every text that a row holds, however deep, without white space around it."""
    if isinstance(value, str):
        yield value.strip()
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from row_texts(item)
    elif isinstance(value, Sequence):
        for item in value:
            yield from row_texts(item)
