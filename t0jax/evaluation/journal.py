"""What of an evaluation is scored already: batch by batch, so that a killed one goes on, and only with scores of its own."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Float

from t0jax.errors import InputError

JOURNAL = "scores.journal"
"""Beside the scores until they are whole: a line of JSON that says of what, then the log-probabilities of each batch."""

WHAT = ("mixture", "split", "checkpoint", "step", "examples_sha256", "weights_checksum")
"""What two evaluations with the same scores have in common, besides the recipe."""
_PLACES = ("CACHE_DIR", "CHECKPOINT_PATH", "DATA_DIR", "EVAL_OUTPUT_DIR", "HUB_LOCK", "MODEL_DIR", "P3_DIR", "SOURCES")
_TEXTS = ("TFDS_DATA_DIR", "USE_CACHED_TASKS", "VOCABULARY")
_OTHERS = ("DecodeConfig.", "OptimizerConfig.", "TRAIN_STEPS", "TrainConfig.")
_APART = _PLACES + _TEXTS + _OTHERS
"""Lines of a recipe that say where things lie, or how others are done: the scores are the same."""

Sums = Float[np.ndarray, "segments"]


class Journal:
    """The scores of the first batches of one evaluation. Nothing is made before there is one to add."""

    def __init__(self, folder: Path, about: Mapping[str, Any], machine: Mapping[str, Any]) -> None:
        """`about` must be that of what lies in the folder; scores of another `machine`, which packs otherwise, are dropped."""
        self.about, self._machine = dict(about), dict(machine)
        self.path = folder / JOURNAL
        self.done: list[list[float]] = []
        self._file: BinaryIO | None = None
        self._kept = 0

    def resume(self) -> None:
        """Read what is scored already; an InputError where it is another evaluation's."""
        if not self.path.exists():
            return
        with open(self.path, "rb") as file:
            head = _parsed(file.readline())
            if not isinstance(head, dict) or not isinstance(head.get("about"), dict):
                return  # killed before it was written: it begins anew
            check_same(self.path.parent, head["about"], self.about)
            if head.get("machine") != self._machine:
                return
            self._kept = file.tell()
            for line in file:
                sums = _parsed(line)
                if not isinstance(sums, list):
                    return  # half a line: all before it is whole
                self.done.append(sums)
                self._kept += len(line)

    def of(self, batch: int, segments: int) -> Sums:
        """The scores of one of the batches that are done."""
        sums = np.array(self.done[batch], np.float64)
        if sums.shape != (segments,):
            raise InputError(f"{self.path} is damaged in line {batch + 2}: remove it and score again.")
        return sums

    def add(self, sums: Sums) -> None:
        """Keep the scores of one more batch."""
        with self._writing():
            if self._file is None:
                self._file = self._open()
            self._file.write(json.dumps(sums.tolist()).encode() + b"\n")
            self._file.flush()  # a killed process loses nothing; of a machine that fails the last lines may be missing

    def _open(self) -> BinaryIO:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = open(self.path, "r+b" if self._kept else "wb")  # noqa: SIM115 - closed by `close`
        file.truncate(self._kept)
        file.seek(self._kept)
        if not self._kept:
            file.write(json.dumps({"about": self.about, "machine": self._machine}).encode() + b"\n")
        return file

    def close(self) -> None:
        """Write no more."""
        if self._file is not None:
            self._file.close()

    def remove(self) -> None:
        """The scores are whole elsewhere."""
        self.close()
        self.path.unlink(missing_ok=True)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                f"{self.path} cannot be written ({error.strerror}): make room there, then give the same command; it goes on."
            ) from error


def check_same(folder: Path, theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """An InputError that names the first difference between what `folder` has scores of and what is to be scored."""
    for name, there, here in (*_said(theirs, ours, WHAT[:4]), *_recipes(theirs, ours), *_said(theirs, ours, WHAT[4:])):
        if there != here:
            raise InputError(
                f"{folder} holds scores of another evaluation: its {name} is {_short(there)}, not {_short(here)}; give another "
                f"EVAL_OUTPUT_DIR, or remove {JOURNAL}, scores.jsonl and results.json from it."
            )


def _said(theirs: Mapping[str, Any], ours: Mapping[str, Any], names: Sequence[str]) -> Iterator[tuple[str, Any, Any]]:
    return ((name, theirs[name], ours.get(name)) for name in names if name in theirs)


def _recipes(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    there, here = (_lines(str(about.get("config", ""))) for about in (theirs, ours))
    if there and here:
        yield from ((name, there.get(name), here.get(name)) for name in sorted(there.keys() | here.keys()))


def _lines(recipe: str) -> dict[str, str]:
    """The recipe's lines that change scores: name and value."""
    pairs = (line.partition(" = ") for line in recipe.splitlines() if not line.startswith("#"))
    return {name: value for name, equals, value in pairs if equals and not name.startswith(_APART)}


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:16]}..."


def _parsed(line: bytes) -> Any:
    """A whole line of JSON; None where it is not."""
    try:
        return json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
