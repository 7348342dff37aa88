"""In which order the tasks of a mixture take turns: by rate, at random within narrow bounds, and known for every index."""

import sys
from collections.abc import Sequence

import grain
import numpy as np
from jaxtyping import Int

PERIOD = 1 << 20
"""Turns after which the schedule repeats; a rate is exact to half of 1/PERIOD of all. Grain's own mix costs a loop over
all tasks at every element."""


def turns(rates: Sequence[float], period: int) -> Int[np.ndarray, "tasks"]:
    """How many of `period` turns each task gets: its share rounded so that all add up (largest remainder), at least one."""
    shares = np.asarray(rates, np.float64) / np.sum(rates) * (period - len(rates))
    counts = np.floor(shares).astype(np.int64)
    left = period - len(rates) - int(counts.sum())
    counts[np.argsort(counts - shares, kind="stable")[:left]] += 1
    return counts + 1


class Schedule(grain.transforms.DatasetSelectionMap):
    """Element i of a mixture -> (task, how often that task had its turn before).

    A task with n turns in a period has one at random within each n-th of it. So every stretch of the mixture has each task's
    share, give or take two, and no rhythm that a dealing to streams could fall in with.
    """

    def __init__(self, rates: Sequence[float], seed: int, period: int = PERIOD) -> None:
        self._counts = turns(rates, period)
        task = np.repeat(np.arange(len(rates), dtype=np.uint16), self._counts)
        turn = np.arange(period) - np.repeat(np.cumsum(self._counts) - self._counts, self._counts)
        # The raw bits of a generator are stable across NumPy versions, its distributions are not.
        jitter = (np.random.PCG64(seed).random_raw(period) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        order = np.argsort((turn + jitter) / self._counts[task], kind="stable")
        self._task, self._turn = task[order], turn[order].astype(np.int32)

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, index: int) -> tuple[int, int]:
        epoch, place = divmod(index, len(self._task))
        task = int(self._task[place])
        return task, epoch * int(self._counts[task]) + int(self._turn[place])
