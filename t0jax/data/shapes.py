"""Which decoder shape each step has: told by its number, so that all hosts agree without a word, and a resumed run repeats."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

PARTS = 1 << 12
"""Shares of wide steps are multiples of 1/PARTS."""

_MOST = 0.8
"""Beyond this share of wide steps all are wide: the others would save less than a second compiled shape is worth."""


@dataclass(frozen=True)
class Shapes:
    """Target positions of every step: `wide` in `wide_steps` of PARTS steps, evenly spread, `narrow` in the others."""

    wide: int
    narrow: int = 0
    wide_steps: int = PARTS

    def targets_length(self, step: int) -> int:
        """Of step `step`, counted from 0. The first step is wide: a run that does not fit the devices fails at once."""
        return self.wide if step * self.wide_steps % PARTS < self.wide_steps else self.narrow

    @property
    def mean_length(self) -> float:
        """Over all steps."""
        return self.narrow + (self.wide - self.narrow) * self.wide_steps / PARTS


def shapes_for(row_targets: Int[np.ndarray, "rows"], wide: int, narrow: int) -> Shapes:
    """The shapes of a mixture, a sample of whose packed rows has these numbers of target tokens.

    A row that is too long for narrow steps waits for a wide one, so these must come more often than such rows. Of n in the
    sample, fewer than n + 4 sqrt(n) + 16 are to be expected in another one: short of it once in 30,000 samples for large n,
    once in 10 million for none.
    """
    seen = int((row_targets > narrow).sum())
    share = (seen + math.isqrt(16 * seen) + 16) / len(row_targets)
    return Shapes(wide, narrow, PARTS if share > _MOST else math.ceil(share * PARTS))
