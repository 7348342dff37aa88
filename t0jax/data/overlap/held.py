"""The held-out rows of all datasets in memory, or on disk for many processes: which say a given run of words."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, UInt64

from t0jax.data.overlap.blocks import blocks
from t0jax.data.sources.split import SplitRows

_SLOTS_A_HASH = 8


@dataclass(frozen=True)
class Index:
    """Hashes of held-out rows, and whose they are. A row's number counts through all splits, one after the other."""

    hashes: UInt64[np.ndarray, "hashes"]
    """Distinct, ascending."""
    owners: Int[np.ndarray, "owners"]
    """The rows of each hash, in the order of the hashes."""
    bounds: Int[np.ndarray, "hashes+1"]
    """Where each hash's owners begin and end."""
    splits: UInt64[np.ndarray, "hashes words"]
    """The splits of each hash, a bit for each split, 64 in a word."""
    slots: Bool[np.ndarray, "slots"]
    """Which beginnings of hashes there are: most runs of words are in no held-out row, and this says so in one step."""

    def find(self, hashes: UInt64[np.ndarray, "n"]) -> tuple[Int[np.ndarray, "hits"], Int[np.ndarray, "hits"]]:
        """Which of these hashes are here, and the place of each in `hashes`."""
        likely = np.flatnonzero(self.slots[_slot(hashes, len(self.slots))])
        places = np.searchsorted(self.hashes, hashes[likely])
        places[places == len(self.hashes)] = 0
        is_here = self.hashes[places] == hashes[likely] if len(self.hashes) else np.zeros(len(likely), np.bool_)
        return likely[is_here], places[is_here]

    def save(self, folder: Path) -> None:
        """One file for each array."""
        folder.mkdir()
        for field in dataclasses.fields(self):
            np.save(folder / f"{field.name}.npy", getattr(self, field.name))


def load(folder: Path) -> Index:
    """An index that was saved; its arrays stay on disk and are shared by all who read them."""
    return Index(**{field.name: np.load(folder / f"{field.name}.npy", mmap_mode="r") for field in dataclasses.fields(Index)})


def index(splits: Sequence[SplitRows]) -> tuple[Index, Index]:
    """The runs of words in all rows of some splits, and the rows as a whole."""
    runs: list[_Part] = []
    rows: list[_Part] = []
    first = 0
    for number, split in enumerate(splits):
        for block in blocks(split):
            runs.append((block.runs, block.run_rows + first, number))
            rows.append((block.rows, block.row_rows + first, number))
        first += split.num_rows
    return _index(runs, len(splits)), _index(rows, len(splits))


_Part = tuple[UInt64[np.ndarray, "n"], Int[np.ndarray, "n"], int]  # hashes, their rows, the number of their split


def _index(parts: Sequence[_Part], splits: int) -> Index:
    hashes = np.concatenate([np.zeros(0, np.uint64), *(part[0] for part in parts)])
    owners = np.concatenate([np.zeros(0, np.int64), *(part[1] for part in parts)])
    numbers = np.concatenate([np.zeros(0, np.int64), *(np.full(len(part[0]), part[2]) for part in parts)])
    distinct, which, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    masks = np.zeros((len(distinct), max(1, -(-splits // 64))), np.uint64)
    np.bitwise_or.at(masks, (which, numbers // 64), np.uint64(1) << (numbers % 64).astype(np.uint64))
    slots = np.zeros(1 << max(8, (len(distinct) * _SLOTS_A_HASH).bit_length()), np.bool_)
    slots[_slot(distinct, len(slots))] = True
    bounds = np.concatenate([[0], np.cumsum(counts)])
    return Index(distinct, owners[np.argsort(which, kind="stable")], bounds, masks, slots)


def _slot(hashes: UInt64[np.ndarray, "n"], slots: int) -> Int[np.ndarray, "n"]:
    return (hashes >> np.uint64(65 - slots.bit_length())).astype(np.int64)
