"""Held-out rows that training rows repeat are found, each with its training row; what is common to all language is not."""

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from t0jax.data.overlap.blocks import blocks
from t0jax.data.overlap.compare import Pair, Split, compare
from t0jax.data.overlap.grams import hashed
from t0jax.data.row_texts import row_texts
from t0jax.data.sources.local import open_local
from t0jax.errors import InputError
from t0jax.prompts.render import Prompted

Row = Mapping[str, Any]
WORDS = [f"word{number}" for number in range(40)]


@dataclass(frozen=True)
class Rows:
    """Rows in memory."""

    rows: tuple[Any, ...]
    origin: str = "memory"
    fingerprint: str = ""

    @property
    def num_rows(self) -> int:
        return len(self.rows)

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[Any]:
        return iter(self.rows[start:stop])


def compared(train: list[Row], held_out: list[Row]) -> Pair:
    (pair,) = compare([Split("train", "train", Rows(tuple(train)))], [Split("held", "validation", Rows(tuple(held_out)))])
    return pair


def words(count: int, start: int = 0) -> str:
    return " ".join(f"w{number}" for number in range(start, start + count))


def says(row: Any) -> "Says":
    """A row's runs of 13 words, and all that it says: by the definition, without hashes."""
    texts = [tuple(re.findall(r"[^\W_]+", text.lower())) for text in row_texts(row)]
    runs = {text[n : n + 13] for text in texts for n in range(len(text) - 12)}
    whole = tuple(sorted(text for text in texts if len(text) > 1))
    return runs, whole if sum(map(len, whole)) >= 8 else None


Says = tuple[set[tuple[str, ...]], tuple[tuple[str, ...], ...] | None]


def by_definition(train: list[Says], held_out: list[Says]) -> tuple[int, int, int]:
    """Exact and overlapping held-out rows, and training rows that overlap."""

    def met(rows: list[Says], others: list[Says]) -> tuple[int, int]:
        all_runs: set[tuple[str, ...]] = set().union(*(runs for runs, _ in others))
        all_rows = {whole for _, whole in others} - {None}
        exact = [whole in all_rows for _, whole in rows]
        return sum(exact), sum(one or not runs.isdisjoint(all_runs) for one, (runs, _) in zip(exact, rows, strict=True))

    return *met(held_out, train), met(train, held_out)[1]


def test_signs_case_and_blanks_do_not_matter() -> None:
    found = hashed(["It's 8 o'clock, Zoë!", "it 's 8 O clock   zoë", "“It’s” 8 o_clock — ZOË", "it s 8 o clock", ""])
    assert list(found.words) == [6, 6, 6, 5, 0]
    assert len(set(found.whole[:3])) == 1
    assert found.whole[3] != found.whole[0]


def test_hashes_are_runs_of_words_by_their_definition() -> None:
    draw = random.Random(0)
    texts = [" ".join(draw.choices(WORDS[:9], k=draw.choice((0, 3, 8, 12, 13, 14, 60)))) for _ in range(400)]
    split = [tuple(text.split()) for text in texts]
    expected = [(number, words[n : n + 13]) for number, words in enumerate(split) for n in range(len(words) - 12)]
    found = hashed(texts)
    assert [number for number, _ in expected] == list(found.text)
    of_run = dict(zip((run for _, run in expected), found.runs, strict=True))
    assert [of_run[run] for _, run in expected] == list(found.runs)
    assert len(set(of_run.values())) == len(of_run)


def test_a_row_that_is_a_training_row_under_other_names_is_exact() -> None:
    row = {"premise": words(10), "hypothesis": words(3, 50), "label": 1, "uid": "a1"}
    same = {"text2": f"{words(3, 50)}.", "text1": words(10).upper(), "idx": "z9", "gold": ["no"]}
    pair = compared([{"text1": "nothing"}, same], [row, {"premise": words(10, 90)}])
    assert (pair.exact, pair.overlapping, pair.train_overlapping, pair.share) == (1, 1, 1, 0.5)
    assert pair.examples == ((0, 1),)


