"""The control for leaks: can a held-out label be read off single words? It should stay at the majority baseline."""

import itertools
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


def bag_of_words(
    dataset: DemoDataset, scored: Sequence[Row], *, seed: int, with_overlap: bool = False, fit_rows: int = 1500
) -> float:
    """Accuracy on the scored rows of a logistic regression over (field, word), fitted on other rows of the same dataset.

    `with_overlap` lets it also see how many words each two fields share.
    """
    features = field_overlaps if with_overlap else field_words
    fitted = list(dataset.rows("bag_of_words", fit_rows, seed))
    index: dict[str, int] = {}
    found = [[features(row) for row in rows] for rows in (fitted, scored)]
    for words in found[0]:
        for word in sorted(words):
            index.setdefault(word, len(index))
    seen, asked = (_matrix(rows, index) for rows in found)
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


def field_overlaps(row: Row) -> set[str]:
    """`field_words`, and `field+field=n` where two fields share n words."""
    found = field_words(row)
    by_field: dict[str, set[str]] = {}
    for item in found:
        field, _, word = item.partition("=")
        by_field.setdefault(field, set()).add(word)
    pairs = itertools.combinations(sorted(by_field), 2)
    return found | {f"{one}+{two}={len(by_field[one] & by_field[two])}" for one, two in pairs}


def _matrix(rows: Sequence[set[str]], index: Mapping[str, int]) -> Float[np.ndarray, "N words"]:
    """1 where a row has a feature; the last column is 1 throughout."""
    matrix = np.zeros((len(rows), len(index) + 1), np.float32)
    matrix[:, -1] = 1
    for line, words in zip(matrix, rows, strict=True):
        line[[index[word] for word in words if word in index]] = 1
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
