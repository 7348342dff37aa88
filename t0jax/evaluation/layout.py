"""How inputs and their choices lie in rows: few shapes, little padding, and no row longer than pays."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Protocol, TypeVar

STEP = 8
"""Lengths and widths are multiples of this."""
SHORTEST = 64
"""Inputs are parted by whether they fit this, its double, its quadruple, ..."""
WORTH = 8
"""A further shape, which has to be compiled, is worth this many batches."""
BESIDE = 600
"""A token costs as much again for every so many positions of its row: attention reads them all. Measured for T5 small: 256
positions a row score ANLI's rows in 5.3 s, 368 in 5.8 s, 496 in 7.0 s, of which padding explains little."""
SAMPLE, TRIED = 1000, 32
"""Inputs on which row lengths are tried, and how many lengths."""


class Sized(Protocol):
    """What is packed: an input with its choices."""

    @property
    def length(self) -> int:
        """Encoder positions."""
        ...

    @property
    def width(self) -> int:
        """Decoder positions."""
        ...


Item = TypeVar("Item", bound=Sized)


def round_up(count: int, step: int = STEP) -> int:
    """The next multiple of `step`."""
    return -(-count // step) * step


def by_length(items: Sequence[Item], tokens: int) -> Iterator[list[Item]]:
    """Items of like lengths, so that the longest do not set the rows of all; in groups that are worth a shape."""
    pending: list[Item] = []
    for _, group in groupby(sorted(items, key=_class), key=_class):
        pending += group
        if sum(item.length for item in pending) >= WORTH * tokens:
            yield pending
            pending = []
    if pending:
        yield pending


def _class(item: Sized) -> int:
    return ((max(item.length, 1) - 1) // SHORTEST).bit_length()


def row_length(items: Sequence[Item], limit: int) -> int:
    """The positions of a row that take least: short rows are left unfilled, in long ones attention reads what it need not."""
    longest, mean = max(item.length for item in items), sum(item.length for item in items) // len(items)
    sample = items[:: -(-len(items) // SAMPLE)]
    most = max(longest, 4 * mean)
    tried = {min(round_up(longest + place * (most - longest) // TRIED), max(limit, longest)) for place in range(TRIED + 1)}
    return min(sorted(tried), key=lambda length: len(pack(sample, length)) * length * (1 + length / BESIDE))


def batch_rows(rows: int, most: int, multiple_of: int) -> int:
    """Rows of a batch: at most `most`, or a quarter fewer where the last batch is fuller then; a multiple of `multiple_of`."""
    most = min(most, rows)
    sizes = range(round_up(max(1, 3 * most // 4), multiple_of), max(most, multiple_of) + 1, multiple_of)
    return min(reversed(sizes), key=lambda size: round_up(rows, size), default=multiple_of)


def pack(items: Sequence[Item], length: int, widest: int | None = None) -> list[list[Item]]:
    """Rows of at most `length` encoder and `widest` decoder positions: the longest item first, each where it fits best."""
    rows: list[list[Item]] = []
    room: list[int] = []  # of each row in the decoder
    with_space: list[list[int]] = [[] for _ in range(length + 1)]  # the rows that have so much left in the encoder
    spaces = 0  # a bit for each of these lists that is not empty
    for item in sorted(items, key=lambda item: -item.length):
        space, found = item.length, None
        while found is None and (rest := spaces >> space):
            space += (rest & -rest).bit_length() - 1
            if widest is None or room[with_space[space][-1]] >= item.width:
                found = with_space[space].pop()
                spaces ^= 0 if with_space[space] else 1 << space
            else:
                space += 1
        if found is None:
            found, space = len(rows), length
            rows.append([])
            room.append(widest or 0)
        rows[found].append(item)
        room[found] -= item.width
        with_space[space - item.length].append(found)
        spaces |= 1 << (space - item.length)
    return rows


def widths(needs: Sequence[int]) -> list[int]:
    """A decoder width for every batch, given what each needs in ascending order: few different ones, little padding."""
    rounded = [round_up(need) for need in needs]
    distinct = sorted(set(rounded))
    before = [sum(width < limit for width in rounded) for limit in distinct] + [len(rounded)]
    price = WORTH * distinct[-1]
    best: list[tuple[int, list[int]]] = [(0, [])]  # the positions of all batches up to a width, and the widths taken
    for end, width in enumerate(distinct, start=1):
        costs = [best[start][0] + price + width * (before[end] - before[start]) for start in range(end)]
        start = min(range(end), key=costs.__getitem__)
        best.append((costs[start], [*best[start][1], width]))
    taken = best[-1][1]
    return [next(width for width in taken if width >= need) for need in rounded]
