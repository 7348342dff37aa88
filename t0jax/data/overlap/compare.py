"""Training splits against held-out splits: how many rows of each say the same, by pair."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt64

from t0jax.data.overlap.blocks import blocks
from t0jax.data.overlap.held import Index, index, load
from t0jax.data.processes import run_units
from t0jax.data.sources.split import SplitRows

INSPECT = 0.01
"""OPT-IML looks at a pair of datasets when more than this share of the held-out rows overlaps."""
EXAMPLES = 3
_NONE = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Split:
    """One split of a dataset and where its rows are."""

    dataset: str
    """`dataset` or `dataset/subset`."""
    split: str
    """The dataset's own name of it."""
    rows: SplitRows


@dataclass(frozen=True)
class Pair:
    """What a training split and a held-out split have in common."""

    train: Split
    held_out: Split
    exact: int
    """Held-out rows that are, in all that they say, a training row."""
    overlapping: int
    """Held-out rows that are one, or share a run of words with one."""
    train_overlapping: int
    """Training rows that share something with a held-out row."""
    examples: tuple[tuple[int, int], ...]
    """(held-out row, training row) of the first that overlap, exact ones first."""

    @property
    def share(self) -> float:
        """The share of the held-out rows that overlap."""
        return self.overlapping / max(1, self.held_out.rows.num_rows)


@dataclass(frozen=True)
class Unit:
    """One training split, and the folder of the index of so many held-out splits."""

    split: SplitRows
    folder: str
    splits: int

    @property
    def size(self) -> int:
        """Steps of progress: rows."""
        return self.split.num_rows


Hits = tuple[Int[np.ndarray, "hits"], Int[np.ndarray, "hits"]]
"""Places in an index, and the first training row that met each."""


@dataclass(frozen=True)
class Met:
    """What one training split met."""

    runs: Hits
    rows: Hits
    counts: tuple[int, ...]
    """Training rows that met something of each held-out split."""


def compare(train: Sequence[Split], held_out: Sequence[Split]) -> list[Pair]:
    """Every pair, in the order of the training splits. Training rows are read once, in as many processes as there are cores.

    Memory grows with the held-out rows alone: about 40 bytes for each of their words, shared by the processes.
    """
    runs, rows = index([split.rows for split in held_out])
    sizes = [split.rows.num_rows for split in held_out]
    with tempfile.TemporaryDirectory() as folder:
        runs.save(Path(folder) / "runs")
        rows.save(Path(folder) / "rows")
        met = run_units(_meet, [Unit(split.rows, folder, len(held_out)) for split in train], "overlap: training rows")
    pairs = []
    for split, one in zip(train, met, strict=True):
        exact, sharing = _first(rows, one.rows, sum(sizes)), _first(runs, one.runs, sum(sizes))
        end = 0
        for number, held in enumerate(held_out):
            here = slice(end, end := end + sizes[number])
            pairs.append(_pair(split, held, (exact[here], sharing[here]), one.counts[number]))
    return pairs


def _meet(unit: Unit, advance: Callable[[int], None]) -> Met:
    runs, whole = (load(Path(unit.folder) / name) for name in ("runs", "rows"))
    first_of_run, first_of_row = np.full(len(runs.hashes), _NONE), np.full(len(whole.hashes), _NONE)
    counts = np.zeros(unit.splits, np.int64)
    for block in blocks(unit.split):
        rows, splits = _look_up(runs, block.runs, block.run_rows, first_of_run)
        more_rows, more_splits = _look_up(whole, block.rows, block.row_rows, first_of_row)
        counts += _by_split(np.concatenate([rows, more_rows]), np.concatenate([splits, more_splits]), unit.splits)
        advance(block.size)
    return Met(_hits(first_of_run), _hits(first_of_row), tuple(map(int, counts)))


def _look_up(
    held: Index, hashes: UInt64[np.ndarray, "n"], rows: Int[np.ndarray, "n"], first: Int[np.ndarray, "hashes"]
) -> tuple[Int[np.ndarray, "hits"], UInt64[np.ndarray, "hits words"]]:
    """The training rows whose hashes are held out, and in which splits; `first` is brought up to date."""
    hits, places = held.find(hashes)
    np.minimum.at(first, places, rows[hits])
    return rows[hits], held.splits[places]


def _hits(first: Int[np.ndarray, "hashes"]) -> Hits:
    places = np.flatnonzero(first < _NONE)
    return places, first[places]


def _by_split(rows: Int[np.ndarray, "hits"], masks: UInt64[np.ndarray, "hits words"], splits: int) -> Int[np.ndarray, "splits"]:
    """How many different rows hit each split."""
    order = np.argsort(rows, kind="stable")
    _, begin = np.unique(rows[order], return_index=True)
    hit = np.bitwise_or.reduceat(masks[order], begin)
    numbers = np.arange(splits)
    return ((hit[:, numbers // 64] >> (numbers % 64).astype(np.uint64)) & np.uint64(1)).astype(np.int64).sum(axis=0)


def _first(index: Index, met: Hits, rows: int) -> Int[np.ndarray, "rows"]:
    """The first training row that each held-out row meets; _NONE for none."""
    places, numbers = met
    sizes = np.diff(index.bounds)[places]
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    owners = index.owners[np.repeat(index.bounds[places], sizes) + within]
    first = np.full(rows, _NONE)
    np.minimum.at(first, owners, np.repeat(numbers, sizes))
    return first


def _pair(train: Split, held: Split, first: tuple[Int[np.ndarray, "rows"], Int[np.ndarray, "rows"]], met: int) -> Pair:
    exact, sharing = first
    is_exact, is_met = exact < _NONE, np.minimum(exact, sharing) < _NONE
    shown = [*np.flatnonzero(is_exact), *np.flatnonzero(is_met & ~is_exact)][:EXAMPLES]
    return Pair(
        train=train,
        held_out=held,
        exact=int(is_exact.sum()),
        overlapping=int(is_met.sum()),
        train_overlapping=met,
        examples=tuple((int(row), int((exact if is_exact[row] else sharing)[row])) for row in shown),
    )
