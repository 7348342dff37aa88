"""Training rows compared with held-out rows a second and core, ours beside Python's sets of word tuples: one JSON line.

Both find the held-out rows that share a run of 13 words with a training row, in made-up rows in memory, and find the same ones.
The time is the processor's, the least of the repetitions.
"""

import argparse
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from t0jax.data.overlap.blocks import blocks
from t0jax.data.overlap.held import index
from t0jax.data.row_texts import row_texts
from t0jax.data.synthetic import synthetic_rows

WORD = re.compile(r"[^\W_]+")
GRAM = 13


@dataclass(frozen=True)
class InMemory:
    rows: list[dict[str, Any]] = field(repr=False)
    origin: str = "memory"
    fingerprint: str = ""

    @property
    def num_rows(self) -> int:
        return len(self.rows)

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[Mapping[str, Any]]:
        return iter(self.rows[start:stop])


def seconds(work: Callable[[], set[int]], repeats: int) -> tuple[float, set[int]]:
    """The least processor time of the repetitions, and the result."""
    times, result = [], set[int]()
    for _ in range(repeats):
        start = time.process_time()
        result = work()
        times.append(time.process_time() - start)
    return min(times), result


def ours(train: InMemory, held: InMemory) -> set[int]:
    held_runs, _ = index([held])
    found: set[int] = set()
    for block in blocks(train):
        _, places = held_runs.find(block.runs)
        for place in np.unique(places):
            found.update(held_runs.owners[held_runs.bounds[place] : held_runs.bounds[place + 1]].tolist())
    return found


def runs(row: Mapping[str, Any]) -> set[tuple[str, ...]]:
    found = set()
    for text in row_texts(row):
        words = tuple(WORD.findall(text.lower()))
        found |= {words[n : n + GRAM] for n in range(len(words) - GRAM + 1)}
    return found


def sets(train: InMemory, held: InMemory) -> set[int]:
    owners: dict[tuple[str, ...], list[int]] = {}
    for number, row in enumerate(held.rows):
        for run in runs(row):
            owners.setdefault(run, []).append(number)
    return {number for row in train.rows for run in runs(row) & owners.keys() for number in owners[run]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    train = InMemory(list(synthetic_rows("duorc", "SelfRC", options.rows, oddities=0)))
    held = InMemory(list(synthetic_rows("anli", None, 1000, 1, oddities=0)) + train.rows[:: options.rows // 50])
    (fast, found), (slow, expected) = (seconds(lambda work=work: work(train, held), options.repeats) for work in (ours, sets))
    assert found == expected and len(found) >= 40, f"the two disagree: {len(found)}, {len(expected)}"
    megabytes = sum(len(text) for row in train.rows for text in row_texts(row)) / 1e6
    result = {
        "rows": options.rows,
        "megabytes": round(megabytes, 1),
        "ours_rows_per_s": round(options.rows / fast),
        "ours_megabytes_per_s": round(megabytes / fast, 1),
        "sets_rows_per_s": round(options.rows / slow),
        "ratio": round(slow / fast, 1),
    }
    print(json.dumps({"benchmark": "overlap", **result}))


if __name__ == "__main__":
    main()
