"""What lint says about a task, and the count behind it."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or looks wrong, with a wording on rows."""

    task: str
    split: str | None
    """The task's split whose rows were seen; None: the template alone says it."""
    check: str
    severity: Severity
    rows: int
    """How many rows the check could look at."""
    share: float
    """The share of them that it is true of."""
    row: int | None
    """The number of the first such row in its split."""
    message: str
    """One sentence: what, and what to do."""


@dataclass
class Tally:
    """Of how many rows something is true, and the first of them."""

    rows: int = 0
    hits: int = 0
    first: int | None = None
    said: str = ""

    def add(self, row: int, is_hit: bool, said: str = "") -> None:
        """Count a row; `said` is kept of the first hit."""
        self.rows += 1
        if is_hit:
            if self.first is None:
                self.first, self.said = row, said
            self.hits += 1

    @property
    def share(self) -> float:
        """Hits among rows; 0 without rows."""
        return self.hits / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class Said:
    """A finding of a check that does not know its task."""

    check: str
    severity: Severity
    tally: Tally
    message: str

    def of(self, task: str, split: str | None) -> Finding:
        """The finding about a task on the rows of a split."""
        tally = self.tally
        return Finding(task, split, self.check, self.severity, tally.rows, tally.share, tally.first, self.message)