@pytest.mark.parametrize(
    ("train", "held_out", "overlapping"),
    [
        ({"a": f"before {words(13)} after"}, {"b": f"other {words(13)} words"}, 1),
        ({"a": f"before {words(12)} after"}, {"b": f"other {words(12)} words"}, 0),
        ({"a": words(8)}, {"b": words(8), "c": "no"}, 1),
        ({"a": words(7)}, {"b": words(7)}, 0),
        ({"a": words(5), "b": words(3, 5)}, {"a": words(3, 5), "b": words(5)}, 1),
        ({"question": words(8), "c": "x y z"}, {"question": words(8), "c": "u v w"}, 0),
        ({"a": words(8)}, {"b": f"{words(8)} more"}, 0),
        ({"a": words(7), "b": words(6, 7)}, {"b": words(13)}, 0),
        ({"a": "yes", "b": "no"}, {"a": "yes", "b": "no"}, 0),
        ({"deep": {"list": [{"x": words(14)}]}}, {"b": words(14, 1)}, 1),
    ],
    ids=[
        "13 words",
        "12 words",
        "a row of 8",
        "a row of 7",
        "a row of two texts",
        "a question that many rows ask",
        "8 words of a longer text",
        "across two fields",
        "labels",
        "nested",
    ],
)
def test_an_overlap_is_13_words_or_a_whole_row_of_8(train: Row, held_out: Row, overlapping: int) -> None:
    assert compared([train], [held_out]).overlapping == overlapping


def test_every_pair_is_counted_by_the_definition_whatever_the_number_of_splits_and_blocks() -> None:
    draw = random.Random(1)

    def rows(count: int) -> list[Row]:
        return [
            {"a": " ".join(draw.choices(WORDS[:3], k=14)), "b": [" ".join(draw.choices(WORDS, k=200))]} for _ in range(count)
        ]

    train = [rows(300), rows(2)]  # of the first there are several blocks
    held_out = [rows(number % 7) for number in range(70)]  # more than the bits of a word; some are empty
    train_splits = [Split("train", str(n), Rows(tuple(one))) for n, one in enumerate(train)]
    pairs = compare(train_splits, [Split("held", str(n), Rows(tuple(one))) for n, one in enumerate(held_out)])
    assert len(list(blocks(Rows(tuple(train[0]))))) > 1
    found = [(pair.exact, pair.overlapping, pair.train_overlapping) for pair in pairs]
    said = [[[says(row) for row in split] for split in side] for side in (train, held_out)]
    assert found == [by_definition(one, other) for one in said[0] for other in said[1]]
    assert sum(pair.overlapping for pair in pairs) > 0
    for pair in pairs:
        for row, train_row in pair.examples:
            held, one = held_out[int(pair.held_out.split)][row], train[int(pair.train.split)][train_row]
            assert not says(held)[0].isdisjoint(says(one)[0])


def test_examples_that_are_prompted_are_refused() -> None:
    with pytest.raises(InputError, match="memory has examples that are prompted: compare the datasets' own rows"):
        compared([{"a": words(9)}], [Prompted("x", "y", None)])  # type: ignore[list-item]


@pytest.mark.parametrize(("subset", "overlapping"), [("rte", 33), ("copa", 0), ("wsc.fixed", 0)])
def test_real_rows_overlap_as_much_as_counted_without_hashes(shared_data: Path, subset: str, overlapping: int) -> None:
    train, held_out = (open_local(shared_data, "super_glue", subset, split) for split in ("train", "validation"))
    (pair,) = compare([Split("super_glue", "train", train)], [Split("super_glue", "validation", held_out)])
    assert (pair.exact, pair.overlapping, pair.train_overlapping) == by_definition(
        *([*map(says, one.read())] for one in (train, held_out))
    )
    assert pair.overlapping == overlapping
