"""Texts as 64-bit hashes of their runs of words, a block of many texts at a time.

Words are runs of letters and digits in lower case: neither signs nor the blanks around them matter, as in GPT-3's analysis of
overlap, and `it's` is `it 's`. A run of GRAM words has a hash of its own wherever it stands, the same in every process.
"""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int, UInt64

GRAM = 13
"""Words in a run: GPT-3's and OPT-IML's."""
_BASES = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)  # odd, so that they have inverses modulo 2**64
_NO_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Hashed:
    """A block of texts."""

    words: Int[np.ndarray, "texts"]
    """Words of each text."""
    whole: UInt64[np.ndarray, "texts"]
    """A hash of each text's words."""
    runs: UInt64[np.ndarray, "runs"]
    """A hash of each run of GRAM words within a text."""
    text: Int[np.ndarray, "runs"]
    """The text that each run stands in; ascending."""


def hashed(texts: Sequence[str]) -> Hashed:
    """Hash a block of texts."""
    words, text = _words(texts)
    counts = np.bincount(text, minlength=len(texts))
    ends = np.cumsum(counts)
    sums, inverse = _sums(words, 1)
    whole = _mixed((sums[ends] - sums[ends - counts]) * inverse[ends - counts] + counts.astype(np.uint64))
    begin = np.flatnonzero(text[: len(text) - GRAM + 1] == text[GRAM - 1 :]) if len(text) >= GRAM else np.zeros(0, np.int64)
    runs = _mixed((sums[begin + GRAM] - sums[begin]) * inverse[begin])
    return Hashed(counts, whole, runs, text[begin])


def _words(texts: Sequence[str]) -> tuple[UInt64[np.ndarray, "words"], Int[np.ndarray, "words"]]:
    """A hash of each word, and the text in which it stands."""
    encoded = [_plain(text).encode() for text in texts]
    starts = np.cumsum([0, *(len(text) + 1 for text in encoded)])[:-1]
    block = np.frombuffer(b" ".join([*encoded, b""]), np.uint8)
    is_word = np.concatenate([[False], _WORD_BYTES[block], [False]])
    edges = np.flatnonzero(is_word[1:] != is_word[:-1])
    begin, end = edges[::2], edges[1::2]
    sums, inverse = _sums(block.astype(np.uint64), 0)
    return _mixed((sums[end] - sums[begin]) * inverse[begin]), np.searchsorted(starts, begin, side="right") - 1


def _plain(text: str) -> str:
    """Lower case; where not all is ASCII, with blanks for what stands between words, so that their bytes tell them apart."""
    lower = text.lower()
    return lower if lower.isascii() else _NO_WORD.sub(" ", lower)


def _word_bytes() -> Bool[np.ndarray, "256"]:
    table = np.zeros(256, np.bool_)
    table[128:] = True
    table[[*range(ord("a"), ord("z") + 1), *range(ord("0"), ord("9") + 1)]] = True
    return table


_WORD_BYTES = _word_bytes()


def _sums(values: UInt64[np.ndarray, "n"], base: int) -> tuple[UInt64[np.ndarray, "n+1"], UInt64[np.ndarray, "n+1"]]:
    """Sums of value * base**place from the beginning, and base**-place: their product tells runs apart wherever they stand."""
    size = 1 << len(values).bit_length()
    powers, inverse = _powers(base, size)
    sums = np.zeros(len(values) + 1, np.uint64)
    np.cumsum(values * powers[: len(values)], out=sums[1:])
    return sums, inverse


@functools.lru_cache(maxsize=8)
def _powers(base: int, size: int) -> tuple[UInt64[np.ndarray, "size"], UInt64[np.ndarray, "size"]]:
    """Powers of a base and of its inverse, modulo 2**64."""
    both = []
    for number in (_BASES[base], pow(_BASES[base], -1, 1 << 64)):
        powers = np.full(size, number, np.uint64)
        powers[0] = 1
        both.append(np.cumprod(powers))
    return both[0], both[1]


def _mixed(values: UInt64[np.ndarray, "n"]) -> UInt64[np.ndarray, "n"]:
    """Every bit depends on every bit: the end of SplitMix64, by Steele, Lea and Flood (2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
