"""A tiny vocabulary and sentences of its words."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece

WORDS = (
    "the",
    "man",
    "dog",
    "cat",
    "ran",
    "sat",
    "ate",
    "slept",
    "because",
    "so",
    "then",
    "happy",
    "sad",
    "great",
    "awful",
    "film",
)


def _sentence(random: np.random.Generator, length: int) -> str:
    return " ".join(random.choice(WORDS, length)).capitalize() + "."


def _train(path: Path, size: int) -> Path:
    random = np.random.default_rng(1)
    ids = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
    lines = iter([_sentence(random, 12) for _ in range(500)])
    with open(path, "wb") as model:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=lines, model_writer=model, vocab_size=size, hard_vocab_limit=False, minloglevel=2, **ids
        )
    return path


@pytest.fixture(scope="session")
def sentence() -> Callable[[np.random.Generator, int], str]:
    """A sentence of so many words."""
    return _sentence


@pytest.fixture(scope="session")
def train_vocabulary() -> Callable[[Path, int], Path]:
    """Train a SentencePiece model of about this size, with T5's special ids."""
    return _train


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SentencePiece model with T5's special ids."""
    return _train(tmp_path_factory.mktemp("vocabulary") / "words.model", 120)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A small Hugging Face hub on this machine, `hub_server.Hub`."""
    from hub_server import Hub, running

    with running(Hub(), tmp_path, monkeypatch) as server:
        yield server


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """A user's lock, which is not there yet."""
    return tmp_path / "locks/my.lock"
