"""Whether an evaluation is whole: what a dataset's wordings and rows should be, and what is less."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from t0jax.rank import DatasetOutcome


@dataclass(frozen=True)
class Expected:
    """What the tables say that a dataset has."""

    wordings: int
    rows: int | None
    """Of the split; None where nobody says."""


def gap(outcome: DatasetOutcome, expected: Expected) -> str:
    """What an evaluation of a dataset lacks, or has too much; empty when nothing."""
    parts = []
    if expected.wordings and len(outcome.wordings) != expected.wordings:
        parts.append(f"{len(outcome.wordings)} of {expected.wordings} wordings")
    if expected.rows and outcome.rows != expected.rows:
        parts.append(f"{outcome.rows:,} of {expected.rows:,} rows")
    return ", ".join(parts)


def gaps(outcomes: Iterable[DatasetOutcome], expected: Mapping[str, Expected]) -> str:
    """One clause on all datasets that are not whole; empty when all are. Unknown datasets are taken to be whole."""
    found = [(outcome.dataset, gap(outcome, expected[outcome.dataset])) for outcome in outcomes if outcome.dataset in expected]
    lacking = [f"{dataset} ({what})" for dataset, what in found if what]
    return f"not whole: {', '.join(lacking)}" if lacking else ""
