"""What an outcome is set beside: the untrained model, a control run, another checkpoint."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from t0jax.rank import DatasetOutcome


@dataclass(frozen=True)
class Mark:
    """One number of a comparison on one dataset, a share in 0..1, with its interval if it has one."""

    value: float
    low: float | None = None
    high: float | None = None


Comparisons = Mapping[str, Mapping[str, Mark]]
"""Label of the comparison ("untrained") -> dataset -> its mark; a dataset may be missing."""


def marks_of(outcomes: Iterable[DatasetOutcome]) -> dict[str, Mark]:
    """The medians of another model's outcomes, by dataset."""
    return {outcome.dataset: Mark(outcome.median, outcome.low, outcome.high) for outcome in outcomes}


def sentence(outcome: DatasetOutcome) -> str:
    """The outcome in words, whichever way it came out."""
    where = {
        "above": "above the majority baseline",
        "below": "below the majority baseline",
        "at": "not distinguishable from the majority baseline",
    }[outcome.verdict]
    wordings = f"{len(outcome.wordings)} wording" + ("s" if len(outcome.wordings) != 1 else "")
    return (
        f"{outcome.dataset}: median {percent(outcome.median)} over {wordings} of {outcome.rows:,} rows "
        f"(95 % interval {percent(outcome.low)} to {percent(outcome.high)}) is {where} of {percent(outcome.majority)}."
    )


def percentage(share: float) -> str:
    """`0.8333` as `83.3`, where the unit stands elsewhere."""
    return f"{100 * share:.1f}"


def percent(share: float) -> str:
    """`0.8333` as `83.3 %`, with a space that does not break."""
    return f"{percentage(share)}\u00a0%"
