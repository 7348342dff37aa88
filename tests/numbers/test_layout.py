"""Inputs lie in rows without loss, nearly full, in few shapes; long ones do not set the rows of all."""

from dataclasses import dataclass

import numpy as np

from t0jax.evaluation import layout


@dataclass(frozen=True)
class Item:
    number: int
    length: int
    width: int


def items(count: int, longest: int = 200, seed: int = 0) -> list[Item]:
    random = np.random.default_rng(seed)
    return [Item(n, int(random.integers(0, longest)), int(random.integers(1, 40))) for n in range(count)]


def test_every_item_lies_in_one_row_within_both_limits() -> None:
    rows = layout.pack(items(500), 256, 96)
    assert sorted(item.number for row in rows for item in row) == list(range(500))
    for row in rows:
        assert sum(item.length for item in row) <= 256
        assert sum(item.width for item in row) <= 96


def test_rows_are_nearly_full() -> None:
    given = items(2000)
    rows = layout.pack(given, 256)
    assert sum(item.length for item in given) / (len(rows) * 256) > 0.98


def test_a_few_long_inputs_do_not_set_the_rows_of_all() -> None:
    short, long = items(2000, longest=60), [Item(2000 + n, 900, 4) for n in range(3)]
    first, last = layout.by_length([*short, *long], tokens=2048)
    assert (len(first), last) == (2000, long)
    assert layout.row_length(first, 1024) <= 256
    assert 900 <= layout.row_length(last, 1024) <= 904


def test_few_items_share_one_shape() -> None:
    assert len(list(layout.by_length([*items(20, longest=60), Item(20, 900, 4)], tokens=8192))) == 1


def test_a_row_length_keeps_the_limit_and_holds_the_longest() -> None:
    for limit in (200, 210, 1000):
        assert 199 <= layout.row_length([Item(0, 199, 1), *items(50)], limit) <= limit


def test_widths_hold_what_each_batch_needs_and_are_few() -> None:
    needs = sorted(np.random.default_rng(0).integers(1, 300, 500).tolist())
    found = layout.widths(needs)
    assert all(width >= need for width, need in zip(found, needs, strict=True))
    assert 2 <= len(set(found)) <= 12
    assert sum(found) < 1.2 * sum(needs)
    assert layout.widths([5, 9, 30]) == [32] * 3  # too few batches for another shape


def test_a_batch_has_the_rows_that_leave_its_last_one_fullest() -> None:
    assert layout.batch_rows(57, 8, 1) == 6  # 60 rows in all, where eight a batch are 64
    assert layout.batch_rows(64, 8, 1) == 8
    assert layout.batch_rows(1, 8, 1) == 1
    for rows, most, ways in ((57, 8, 4), (3, 1, 8), (1000, 100, 16), (5, 0, 1), (9, 12, 8), (9, 9, 8)):
        size = layout.batch_rows(rows, most, ways)
        assert size > 0 and size % ways == 0 and size <= max(most, ways)
