"""From cached tasks to batches with Grain: mix by rate, shuffle, shard by host, pack; every position can be saved."""

import hashlib
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import grain
import numpy as np

from t0jax.batch import Batch, Feed, OpenExample, RankExample
from t0jax.config import DataConfig
from t0jax.data.fill import SAMPLE, pack_sizes, shapes_of, sizes_of
from t0jax.data.mixing import mix, open_splits
from t0jax.data.packing import Rows, batch_rows
from t0jax.data.reader import CachedSplit
from t0jax.data.shapes import Shapes
from t0jax.errors import InputError

_PREFETCHED = 2  # batches
_NARROW = "narrow_targets, wide steps"


class _Batches(grain.IterDataset):
    """Batches of the rows of some streams; each stream is packed by itself and fills its own rows of every batch."""

    def __init__(
        self, examples: grain.MapDataset, streams: range, data: DataConfig, shapes: Shapes, vocab_size: int | None
    ) -> None:
        super().__init__()
        self.examples, self.streams, self.data, self.shapes, self.vocab_size = examples, streams, data, shapes, vocab_size

    def __iter__(self) -> "_BatchIterator":
        return _BatchIterator(self)


class _BatchIterator(grain.DatasetIterator):
    """Where each stream of `_Batches` stands."""

    def __init__(self, batches: _Batches) -> None:
        super().__init__()
        data = self._data = batches.data
        self._shapes, self._vocab_size = batches.shapes, batches.vocab_size
        self._step = 0
        self._streams = {
            str(stream): Rows(
                batches.examples,
                stream=stream,
                num_streams=data.num_streams,
                task_feature_lengths=data.task_feature_lengths,
                num_open=data.packing_bins if data.pack else 0,
                narrow_targets=data.narrow_targets,
            )
            for stream in batches.streams
        }

    def __next__(self) -> Batch:
        rows_each = self._data.batch_size // self._data.num_streams
        targets_length = self._shapes.targets_length(self._step)
        self._step += 1
        rows = [row for stream in self._streams.values() for row in stream.take(rows_each, targets_length)]
        batch = batch_rows(rows, {"inputs": self._data.task_feature_lengths["inputs"], "targets": targets_length})
        for name in ("encoder_input_tokens", "decoder_target_tokens"):
            _check_tokens(batch[name], self._vocab_size, str(self._data.cache_dir))
        return batch

    def get_state(self) -> dict[str, Any]:
        return {"step": self._step, "streams": {name: stream.get_state() for name, stream in self._streams.items()}}

    def set_state(self, state: dict[str, Any]) -> None:
        self._step = state["step"]
        for name, stream in self._streams.items():
            stream.set_state(state["streams"][name])


class GrainFeed(Feed):
    """Batches prefetched in a thread; the position is that of the last batch handed out."""

    def __init__(self, batches: _Batches, fingerprint: Mapping[str, Any]) -> None:
        self._fingerprint, self._names = dict(fingerprint), [str(stream) for stream in batches.streams]
        prefetched = grain.experimental.ThreadPrefetchIterDataset(batches, prefetch_buffer_size=_PREFETCHED)
        self._iterator = iter(prefetched)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        return next(self._iterator)

    def position(self) -> dict[str, Any]:
        """`{"data": fingerprint, "step": n, "streams": {stream: state}}` of this process's streams; hosts merge `streams`."""
        return {"data": self._fingerprint, **self._iterator.get_state()}

    def seek(self, position: dict[str, Any]) -> None:
        """Go on from a `position` of the same data, whatever the number of hosts that saved it.

        Only narrow_targets may have become None since: no row is lost by that.
        """
        saved = position.get("data", {})
        for name, ours in self._fingerprint.items():
            if (theirs := saved.get(name)) != ours and (name, ours) != (_NARROW, None):
                remedy = "resume with the settings and the cache it was saved with, or start in a new MODEL_DIR"
                raise InputError(f"The saved position in the data is for {name} {theirs!r}, not {ours!r}; {remedy}.")
        streams = position["streams"]
        if absent := [name for name in self._names if name not in streams]:
            what = f"{len(streams)} of {self._fingerprint['num_streams']} streams and lacks stream {absent[0]}"
            raise InputError(f"The saved position in the data holds {what}: merge the positions that all hosts saved.")
        step = position.get("step", 0)  # positions before narrow steps have none
        self._iterator.set_state({"step": step, "streams": {name: streams[name] for name in self._names}})

    def close(self) -> None:
        """Stop prefetching."""
        self._iterator.close()


