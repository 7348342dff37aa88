"""What a chip costs an hour: a dated table in git."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass

from t0jax.errors import InputError, did_you_mean
from t0jax.pods.topology import Chip
from t0jax.street import tpu_scripts_folder


@dataclass(frozen=True)
class Price:
    """Dollars of one chip and hour, and whence they are known."""

    dollars: float
    described: str


def price_of(chip: Chip, provisioning: str, given: float | None = None) -> Price | None:
    """The price that is `given`, or the table's; None where it has none for this chip. InputError for an unknown provisioning."""
    if given is not None:
        if given < 0:
            raise InputError(f"--price is {given}; it must be at least 0 dollars a chip and hour.")
        return Price(given, "as given")
    rows = list(_rows())
    known = sorted({row["provisioning"] for row in rows})
    if provisioning not in known:
        near = did_you_mean(provisioning, known)
        raise InputError(
            f"The table of prices knows no {provisioning!r}, but {', '.join(known)}.{near} Or give --price=DOLLARS."
        )
    for row in rows:
        if row["chip"] == chip.name and row["provisioning"] == provisioning:
            return Price(float(row["dollars"]), f"list price of {row['as_of']}, {provisioning.replace('_', ' ')}")
    return None


def _rows() -> Iterator[dict[str, str]]:
    with (tpu_scripts_folder() / "prices.csv").open(newline="") as file:
        yield from csv.DictReader(line for line in file if not line.startswith("#"))
