"""Which example of which task comes when in a mixture: by rate, shuffled, and known for every index without a history."""

import logging
import sys
import zlib
from collections.abc import Sequence

import grain
import numpy as np
from jaxtyping import Int

from t0jax.config import DataConfig
from t0jax.data.reader import CachedSplit
from t0jax.errors import InputError

PERIOD = 1 << 20
"""Turns after which the schedule repeats; a rate is exact to half of 1/PERIOD of all. Grain's own mix costs a loop over
all tasks at every element."""

_IN_MEMORY = 1 << 16
"""Up to this size an epoch's order is kept. Grain's index_shuffle keeps none, but of n examples takes 65,536 / n rounds."""


def _random_bits(number: int, *seed: int) -> np.ndarray:
    """Random uint64: a bit generator's raw output, which NumPy keeps stable across versions, unlike its distributions."""
    return np.random.PCG64(seed).random_raw(number)


def turns(rates: Sequence[float], period: int) -> Int[np.ndarray, "tasks"]:
    """How many of `period` turns each task gets: its share rounded so that all add up (largest remainder), at least one."""
    shares = np.asarray(rates, np.float64) / np.sum(rates) * (period - len(rates))
    counts = np.floor(shares).astype(np.int64)
    left = period - len(rates) - int(counts.sum())
    counts[np.argsort(counts - shares, kind="stable")[:left]] += 1
    return counts + 1


class _Deck:
    """The examples of one task by turn: all of them once in every epoch, each epoch in another order."""

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._seed = size, seed
        self._orders: dict[int, np.ndarray] = {}

    def __getitem__(self, turn: int) -> int:
        epoch, place = divmod(turn, self._size)
        if self._size > _IN_MEMORY:
            seed = (self._seed + epoch) % 2**32
            return grain.experimental.index_shuffle(place, max_index=self._size - 1, seed=seed, rounds=4)
        if epoch not in self._orders:
            if len(self._orders) > 1:  # streams cross into a new epoch one after the other
                self._orders.clear()
            self._orders[epoch] = np.argsort(_random_bits(self._size, self._seed, epoch), kind="stable")
        return int(self._orders[epoch][place])


class Schedule(grain.transforms.DatasetSelectionMap):
    """Element i of a mixture -> (task, example of the task).

    A task with n turns in a period has one at random within each n-th of it. So every stretch of the mixture has each task's
    share, give or take two, and no rhythm that a dealing to streams could fall in with.
    """

    def __init__(self, rates: Sequence[float], sizes: Sequence[int], seeds: Sequence[int], period: int = PERIOD) -> None:
        """Of tasks with these rates and numbers of examples; a task's seed decides its order."""
        self._counts = turns(rates, period)
        task = np.repeat(np.arange(len(rates), dtype=np.uint16), self._counts)
        turn = np.arange(period) - np.repeat(np.cumsum(self._counts) - self._counts, self._counts)
        jitter = (_random_bits(period, *seeds) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        order = np.argsort((turn + jitter) / self._counts[task], kind="stable")
        self._task, self._turn = task[order], turn[order].astype(np.int32)
        self._decks = [_Deck(size, seed) for size, seed in zip(sizes, seeds, strict=True)]

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, index: int) -> tuple[int, int]:
        round_, place = divmod(index, len(self._task))
        task = int(self._task[place])
        return task, self._decks[task][round_ * int(self._counts[task]) + int(self._turn[place])]


def next_of_stream(element: int, stream: int, num_streams: int) -> int:
    """The element of a mixture that a stream has after this one of its own; its first is the element `stream`.

    Each `num_streams` elements in a row are dealt to the streams one by one. The streams change places with every period:
    one that had more turns of some task in it would have them in all periods.
    """
    start = (element // num_streams + 1) * num_streams
    return start + (stream + start // PERIOD) % num_streams


def open_splits(data: DataConfig, tasks_with_rates: Sequence[tuple[str, float]]) -> list[tuple[CachedSplit, float]]:
    """The splits in data.cache_dir that hold examples, with their rates."""
    if data.cache_dir is None:
        raise InputError("DataConfig.cache_dir is None; it must be the folder that `t0jax cache` wrote.")
    for task, rate in tasks_with_rates:
        if not rate > 0:
            raise InputError(f"Task {task!r} has the rate {rate}; it must be above 0, or the task left out of the mixture.")
    splits = [(CachedSplit(data.cache_dir, task, data.split), rate) for task, rate in tasks_with_rates]
    if empty := [split.task for split, _ in splits if not len(split)]:
        logging.getLogger(__name__).warning("%d tasks have no %s examples: %s", len(empty), data.split, ", ".join(empty))
    if len(empty) == len(splits):
        raise InputError(f"No task of {data.mixture_or_task_name!r} has an example in the cached split {data.split!r}.")
    return [(split, rate) for split, rate in splits if len(split)]


def mix(data: DataConfig, splits: Sequence[tuple[CachedSplit, float]]) -> grain.MapDataset:
    """The endless mixture of all examples, by number."""
    sizes = [min(len(split), data.num_examples or len(split)) for split, _ in splits]
    seeds = [zlib.crc32(f"{data.shuffle_seed}/{split.task}".encode()) for split, _ in splits]  # far apart: epochs count on
    sources = [grain.MapDataset.source(split) for split, _ in splits]
    return grain.MapDataset.select_from_datasets(sources, Schedule([rate for _, rate in splits], sizes, seeds))
