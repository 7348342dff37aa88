"""The control for leaks: can a held-out label be read off single words? It should stay at the majority baseline."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from t0jax.demo.reading import Row
from t0jax.demo.suite import DemoDataset

_UNREAD = ("idx", "ind", "story_id", "source_id", "span1_index", "span2_index", "ctx", "split", "split_type")
"""Numbers of rows, what is said twice, and where words lie."""
_STEPS = 300
_RATE = 0.5
_DECAY = 1e-4


def bag_of_words(dataset: DemoDataset, scored: Sequence[Row], *, seed: int, fit_rows: int = 2000) -> float:
    """Accuracy on the scored rows of a logistic regression over (field, word), fitted on other rows of the same dataset."""
    fitted = list(dataset.rows("bag_of_words", fit_rows, seed))
    index: dict[str, int] = {}
    for row in fitted:
        for word in field_words(row):
            index.setdefault(word, len(index))
    seen, asked = _matrix(fitted, index), _matrix(scored, index)
    labels, truth = (np.array([label_of(row) for row in rows]) for rows in (fitted, scored))
    weights = _fit(seen, labels)
    return float(((asked @ weights).argmax(1) == truth).mean())


def label_of(row: Row) -> int:
    """The index of the right choice, whichever field holds it, from 0."""
    for field, start in (("answer_right_ending", 1), ("answer", 1), ("label", 0)):
        if field in row:
            return int(row[field]) - start
    raise KeyError(f"none of {', '.join(row)} is a label")


def field_words(row: Row) -> set[str]:
    """`field=word` of every text in the row but its label; the items of a list are fields of their own."""
    found = set()
    for field, value in row.items():
        if field in (*_UNREAD, "answer_right_ending", "answer", "label"):
            continue
        for place, text in enumerate(value if isinstance(value, list) else [value]):
            found |= {f"{field}{place}={word}" for word in re.findall(r"[a-z_]+", str(text).lower())}
    return found


def _matrix(rows: Sequence[Row], index: Mapping[str, int]) -> Float[np.ndarray, "N words"]:
    """1 where a row has a word; the last column is 1 throughout."""
    matrix = np.zeros((len(rows), len(index) + 1), np.float32)
    matrix[:, -1] = 1
    for line, row in zip(matrix, rows, strict=True):
        line[[index[word] for word in field_words(row) if word in index]] = 1
    return matrix


def _fit(seen: Float[np.ndarray, "N words"], labels: Int[np.ndarray, "N"]) -> Float[np.ndarray, "words classes"]:
    """Plain gradient descent on the cross-entropy, a little decayed."""
    truth: Any = np.eye(labels.max() + 1, dtype=np.float32)[labels]
    weights = np.zeros((seen.shape[1], truth.shape[1]), np.float32)
    for _ in range(_STEPS):
        scores = seen @ weights
        odds = np.exp(scores - scores.max(1, keepdims=True))
        error = odds / odds.sum(1, keepdims=True) - truth
        weights -= _RATE * (seen.T @ error / len(seen) + _DECAY * weights)
    return weights
