"""A SentencePiece model: its tokens without TensorFlow, its fingerprint."""

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

import sentencepiece

from t0jax.batch import EOS_ID, PAD_ID
from t0jax.errors import InputError


class Vocabulary:
    """T5's use of a SentencePiece model: padding is 0, EOS is 1. InputError when the file is no such model."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.is_file():
            raise InputError(f"There is no vocabulary at {self.path}: give the path of a SentencePiece model (spiece.model).")
        self._model = self.path.read_bytes()
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=self._model)
        except (RuntimeError, OSError) as error:
            raise InputError(f"{self.path} is not a SentencePiece model: give the path of a spiece.model.") from error
        ids = self._processor.pad_id(), self._processor.eos_id()
        if ids != (PAD_ID, EOS_ID):
            raise InputError(
                f"{self.path} has padding at {ids[0]} and EOS at {ids[1]}; T5 needs {PAD_ID} and {EOS_ID}: "
                "train it with pad_id=0, eos_id=1, unk_id=2, bos_id=-1."
            )

    @property
    def size(self) -> int:
        """How many pieces there are: ids lie below it."""
        return self._processor.vocab_size()

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of the model file."""
        return hashlib.sha256(self._model).hexdigest()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, without EOS."""
        return self._processor.encode(list(texts), num_threads=1)

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids, up to the first EOS; ids outside the vocabulary are unknown pieces."""
        end = tokens.index(EOS_ID) if EOS_ID in tokens else len(tokens)
        unknown = self._processor.unk_id()
        return self._processor.decode([int(token) if token < self.size else unknown for token in tokens[:end]])
