"""Packing quality and speed on one core, the same examples through every packer in one run: ours, Grain's, SeqIO's.

Lengths are like P3's, unless --cache_dir and --mixture name cached tasks. `xl_tflops_an_example` are the model FLOPs of
training T5 1.1 xl on the rows, by the shapes they have, over the examples in them.
"""

import argparse
import functools
import importlib.util
import itertools
import json
import os
import pathlib
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import grain
import numpy as np

from t0jax.config import DataConfig, ModelConfig
from t0jax.data.feed import open_feed
from t0jax.data.fill import pack_sizes, shapes_of
from t0jax.data.mixing import mix, open_splits
from t0jax.data.packing import Rows, batch_rows
from t0jax.data.records import RecordWriter, encode_example
from t0jax.data.shapes import Shapes
from t0jax.data.universe import mixture_tasks
from t0jax.model.flops import step_flops

LENGTHS = {"inputs": 1024, "targets": 256}
XL = ModelConfig(emb_dim=2048, num_heads=32, head_dim=64, mlp_dim=5120, num_encoder_layers=24, num_decoder_layers=24)

Segments = tuple[np.ndarray, np.ndarray]
"""Segment ids of a batch's encoder and decoder."""


def p3_like_lengths(number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Input and target lengths: 35% short, 45% medium, 20% long inputs, clipped; 15% long targets."""
    random = np.random.default_rng(seed)
    kind = random.random(number)
    short, medium, long = (random.lognormal(mean, sigma, number) for mean, sigma in ((3.7, 0.4), (4.7, 0.5), (6.1, 0.6)))
    inputs = np.where(kind < 0.35, short, np.where(kind < 0.8, medium, long)).clip(8, LENGTHS["inputs"])
    is_short = random.random(number) < 0.85
    targets = np.where(is_short, random.lognormal(1.4, 0.5, number), random.lognormal(4.0, 0.7, number))
    return inputs.astype(int), targets.clip(2, LENGTHS["targets"]).astype(int)


def p3_like_examples(number: int) -> list[dict[str, np.ndarray]]:
    random = np.random.default_rng(1)
    return [
        {"inputs": random.integers(3, 32_000, i, np.int32), "targets": random.integers(3, 32_000, t, np.int32)}
        for i, t in zip(*p3_like_lengths(number), strict=True)
    ]


def cached_examples(cache_dir: str, mixture: str, number: int) -> list[dict[str, np.ndarray]]:
    """The first examples of a cached mixture, trimmed."""
    data = DataConfig(mixture_or_task_name=mixture, cache_dir=cache_dir)
    examples = mix(data, open_splits(data, [(task.name, task.rate) for task in mixture_tasks(mixture)]))
    return [{name: examples[index][name][:length] for name, length in LENGTHS.items()} for index in range(number)]


def report(name: str, pack: Callable[[], Iterator[Segments]]) -> None:
    start = time.process_time()
    batches = list(pack())
    seconds = time.process_time() - start
    examples = sum(int(encoder.max(axis=1).sum()) for encoder, _ in batches)
    rows = sum(len(encoder) for encoder, _ in batches)
    flops = sum(step_flops(XL, len(decoder), encoder.shape[1], decoder.shape[1]) for encoder, decoder in batches)
    fills = [
        sum(int((side > 0).sum()) for side in sides) / sum(side.size for side in sides) for sides in zip(*batches, strict=True)
    ]
    line = {
        "benchmark": "pack",
        "name": name,
        "encoder_fill": round(fills[0], 4),
        "decoder_fill": round(fills[1], 4),
        "examples": examples,
        "rows": rows,
        "examples_per_cpu_s": round(examples / seconds),
        "xl_tflops_an_example": round(flops / examples / 1e12, 4),
    }
    print(json.dumps(line), flush=True)


def shapes_told(examples: list, narrow_targets: int) -> Shapes:
    """Which steps are wide, as a feed tells it when it opens."""
    data = DataConfig(mixture_or_task_name="", narrow_targets=narrow_targets)
    sizes = np.array([(len(example["inputs"]), len(example["targets"])) for example in examples])
    return shapes_of(pack_sizes(sizes, data), data)


def packed_here(examples: list, num_open: int, shapes: Shapes) -> Iterator[Segments]:
    """Steps of 16 rows, then the rows that are open or waiting when the examples end, in the wide shape."""
    options = {"task_feature_lengths": LENGTHS, "num_open": num_open, "narrow_targets": shapes.narrow or None}
    rows = Rows(examples, stream=0, num_streams=1, **options)
    for length in map(shapes.targets_length, itertools.count()):
        chosen, is_over = up_to(16, rows, length)
        if is_over:
            state = rows.get_state()
            left = [[examples[int(index)] for index in row.split()] for row in state["open"] + state["waiting"] if row]
            chosen, length = chosen + left, LENGTHS["targets"]
        if chosen:
            batch = batch_rows(chosen, {**LENGTHS, "targets": length})
            yield batch["encoder_segment_ids"], batch["decoder_segment_ids"]
        if is_over:
            return


def up_to(number: int, rows: Rows, length: int) -> tuple[list, bool]:
    """The next rows, and whether the examples, which Rows takes for endless, have ended."""
    chosen = []
    try:
        while len(chosen) < number:
            chosen += rows.take(1, length)
    except IndexError:
        return chosen, True
    return chosen, False


def packed_by_grain(kind: type, examples: list, num_open: int) -> Iterator[Segments]:
    dataset = grain.MapDataset.source(examples).to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=16))
    for row in kind(dataset, length_struct=LENGTHS, num_packing_bins=num_open):
        yield row["inputs_segment_ids"][None], row["targets_segment_ids"][None]


def report_seqio(examples: list) -> None:
    """SeqIO's packing by itself, and within the converter that t5x trains with. What makes the examples is not timed."""
    if importlib.util.find_spec("seqio") is None:
        print(json.dumps({"benchmark": "pack", "name": "seqio", "skipped": "seqio is not installed"}))
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import seqio
    import tensorflow as tf

    tensors = {name: tf.ragged.constant([example[name].tolist() for example in examples], tf.int32) for name in LENGTHS}
    dataset = tf.data.Dataset.from_tensor_slices(tensors)

    def segments(packed: Any, names: tuple[str, str]) -> Iterator[Segments]:
        for row in packed.as_numpy_iterator():
            yield row[names[0]][None], row[names[1]][None]

    converter = seqio.EncDecFeatureConverter(pack=True)
    converted = ("encoder_segment_ids", "decoder_segment_ids")
    packers = {
        "trim_and_pack_dataset": lambda: segments(
            seqio.utils.trim_and_pack_dataset(dataset, LENGTHS), ("inputs_segment_ids", "targets_segment_ids")
        ),
        "EncDecFeatureConverter": lambda: segments(converter(dataset, LENGTHS), converted),
    }
    for name, pack in packers.items():
        next(pack())  # traced before it is timed
        report(f"seqio {name}", pack)


def write_task(folder: pathlib.Path, examples: list) -> None:
    folder.mkdir()
    with RecordWriter(folder / "train.tfrecord-00000-of-00001") as writer:
        for example in examples:
            writer.write(encode_example({**example, "inputs_pretokenized": "a word or two " * 40}))
    features = {name: {"shape": [None], "dtype": "int32"} for name in LENGTHS}
    (folder / "info.train.json").write_text(json.dumps({"num_shards": 1, "features": features}))
    (folder / "stats.train.json").write_text(json.dumps({"examples": len(examples)}))
    (folder / "COMPLETED").touch()


def run_feed(cache_dir: pathlib.Path, tasks: list[tuple[str, float]], narrow_targets: int | None) -> None:
    """The whole feed: reading, mixing, packing, prefetching."""
    data = DataConfig(mixture_or_task_name="bench", cache_dir=str(cache_dir), batch_size=64, narrow_targets=narrow_targets)
    start = time.perf_counter()
    feed = open_feed(data, tasks, process_index=0, process_count=1)
    opened = time.perf_counter() - start
    next(feed)
    first = time.perf_counter() - start
    name = f"open_feed, {len(tasks)} tasks, " + (f"narrow steps of {narrow_targets}" if narrow_targets else "one shape")
    batches = itertools.islice(feed, 60)
    report(name, lambda: ((batch["encoder_segment_ids"], batch["decoder_segment_ids"]) for batch in batches))
    feed.close()
    line = {"benchmark": "feed_start", "name": name, "open_s": round(opened, 3), "first_batch_s": round(first, 3)}
    print(json.dumps(line), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache_dir", help="pack cached tasks of this folder")
    parser.add_argument("--mixture", help="which of them")
    parser.add_argument("--examples", type=int, default=20_000)
    arguments = parser.parse_args()
    if bool(arguments.cache_dir) != bool(arguments.mixture):
        parser.error("give both --cache_dir and --mixture, or neither")
    if arguments.cache_dir:
        examples = cached_examples(arguments.cache_dir, arguments.mixture, arguments.examples)
    else:
        examples = p3_like_examples(arguments.examples)
    for num_open in (0, 8, 32, 64, 128):
        report(f"t0jax best fit, {num_open} open rows", functools.partial(packed_here, examples, num_open, Shapes(256)))
    for narrow in (64, 96, 128, 160):
        pack = functools.partial(packed_here, examples, 32, shapes_told(examples, narrow))
        report(f"t0jax best fit, 32 open rows, narrow steps of {narrow}", pack)
    for kind in (grain.experimental.FirstFitPackIterDataset, grain.experimental.BestFitPackIterDataset):
        report(f"grain {kind.__name__}, 32 bins", functools.partial(packed_by_grain, kind, examples, 32))
    report_seqio(examples)
    if arguments.cache_dir:
        tasks = [(task.name, task.rate) for task in mixture_tasks(arguments.mixture)]
        for narrow_targets in (None, 128):
            run_feed(pathlib.Path(arguments.cache_dir), tasks, narrow_targets)
        return
    with tempfile.TemporaryDirectory() as folder:
        tasks = [(f"task_{number}", float(1 + number % 7)) for number in range(200)]
        for number, (task, _) in enumerate(tasks):
            write_task(pathlib.Path(folder) / task, examples[number :: len(tasks)])
        for narrow_targets in (None, 128):
            run_feed(pathlib.Path(folder), tasks, narrow_targets)


if __name__ == "__main__":
    main()
