"""A cache read to its last record: sizes, checksums, counts and tokens are what its info and statistics say."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from t0jax.batch import EOS_ID, PAD_ID
from t0jax.data.processes import run_units
from t0jax.data.reader import CachedSplit
from t0jax.errors import InputError, did_you_mean

_EXAMPLES_AT_A_TIME = 1000


@dataclass(frozen=True)
class VerifiedSplit:
    """What was found in a split: its examples, or what is wrong with it."""

    task: str
    split: str
    examples: int
    problem: str | None


@dataclass(frozen=True)
class _Unit:
    """A split to be read."""

    cache_dir: Path
    task: str
    split: str
    size: int
    vocab_size: int | None


def verify(
    cache_dir: str | Path, tasks: Sequence[str] | None, splits: Sequence[str] | None, vocab_size: int | None
) -> list[VerifiedSplit]:
    """Read the splits of the tasks (None: all that are there), and say of each whether it is sound.

    Tokens must lie below `vocab_size`, if that is given. InputError when the cache lacks a task or a split that is named.
    """
    folder = Path(cache_dir)
    units, found = [], []
    for task, split in _cached(folder, tasks, splits):
        try:
            units.append(_Unit(folder, task, split, len(CachedSplit(folder, task, split)), vocab_size))
        except InputError as error:
            found.append(VerifiedSplit(task, split, 0, str(error)))
    found += run_units(_read, units, "verifying")
    return sorted(found, key=lambda one: (one.task, one.split))


def _cached(folder: Path, tasks: Sequence[str] | None, splits: Sequence[str] | None) -> list[tuple[str, str]]:
    """Every split of these tasks that has an info."""
    there = sorted(
        {path.parent.name for path in folder.glob("*/info.*.json")} | {path.parent.name for path in folder.glob("*/COMPLETED")}
    )
    if not there:
        raise InputError(f"{folder} holds no cached task: give the --output_cache_dir of `t0jax cache`.")
    for task in tasks or ():
        if task not in there:
            raise InputError(f"{folder} holds no task {task!r}.{did_you_mean(task, there)}")
    pairs = []
    for task in tasks or there:
        cached = sorted(path.name.split(".")[1] for path in (folder / task).glob("info.*.json"))
        for split in splits or ():
            if split not in cached:
                raise InputError(f"{folder / task} holds no split {split!r}; it has {', '.join(cached) or 'none'}.")
        pairs += [(task, split) for split in splits or cached]
    return pairs


def _read(unit: _Unit, advance: Callable[[int], None]) -> VerifiedSplit:
    try:
        split = CachedSplit(unit.cache_dir, unit.task, unit.split)
        counts = _Counts(unit, split)
        for number in range(len(split)):
            counts.add(number, split[number])
            if number % _EXAMPLES_AT_A_TIME == _EXAMPLES_AT_A_TIME - 1:
                advance(_EXAMPLES_AT_A_TIME)
        counts.compare(split)
    except InputError as error:
        return VerifiedSplit(unit.task, unit.split, 0, str(error))
    return VerifiedSplit(unit.task, unit.split, len(split), None)


class _Counts:
    """What SeqIO's statistics count, counted again."""

    def __init__(self, unit: _Unit, split: CachedSplit):
        self._limit, self._is_ours = unit.vocab_size or 2**31, "fingerprint" in split.info
        self._where = f"{split.folder}, {unit.split}"
        self._sums = {f"{name}_{what}": 0 for name in ("inputs", "targets") for what in ("tokens", "max_tokens")}

    def add(self, number: int, example: dict[str, np.ndarray]) -> None:
        """Check the tokens of an example and count them."""
        for name, tokens in example.items():
            if tokens.size and not 0 <= int(tokens.min()) <= int(tokens.max()) < self._limit:
                what = f"a token from {tokens.min()} to {tokens.max()}; the vocabulary has {self._limit:,}"
                raise InputError(f"{self._where}: {name} of example {number} holds {what}: cache it again.")
            length = int(((tokens != EOS_ID) & (tokens != PAD_ID)).sum())
            self._sums[f"{name}_tokens"] += length
            self._sums[f"{name}_max_tokens"] = max(length, self._sums[f"{name}_max_tokens"])
        targets = example["targets"]
        if self._is_ours and (not targets.size or targets[-1] != EOS_ID):
            raise InputError(f"{self._where}: the targets of example {number} do not end with EOS: cache it again.")

    def compare(self, split: CachedSplit) -> None:
        """InputError where the statistics say otherwise."""
        for name, value in self._sums.items():
            if (said := split.stats.get(name, value)) != value:
                raise InputError(
                    f"{self._where}: its stats say {said:,} for {name}, its examples have {value:,}: cache it again."
                )
