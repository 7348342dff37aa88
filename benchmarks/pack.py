"""Packing quality and the speed of the feed on lengths like P3's, on one core."""

import itertools
import json
import pathlib
import tempfile
import time

import grain
import numpy as np

from t0jax.config import DataConfig
from t0jax.data.feed import open_feed
from t0jax.data.packing import Rows, batch_rows
from t0jax.data.records import RecordWriter, encode_example

LENGTHS = {"inputs": 1024, "targets": 256}


def p3_like_lengths(number: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Input and target lengths: 35% short, 45% medium, 20% long inputs, clipped; 15% long targets."""
    random = np.random.default_rng(seed)
    kind = random.random(number)
    short, medium, long = (random.lognormal(mean, sigma, number) for mean, sigma in ((3.7, 0.4), (4.7, 0.5), (6.1, 0.6)))
    inputs = np.where(kind < 0.35, short, np.where(kind < 0.8, medium, long)).clip(8, LENGTHS["inputs"])
    is_short = random.random(number) < 0.85
    targets = np.where(is_short, random.lognormal(1.4, 0.5, number), random.lognormal(4.0, 0.7, number))
    return inputs.astype(int), targets.clip(2, LENGTHS["targets"]).astype(int)


def examples(number: int) -> list[dict[str, np.ndarray]]:
    random = np.random.default_rng(1)
    return [
        {"inputs": random.integers(3, 32_000, i, np.int32), "targets": random.integers(3, 32_000, t, np.int32)}
        for i, t in zip(*p3_like_lengths(number), strict=True)
    ]


def report(name: str, batches: list, seconds: float, number: int) -> None:
    encoder, decoder = (np.concatenate([batch[name] > 0 for batch in batches]) for name in ("inputs", "targets"))
    fill = {"encoder_fill": round(float(encoder.mean()), 4), "decoder_fill": round(float(decoder.mean()), 4)}
    line = {"benchmark": "pack", "name": name, **fill, "rows": len(encoder), "examples_per_cpu_s": round(number / seconds)}
    print(json.dumps(line), flush=True)


def packed_here(data: list, num_open: int) -> tuple[list, int]:
    """All rows but those still open at the end, which an endless stream does not have."""
    rows, batches, packed = Rows(data, stream=0, num_streams=1, task_feature_lengths=LENGTHS, num_open=num_open), [], 0
    while len(data) - packed > 60 * num_open:
        chosen = list(itertools.islice(rows, 16))
        packed += sum(map(len, chosen))
        batch = batch_rows(chosen, LENGTHS)
        batches.append({"inputs": batch["encoder_segment_ids"], "targets": batch["decoder_segment_ids"]})
    return batches, packed


def packed_by_grain(kind: type, data: list, num_open: int) -> tuple[list, int]:
    read = grain.ReadOptions(num_threads=1, prefetch_buffer_size=16)
    dataset = grain.MapDataset.source(data).to_iter_dataset(read)
    rows = list(kind(dataset, length_struct=LENGTHS, num_packing_bins=num_open))
    return [{name: row[f"{name}_segment_ids"][None] for name in LENGTHS} for row in rows], len(data)


def write_task(folder: pathlib.Path, data: list) -> None:
    folder.mkdir()
    with RecordWriter(folder / "train.tfrecord-00000-of-00001") as writer:
        for example in data:
            writer.write(encode_example({**example, "inputs_pretokenized": "a word or two " * 40}))
    features = {name: {"shape": [None], "dtype": "int32"} for name in LENGTHS}
    (folder / "info.train.json").write_text(json.dumps({"num_shards": 1, "features": features}))
    (folder / "stats.train.json").write_text(json.dumps({"examples": len(data)}))
    (folder / "COMPLETED").touch()


def run_feed(cache_dir: pathlib.Path, data: list, num_tasks: int) -> None:
    tasks = [(f"task_{number}", float(1 + number % 7)) for number in range(num_tasks)]
    for number, (task, _) in enumerate(tasks):
        write_task(cache_dir / task, data[number::num_tasks])
    config = DataConfig(mixture_or_task_name="bench", cache_dir=str(cache_dir), batch_size=64)
    start = time.perf_counter()
    feed = open_feed(config, tasks, process_index=0, process_count=1)
    opened = time.perf_counter() - start
    next(feed)
    first = time.perf_counter() - start
    start, batches = time.process_time(), [next(feed) for _ in range(40)]
    seconds = time.process_time() - start
    number = sum(int(batch["encoder_segment_ids"].max(axis=1).sum()) for batch in batches)
    feed.close()
    segments = [{"inputs": batch["encoder_segment_ids"], "targets": batch["decoder_segment_ids"]} for batch in batches]
    report(f"open_feed, {num_tasks} tasks", segments, seconds, number)
    line = {"benchmark": "feed_start", "tasks": num_tasks, "open_s": round(opened, 3), "first_batch_s": round(first, 3)}
    print(json.dumps(line), flush=True)


def main() -> None:
    data = examples(20_000)
    for num_open in (8, 32, 64, 128):
        start = time.process_time()
        batches, packed = packed_here(data, num_open)
        report(f"t0jax best fit, {num_open} open rows", batches, time.process_time() - start, packed)
    for kind in (grain.experimental.FirstFitPackIterDataset, grain.experimental.BestFitPackIterDataset):
        start = time.process_time()
        batches, packed = packed_by_grain(kind, data, 32)
        report(f"{kind.__name__}, 32 bins", batches, time.process_time() - start, packed)
    with tempfile.TemporaryDirectory() as folder:
        run_feed(pathlib.Path(folder), data, 200)


if __name__ == "__main__":
    main()