def open_feed(
    data: DataConfig,
    tasks_with_rates: Sequence[tuple[str, float]],
    *,
    process_index: int,
    process_count: int,
    vocab_size: int | None = None,
) -> GrainFeed:
    """This process's share of the global batches of a mixture, from data.cache_dir. An InputError for a token >= vocab_size.

    The mixture's elements are dealt to num_streams streams; stream s fills rows s * batch_size // num_streams onwards of every
    batch. A process has consecutive streams, so the global batch is the same for any number of processes.
    """
    each = data.streams_each(process_count)
    splits = open_splits(data, tasks_with_rates)
    examples = mix(data, splits)
    streams = range(process_index * each, (process_index + 1) * each)
    shapes = Shapes(data.task_feature_lengths["targets"])
    if data.narrow_targets is not None:  # every host reads the same sample
        shapes = shapes_of(pack_sizes(sizes_of(examples, SAMPLE), data), data)
    return GrainFeed(_Batches(examples, streams, data, shapes, vocab_size), _fingerprint(data, splits, shapes))


def _fingerprint(data: DataConfig, splits: Sequence[tuple[CachedSplit, float]], shapes: Shapes) -> dict[str, Any]:
    """What two feeds have in common if and only if they hand out the same batches, as JSON values."""
    tasks = [[split.task, rate, split.info, split.stats] for split, rate in splits]
    digest = hashlib.sha256(json.dumps(tasks, sort_keys=True).encode()).hexdigest()[:16]
    names = ("split", "batch_size", "pack", "packing_bins", "num_streams", "shuffle_seed", "num_examples")
    return {
        "mixture_or_task_name": data.mixture_or_task_name,
        "task_feature_lengths": dict(data.task_feature_lengths),
        **{name: getattr(data, name) for name in names},
        _NARROW: data.narrow_targets and [data.narrow_targets, shapes.wide_steps],
        "tasks, rates and cached examples (digest)": digest,
    }


def _check_tokens(tokens: np.ndarray, vocab_size: int | None, cache_dir: str) -> None:
    """A token that the model has no row for would come out as NaN."""
    if vocab_size is not None and (largest := int(tokens.max(initial=0))) >= vocab_size:
        what = f"The cache {cache_dir} holds the token {largest}, the model has room for {vocab_size}"
        raise InputError(f"{what}: it was made with another vocabulary; cache again with the model's, or give its cache.")


def rank_examples(
    cache_dir: str | pathlib.Path,
    task: str,
    split: str,
    task_feature_lengths: Mapping[str, int],
    num_examples: int | None = None,
    vocab_size: int | None = None,
) -> Iterator[RankExample]:
    """The examples of a cached `_score_eval` task in order of their rows, trimmed; only the first `num_examples`.

    An InputError for an example that lacks a choice or holds a token >= vocab_size.

    SeqIO's caching shuffles its records, so they are all read and grouped by `idx` = [example, choice] first.
    """
    records = CachedSplit(cache_dir, task, split, ("inputs", "targets", "is_correct", "idx"))
    groups: dict[int, dict[int, Mapping[str, np.ndarray]]] = {}
    for record in (records[number] for number in range(len(records))):
        for name in ("inputs", "targets"):
            _check_tokens(record[name], vocab_size, str(cache_dir))
        example, choice = record["idx"].tolist()
        groups.setdefault(example, {})[choice] = record
    for example in sorted(groups)[:num_examples]:
        choices = [groups[example].get(choice) for choice in range(max(groups[example]) + 1)]
        whole = [choice for choice in choices if choice is not None]
        if len(whole) < len(choices):
            raise InputError(f"{records.folder}: {split} example {example} lacks choice {choices.index(None)}; cache it again.")
        yield RankExample(
            task=task,
            example=example,
            inputs=whole[0]["inputs"][: task_feature_lengths["inputs"]],
            choices=tuple(choice["targets"][: task_feature_lengths["targets"]] for choice in whole),
            is_correct=tuple(bool(choice["is_correct"].any()) for choice in whole),
        )


def open_examples(
    cache_dir: str | pathlib.Path,
    task: str,
    split: str,
    task_feature_lengths: Mapping[str, int],
    num_examples: int | None = None,
    vocab_size: int | None = None,
) -> Iterator[OpenExample]:
    """The examples of a cached task without choices in the cache's order, inputs trimmed; only the first `num_examples`.

    An InputError for a token >= vocab_size. The target is the text that was tokenized, which tokens do not always give back.
    """
    records = CachedSplit(cache_dir, task, split, ("inputs", "targets_pretokenized"))
    for number in range(min(len(records), num_examples or len(records))):
        record = records[number]
        _check_tokens(record["inputs"], vocab_size, str(cache_dir))
        targets = tuple(text.decode("utf-8", errors="replace") for text in record["targets_pretokenized"])
        yield OpenExample(task, number, record["inputs"][: task_feature_lengths["inputs"]], targets)
