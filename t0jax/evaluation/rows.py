"""Examples packed for scoring: each distinct input once in an encoder row, all its choices in the decoder row beside it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int

from t0jax.batch import PAD_ID, RankExample, decoder_inputs
from t0jax.errors import InputError
from t0jax.evaluation.layout import batch_rows, by_length, pack, round_up, row_length, widths

Owner = tuple[int, int]
"""Number of the example in the list that is scored, and of its choice."""


@dataclass
class Source:
    """A distinct input and the distinct choices that are to be scored after it."""

    inputs: Int[np.ndarray, "S"]
    choices: list[Int[np.ndarray, "T"]] = field(default_factory=list)
    owners: list[list[Owner]] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Encoder positions."""
        return len(self.inputs)

    @property
    def width(self) -> int:
        """Decoder positions of all choices."""
        return sum(len(choice) for choice in self.choices)

    def add(self, choice: Int[np.ndarray, "T"], owners: list[Owner]) -> None:
        """Score one more choice."""
        self.choices.append(choice)
        self.owners.append(owners)


@dataclass(frozen=True)
class PackedRows:
    """One batch for the scorer, and whose log-probability each decoder segment is."""

    batch: Mapping[str, np.ndarray]
    owners: list[list[Owner]]
    """Of every decoder segment, row by row."""

    @property
    def scores(self) -> int:
        """How many choices these are; equal ones share a segment."""
        return sum(map(len, self.owners))

    def sums(self, logp: Float[np.ndarray, "B T"]) -> Float[np.ndarray, "segments"]:
        """The tokens' values summed over each segment, row by row, in float64."""
        segments = self.batch["decoder_segment_ids"]
        most = int(segments.max(initial=0)) + 1
        keys = segments + most * np.arange(len(segments))[:, None]
        sums = np.bincount(keys.ravel(), weights=logp.ravel(), minlength=most * len(segments)).reshape(-1, most)
        return sums[:, 1:][np.arange(1, most)[None] <= segments.max(1)[:, None]]


def distinct_sources(examples: Sequence[RankExample], lengths: Mapping[str, int]) -> list[Source]:
    """Inputs and choices without repetition, cut to `inputs` and `targets` tokens as in training; an empty input is one PAD."""
    answers: dict[bytes, dict[bytes, list[Owner]]] = {}
    for number, example in enumerate(examples):
        _check_choices(example)
        inputs = np.asarray(example.inputs[: lengths["inputs"]], np.int32)
        of_input = answers.setdefault(inputs.tobytes() or np.int32(PAD_ID).tobytes(), {})
        for choice, tokens in enumerate(example.choices):
            cut = np.asarray(tokens[: lengths["targets"]], np.int32)
            of_input.setdefault(cut.tobytes(), []).append((number, choice))
    sources = []
    for input_bytes, of_input in answers.items():
        source = Source(np.frombuffer(input_bytes, np.int32))
        for choice_bytes, owners in of_input.items():
            source.add(np.frombuffer(choice_bytes, np.int32), owners)
        sources.append(source)
    return sources


def _check_choices(example: RankExample) -> None:
    """An InputError where nothing can be ranked: a choice of no tokens, not even EOS, would always be the likeliest."""
    lengths = [len(choice) for choice in example.choices]
    if not lengths or min(lengths) == 0:
        what = f"choice {lengths.index(0)} has no tokens, not even the end of a text" if lengths else "it has no choices"
        raise InputError(
            f"Example {example.example} of {example.task} cannot be ranked, {what}: cache the task again, or evaluate "
            "one whose name ends in _score_eval."
        )


def packed_batches(sources: Sequence[Source], row_tokens: int, tokens: int, multiple_of: int = 1) -> Iterator[PackedRows]:
    """Batches of few static shapes with at most about `tokens` encoder positions each, in rows of at most `row_tokens` ones.

    The number of rows is a multiple of `multiple_of`; a last batch is filled up with empty rows.
    """
    for group in by_length(sources, tokens):
        length = row_length(group, row_tokens)
        widest = round_up(max(length, *(len(choice) for source in group for choice in source.choices)))
        parts = [part for source in group for part in _split(source, widest)]
        rows = sorted(pack(parts, length, widest), key=_width)  # rows of a batch alike: what none needs is not computed
        size = batch_rows(len(rows), tokens // length, multiple_of)
        chunks = [rows[start : start + size] for start in range(0, len(rows), size)]
        for chunk, width in zip(chunks, widths([_width(chunk[-1]) for chunk in chunks]), strict=True):
            yield _arrays(chunk, size, length, width)


def _split(source: Source, widest: int) -> Iterator[Source]:
    """The source itself, or several with the same input where its choices do not fit into one decoder row."""
    part = Source(source.inputs)
    for choice, owners in zip(source.choices, source.owners, strict=True):
        if part.choices and part.width + len(choice) > widest:
            yield part
            part = Source(source.inputs)
        part.add(choice, owners)
    yield part


def _width(row: Sequence[Source]) -> int:
    return sum(source.width for source in row)


def _arrays(rows: Sequence[list[Source]], size: int, length: int, width: int) -> PackedRows:
    inputs, input_segments = (np.zeros((size, length), np.int32) for _ in range(2))
    targets, segments, source_ids = (np.zeros((size, width), np.int32) for _ in range(3))
    all_owners: list[list[Owner]] = []
    for row, sources in enumerate(rows):
        read = written = 0
        owners: list[list[Owner]] = []
        for number, source in enumerate(sources, start=1):
            inputs[row, read : read + len(source.inputs)] = source.inputs
            input_segments[row, read : read + len(source.inputs)] = number
            read += len(source.inputs)
            owners += source.owners
            for segment, choice in enumerate(source.choices, start=len(owners) - len(source.owners) + 1):
                place = slice(written, written + len(choice))
                targets[row, place], segments[row, place], source_ids[row, place] = choice, segment, number
                written += len(choice)
        all_owners += owners
    batch = {
        "encoder_input_tokens": inputs,
        "encoder_segment_ids": input_segments,
        "decoder_input_tokens": decoder_inputs(targets, segments),
        "decoder_target_tokens": targets,
        "decoder_segment_ids": segments,
        "decoder_source_ids": source_ids,
    }
    return PackedRows(batch, all_owners)
