"""A cached task's split as a random-access source: SeqIO's cache on disk, read without TensorFlow."""

import bisect
import itertools
import json
import pathlib
from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np
from google.protobuf.message import DecodeError

from t0jax.data.missing import missing_tasks
from t0jax.data.records import RecordFile, decode_example
from t0jax.errors import InputError, did_you_mean


class CachedSplit:
    """The examples of `<cache_dir>/<task>/<split>.tfrecord-*` by number, each a dict of arrays.

    An InputError when the task is not cached, was not cached to its end, or holds other than its own statistics say.
    """

    def __init__(
        self, cache_dir: str | pathlib.Path, task: str, split: str, features: Sequence[str] = ("inputs", "targets")
    ) -> None:
        self.task, self.split, self._features = task, split, tuple(features)
        self.folder = pathlib.Path(cache_dir).joinpath(*task.split(":"))
        self._command = f"`t0jax cache --tasks {task} --output_cache_dir {cache_dir} ...`"
        self._remedy = f"remove the folder and run {self._command} again"
        if not (self.folder / "COMPLETED").is_file():
            raise self._not_cached(pathlib.Path(cache_dir))
        self.info, self.stats = self._read_json("info"), self._read_json("stats")
        if absent := [name for name in self._features if self.info and name not in self.info.get("features", {})]:
            raise InputError(f"{self.folder}: the {split} split has no feature {absent[0]!r}; {self._remedy}.")
        number = self.info.get("num_shards", 0)  # SeqIO writes an empty info for a split without examples
        self._paths = [self._shard_path(shard, number) for shard in range(number)]
        self._shards: dict[int, RecordFile] = {}
        lengths = self._said_lengths() if "shards" in self.info else [len(self._shard(shard)) for shard in range(number)]
        self._ends = list(itertools.accumulate(lengths))
        expected = self.stats.get("examples")
        if len(self) != expected:
            what = f"stats.{split}.json counts {expected} examples, its {number} shards hold {len(self)}"
            raise InputError(f"{self.folder}: {what}; {self._remedy}.")

    def _said_lengths(self) -> list[int]:
        """How many examples each shard holds, as our own info says. Shards of other sizes than it says are refused unopened."""
        try:
            said = [(int(shard["bytes"]), int(shard["examples"])) for shard in self.info["shards"]]
            sizes = dict(zip(self._paths, (size for size, _ in said), strict=True))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self.folder}/info.{self.split}.json is damaged ({error}); {self._remedy}.") from error
        for path, size in sizes.items():
            if (found := path.stat().st_size) != size:
                raise InputError(f"{path} has {found:,} bytes where its info says {size:,}: it was changed; {self._remedy}.")
        return [examples for _, examples in said]

    def _shard(self, shard: int) -> RecordFile:
        """A shard, opened when it is first read: a mixture has thousands."""
        if shard not in self._shards:
            records = RecordFile(self._paths[shard])
            if "shards" in self.info and len(records) != (said := self.info["shards"][shard]["examples"]):
                raise InputError(
                    f"{self._paths[shard]} holds {len(records)} examples where its info says {said}; {self._remedy}."
                )
            self._shards[shard] = records
        return self._shards[shard]

    def _not_cached(self, cache_dir: pathlib.Path) -> InputError:
        if reason := missing_tasks(cache_dir, [self.task], self.split).get(self.task):
            return InputError(f"Task {self.task!r} was skipped when {cache_dir} was made: {reason}")
        if self.folder.is_dir():
            return InputError(f"{self.folder} has no file COMPLETED: caching did not finish; {self._remedy}.")
        cached = [path.parent.name for path in cache_dir.glob("*/COMPLETED")]
        near = did_you_mean(self.task, cached)
        return InputError(f"Task {self.task!r} is not cached in {cache_dir}; run {self._command}.{near}")

    def _read_json(self, kind: str) -> dict[str, Any]:
        path = self.folder / f"{kind}.{self.split}.json"
        if not path.is_file():
            splits = sorted(other.name.split(".")[1] for other in self.folder.glob(f"{kind}.*.json"))
            raise InputError(f"{path} is missing: the splits cached for {self.task} are {', '.join(splits) or 'none'}.")
        try:
            return dict(json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            raise InputError(f"{path} is not a JSON object ({error}); {self._remedy}.") from error

    def _shard_path(self, shard: int, number: int) -> pathlib.Path:
        path = self.folder / f"{self.split}.tfrecord-{shard:05d}-of-{number:05d}"
        if not path.is_file():
            raise InputError(f"{path} is missing: the split has {number} shards; {self._remedy}.")
        return path

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: SupportsIndex) -> dict[str, np.ndarray]:
        """The chosen features of one example, int32, or bytes as objects; an InputError when its record is damaged."""
        place = range(len(self))[index]
        shard = bisect.bisect_right(self._ends, place)
        record = self._shard(shard)[place - self._ends[shard]]  # counted from the shard's end
        try:
            decoded = decode_example(record, self._features)
        except KeyError as error:
            raise InputError(f"{self.folder}: example {place} has no feature {error}; {self._remedy}.") from error
        except DecodeError as error:
            raise InputError(f"{self.folder}: example {place} is no tf.train.Example; {self._remedy}.") from error
        return {
            name: np.array(values, object) if isinstance(values, list) else values.astype(np.int32)
            for name, values in decoded.items()
        }

    def __repr__(self) -> str:
        return f"CachedSplit({str(self.folder)!r}, {self.split!r}, {len(self)} examples)"
