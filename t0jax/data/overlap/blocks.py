"""A split's rows as hashes, a block of rows at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt64

from t0jax.data.overlap.grams import hashed
from t0jax.data.row_texts import row_texts
from t0jax.data.sources.split import SplitRows
from t0jax.errors import InputError
from t0jax.prompts.render import Prompted

SHORTEST = 8
"""Rows of fewer words are not compared as a whole: GPT-3's smallest n. That both say `yes` is no overlap."""
_CHARACTERS = 1 << 17  # of a block: its arrays stay in a core's cache


@dataclass(frozen=True)
class Block:
    """Some rows of a split, one after the other."""

    start: int
    """The number of the first row."""
    size: int
    runs: UInt64[np.ndarray, "runs"]
    """A hash of each run of words in the rows' texts."""
    run_rows: Int[np.ndarray, "runs"]
    """The row of each run, ascending."""
    rows: UInt64[np.ndarray, "rows"]
    """A hash of all that a row says, whatever its fields are called; of rows that say enough to be compared."""
    row_rows: Int[np.ndarray, "rows"]
    """Their numbers, ascending."""


def blocks(split: SplitRows) -> Iterator[Block]:
    """All rows of a split. InputError for a source of examples that are prompted already: wordings repeat in all of them."""
    texts: list[str] = []
    owners: list[int] = []
    start = number = length = 0
    for number, row in enumerate(split.read(), start=1):
        if isinstance(row, Prompted):
            raise InputError(f"{split.origin} has examples that are prompted: compare the datasets' own rows.")
        for text in row_texts(row):
            texts.append(text)
            owners.append(number - 1)
            length += len(text)
        if length >= _CHARACTERS:
            yield _block(start, number, texts, owners)
            texts, owners, start, length = [], [], number, 0
    if number > start:
        yield _block(start, number, texts, owners)


def _block(start: int, end: int, texts: list[str], owners: list[int]) -> Block:
    found, owner = hashed(texts), np.asarray(owners, np.int64)
    says = found.words > 1  # one word is a label, an identifier, or an option that says little without its question
    rows, begin = np.unique(owner[says], return_index=True)
    enough = np.add.reduceat(found.words[says], begin) >= SHORTEST
    whole = np.add.reduceat(found.whole[says], begin)
    return Block(start, end - start, found.runs, owner[found.text], whole[enough], rows[enough])
