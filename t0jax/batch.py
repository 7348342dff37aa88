"""The doorway between words and numbers: what a batch is. NumPy only."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

PAD_ID = 0
EOS_ID = 1

Batch = Mapping[str, np.ndarray]
"""int32 arrays under t5x's feature names: `encoder_*` are (B, S), `decoder_*` are (B, T). Segment ids count from 1; 0 is
padding. `decoder_loss_weights` is 1 where a target token counts, else 0."""

ENCODER_FEATURES = ("encoder_input_tokens", "encoder_segment_ids", "encoder_positions")
DECODER_FEATURES = (
    "decoder_input_tokens",
    "decoder_target_tokens",
    "decoder_loss_weights",
    "decoder_segment_ids",
    "decoder_positions",
)
FEATURES = ENCODER_FEATURES + DECODER_FEATURES


class Feed(Protocol):
    """An endless, resumable stream of batches: this process's rows of every global batch."""

    def __iter__(self) -> Iterator[Batch]: ...

    def __next__(self) -> Batch: ...

    def position(self) -> dict[str, Any]:
        """Where the stream stands, as JSON values: everything needed to go on with the next batch."""
        ...

    def seek(self, position: dict[str, Any]) -> None:
        """Go on from a `position`; an InputError when it belongs to other data."""
        ...


@dataclass(frozen=True)
class RankExample:
    """One prompted example whose answer is chosen among `choices` (token ids, EOS included; `inputs` has no EOS)."""

    task: str
    example: int
    inputs: np.ndarray
    choices: Sequence[np.ndarray]
    is_correct: Sequence[bool]


@dataclass(frozen=True)
class OpenExample:
    """One prompted example without choices: what is right is text. `inputs` are token ids without EOS."""

    task: str
    example: int
    inputs: np.ndarray
    targets: Sequence[str]


def decoder_inputs(targets: np.ndarray, segment_ids: np.ndarray) -> np.ndarray:
    """Targets (B, T) shifted right by one; the first token of every segment sees PAD, T5's start token."""
    shifted = np.zeros_like(targets)
    shifted[:, 1:] = targets[:, :-1] * (segment_ids[:, 1:] == segment_ids[:, :-1])
    return shifted


def synthetic_batch(
    *, batch_size: int, inputs_length: int, targets_length: int, vocab_size: int, segments: int = 1, seed: int = 0
) -> dict[str, np.ndarray]:
    """A packed batch of random tokens with `segments` segments a row and a padded tail, for tests and benchmarks."""
    random = np.random.default_rng(seed)

    def side(length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        tokens, segment_ids, positions = (np.zeros((batch_size, length), np.int32) for _ in range(3))
        for row in range(batch_size):
            ends = np.sort(random.choice(np.arange(1, length), size=segments, replace=False))
            start = 0
            for number, end in enumerate(ends, start=1):
                tokens[row, start:end] = random.integers(3, vocab_size, end - start)
                segment_ids[row, start:end] = number
                positions[row, start:end] = np.arange(end - start)
                start = end
        return tokens, segment_ids, positions

    encoder, decoder = side(inputs_length), side(targets_length)
    targets, target_segments, target_positions = decoder
    return {
        **dict(zip(ENCODER_FEATURES, encoder, strict=True)),
        "decoder_input_tokens": decoder_inputs(targets, target_segments),
        "decoder_target_tokens": targets,
        "decoder_loss_weights": (target_segments > 0).astype(np.int32),
        "decoder_segment_ids": target_segments,
        "decoder_positions": target_positions,
    }
