"""The tables of the sources, mixtures/sources/*.csv: facts about the world, read when a door first needs them."""

import csv
import functools
from collections.abc import Mapping
from pathlib import Path

from t0jax import street
from t0jax.errors import InputError


def table_folder() -> Path:
    """The folder of the sources' tables."""
    return street.mixtures_folder() / "sources"


@functools.cache
def read_table(name: str, fields: tuple[str, ...]) -> tuple[Mapping[str, str], ...]:
    """The lines of a table. InputError when it is damaged."""
    path = table_folder() / f"{name}.csv"
    try:
        with open(path, newline="", encoding="utf-8") as file:
            lines = tuple(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"The table {path} cannot be read ({error}): restore it.") from error
    if any(tuple(line) != fields or None in line.values() for line in lines):
        raise InputError(f"The table {path} has other fields than {', '.join(fields)}: restore it.")
    return lines


def pairs(text: str) -> dict[str, str]:
    """`train val=validation` as {train: train, val: validation}."""
    return {left: right or left for left, _, right in (word.partition("=") for word in text.split())}
