"""The feed: every example once an epoch, by rate, packed without mixing, the same on any number of hosts, resumable."""

import collections
import itertools
import json
import pathlib

import numpy as np
import pytest

from t0jax.batch import FEATURES
from t0jax.config import DataConfig
from t0jax.data.feed import open_feed
from t0jax.data.mixing import PERIOD, Schedule, next_of_stream, turns
from t0jax.data.packing import Rows
from t0jax.data.reader import CachedSplit
from t0jax.data.records import RecordWriter, encode_example
from t0jax.errors import InputError

LENGTHS = {"inputs": 64, "targets": 16}
TASKS = (("one", 3.0), ("two", 1.0), ("a:b", 4.0))


def write_split(folder: pathlib.Path, split: str, examples: list, num_shards: int = 1) -> None:
    """A split in SeqIO's cache layout."""
    folder.mkdir(parents=True, exist_ok=True)
    for shard in range(num_shards):
        with RecordWriter(folder / f"{split}.tfrecord-{shard:05d}-of-{num_shards:05d}") as writer:
            for example in examples[shard * len(examples) // num_shards : (shard + 1) * len(examples) // num_shards]:
                writer.write(encode_example(example))
    features = {name: {"shape": [None], "dtype": "int32"} for name in (examples[0] if examples else ())}
    info = {"num_shards": num_shards, "features": features, "seqio_version": "0.0.20"} if examples else {}
    (folder / f"info.{split}.json").write_text(json.dumps(info))
    (folder / f"stats.{split}.json").write_text(json.dumps({"examples": len(examples)}))
    (folder / "COMPLETED").touch()


def tokens(task: int, example: int, length: int) -> np.ndarray:
    """A sequence that names its task and example in its first two tokens."""
    return np.array([task + 1, example + 1, *range(2, length)], np.int32)[: max(length, 2)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Three tasks of 97, 3 and 40 examples; inputs of up to 80 tokens, targets of up to 20."""
    folder = tmp_path_factory.mktemp("cache")
    random = np.random.default_rng(0)
    for task, (name, size) in enumerate((("one", 97), ("two", 3), ("a/b", 40))):
        lengths = zip(random.integers(2, 80, size), random.integers(2, 20, size), strict=True)
        rows = [{"inputs": tokens(task, n, i), "targets": tokens(task, n, t)} for n, (i, t) in enumerate(lengths)]
        write_split(folder / name, "train", rows, num_shards=1 + task)
    return folder


@pytest.fixture
def feed_of(cache):
    """Opens feeds of the cache and closes them in the end."""
    opened = []

    def open_one(tasks=TASKS, *, host=0, hosts=1, vocab_size=None, **options):
        defaults = {"batch_size": 8, "num_streams": 4, "packing_bins": 6, "task_feature_lengths": LENGTHS}
        data = DataConfig(mixture_or_task_name="mixture", cache_dir=str(cache), **{**defaults, **options})
        opened.append(open_feed(data, tasks, process_index=host, process_count=hosts, vocab_size=vocab_size))
        return opened[-1]

    yield open_one
    for feed in opened:
        feed.close()


def take(feed, number):
    return list(itertools.islice(feed, number))


def assert_equal(batches, others):
    assert len(batches) == len(others)
    for batch, other in zip(batches, others, strict=True):
        assert set(batch) == set(other) == set(FEATURES)
        for name in FEATURES:
            np.testing.assert_array_equal(batch[name], other[name], err_msg=name)


def unpacked(batch):
    """(inputs, targets) of every segment, and checks of what a segment must be."""
    for row in range(len(batch["encoder_input_tokens"])):
        for segment in range(1, int(batch["encoder_segment_ids"][row].max()) + 1):
            pair = []
            for side, name in (("encoder", "encoder_input_tokens"), ("decoder", "decoder_target_tokens")):
                chosen = batch[f"{side}_segment_ids"][row] == segment
                pair.append(batch[name][row][chosen])
                assert batch[f"{side}_positions"][row][chosen].tolist() == list(range(chosen.sum()))
            shifted = batch["decoder_input_tokens"][row][chosen]
            assert shifted.tolist() == [0, *pair[1][:-1]]
            yield pair


def names(batches):
    """(task, example) of every segment, in order."""
    return [(int(inputs[0]) - 1, int(inputs[1]) - 1) for batch in batches for inputs, _ in unpacked(batch)]


@pytest.mark.parametrize("pack", [True, False])
def test_unpacking_returns_the_trimmed_examples(feed_of, cache, pack):
    splits = [CachedSplit(cache, task, "train") for task, _ in TASKS]
    for batch in take(feed_of(pack=pack), 10):
        for inputs, targets in unpacked(batch):
            whole = splits[inputs[0] - 1][int(inputs[1]) - 1]
            np.testing.assert_array_equal(inputs, whole["inputs"][:64])
            np.testing.assert_array_equal(targets, whole["targets"][:16])
        assert all(values.dtype == np.int32 for values in batch.values())
        np.testing.assert_array_equal(batch["decoder_loss_weights"], batch["decoder_segment_ids"] > 0)
        if not pack:
            assert batch["encoder_segment_ids"].max() == 1


def test_every_example_appears_once_an_epoch(feed_of):
    seen = names(take(feed_of((("one", 1.0),), pack=False, batch_size=1, num_streams=1), 97 * 3))
    epochs = [seen[start : start + 97] for start in range(0, len(seen), 97)]
    assert all(sorted(epoch) == [(0, number) for number in range(97)] for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_large_task_is_shuffled_whole_too():
    schedule = Schedule([1.0], [70_000], [3], period=1000)
    order = [schedule[index][1] for index in range(70_000)]
    assert sorted(order) == list(range(70_000)) and order[:100] != sorted(order[:100])


def test_streams_share_all_elements_and_change_places_with_every_period():
    around = range(PERIOD - 60, PERIOD + 60)
    for streams in (1, 4, 60):  # 60 divides no period
        dealt = []
        for stream in range(streams):
            element = around[0] // streams * streams - 1  # the last one before a deal
            while (element := next_of_stream(element, stream, streams)) <= around[-1]:
                dealt.append(element)
        assert sorted(element for element in dealt if element in around) == list(around)
    assert [next_of_stream(PERIOD - 4, stream, 4) - PERIOD for stream in range(4)] == [1, 2, 3, 0]


def test_packing_loses_and_repeats_nothing():
    sizes = np.random.default_rng(0).integers(1, 64, (5000, 2)) // [1, 4] + 1
    examples = [{"inputs": np.zeros(i, np.int32), "targets": np.full(t, n, np.int32)} for n, (i, t) in enumerate(sizes)]
    rows = Rows(examples, stream=0, num_streams=1, task_feature_lengths=LENGTHS, num_open=8)
    done = [int(example["targets"][0]) for row in itertools.islice(rows, 1500) for example in row]
    still_open = [int(number) for row in rows.get_state()["open"] for number in row.split()]
    assert sorted(done + still_open) == list(range(rows.get_state()["next"]))


def test_rates_are_respected_in_every_stretch(feed_of):
    counts = collections.Counter(task for task, _ in names(take(feed_of(pack=False), 100)))
    assert all(abs(counts[task] - 100 * rate) <= 3 for task, (_, rate) in enumerate(TASKS))


def test_rates_are_exact_over_a_period_and_no_task_is_forgotten():
    assert turns([3.0, 1.0, 4.0], 800).tolist() == [300, 101, 399]
    assert turns([1.0, 1e9], 1000).tolist() == [1, 999]


def test_position_resumes_bit_for_bit(feed_of):
    feed = feed_of()
    take(feed, 7)
    saved = json.loads(json.dumps(feed.position()))
    expected = take(feed, 30)  # several epochs of every task
    fresh = feed_of()
    take(fresh, 2)
    fresh.seek(saved)
    assert fresh.position() == saved
    assert_equal(take(fresh, 30), expected)


def test_position_is_that_of_the_batch_handed_out(feed_of):
    feed, other = feed_of(), feed_of()
    take(feed, 3)
    expected = take(feed, 1)
    take(other, 3)
    other.seek(other.position())  # forgets what was prefetched
    assert_equal(take(other, 1), expected)


@pytest.mark.parametrize("hosts", [2, 4])
def test_hosts_together_see_the_batch_of_one_host(feed_of, hosts):
    shares = [take(feed_of(host=host, hosts=hosts), 6) for host in range(hosts)]
    joined = [
        {name: np.concatenate([part[name] for part in parts]) for name in FEATURES} for parts in zip(*shares, strict=True)
    ]
    assert_equal(joined, take(feed_of(), 6))


def test_four_hosts_position_resumes_on_two(feed_of):
    four = [feed_of(host=host, hosts=4) for host in range(4)]
    for feed in four:
        take(feed, 5)
    positions = [feed.position() for feed in four]
    merged = {**positions[0], "streams": {k: v for position in positions for k, v in position["streams"].items()}}
    for host in range(2):
        feed = feed_of(host=host, hosts=2)
        feed.seek(merged)
        expected = [take(part, 4) for part in four[2 * host : 2 * host + 2]]
        joined = [{name: np.concatenate([a[name], b[name]]) for name in FEATURES} for a, b in zip(*expected, strict=True)]
        assert_equal(take(feed, 4), joined)
    with pytest.raises(InputError, match="merge the positions"):
        feed_of().seek(positions[0])


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"tasks": TASKS[:2]}, "tasks, rates"),
        ({"tasks": (("one", 2.0), *TASKS[1:])}, "tasks, rates"),
        ({"shuffle_seed": 1}, "shuffle_seed 0, not 1"),
        ({"batch_size": 16}, "batch_size 8, not 16"),
        ({"task_feature_lengths": {"inputs": 32, "targets": 16}}, "task_feature_lengths"),
    ],
)
def test_another_feeds_position_is_refused(feed_of, options, name):
    with pytest.raises(InputError, match=name):
        feed_of(**options).seek(feed_of().position())


def test_num_examples_limits_every_task(feed_of):
    seen = set(names(take(feed_of(num_examples=5), 40)))
    assert seen == {(task, number) for task, size in enumerate((5, 3, 5)) for number in range(size)}


def test_fewer_examples_than_open_rows_still_fill_batches(feed_of):
    batches = take(feed_of((("two", 1.0),), packing_bins=32), 5)
    assert all((batch["encoder_segment_ids"][:, 0] == 1).all() for batch in batches)
    assert set(names(batches)) == {(1, 0), (1, 1), (1, 2)}


def test_rows_of_p3_like_lengths_are_97_percent_full():
    random = np.random.default_rng(0)
    kind, number = random.random(12_000), 12_000
    short, medium, long = (random.lognormal(mean, sigma, number) for mean, sigma in ((3.7, 0.4), (4.7, 0.5), (6.1, 0.6)))
    inputs = np.where(kind < 0.35, short, np.where(kind < 0.8, medium, long)).clip(8, 1024).astype(int)
    is_short = random.random(number) < 0.85
    targets = (
        np.where(is_short, random.lognormal(1.4, 0.5, number), random.lognormal(4.0, 0.7, number)).clip(2, 256).astype(int)
    )
    examples = [{"inputs": np.zeros(i), "targets": np.zeros(t)} for i, t in zip(inputs, targets, strict=True)]
    rows = Rows(examples, stream=0, num_streams=1, task_feature_lengths={"inputs": 1024, "targets": 256}, num_open=32)
    fill = [sum(len(example["inputs"]) for example in row) / 1024 for row in itertools.islice(rows, 1800)]
    assert np.mean(fill) >= 0.97


def test_streams_that_processes_cannot_share_are_refused(feed_of):
    with pytest.raises(InputError, match="4 data streams cannot be shared by 3 processes"):
        feed_of(hosts=3)


def test_a_task_without_examples_is_left_out_with_a_warning(feed_of, cache, caplog):
    write_split(cache / "none", "train", [])
    assert {task for task, _ in names(take(feed_of((("none", 9.0), ("two", 1.0))), 2))} == {1}
    assert "1 tasks have no train examples: none" in caplog.text
    with pytest.raises(InputError, match="No task of 'mixture' has an example"):
        feed_of((("none", 1.0),))


def test_a_damaged_record_is_a_clear_error(feed_of, cache):
    write_split(cache / "damaged", "train", [{"inputs": tokens(0, 0, 30), "targets": tokens(0, 0, 5)}])
    path = cache / "damaged" / "train.tfrecord-00000-of-00001"
    path.write_bytes(path.read_bytes()[:-9] + b"!" + path.read_bytes()[-8:])
    with pytest.raises(InputError, match="record 0 does not match its checksum"):
        next(feed_of((("damaged", 1.0),)))


def test_a_cache_of_a_larger_vocabulary_is_refused(feed_of):
    largest = max(int(batch["encoder_input_tokens"].max()) for batch in take(feed_of(), 5))
    take(feed_of(vocab_size=largest + 1), 5)
    with pytest.raises(InputError, match=rf"holds the token {largest}, the model has room for {largest}.*another vocabulary"):
        take(feed_of(vocab_size=largest), 5)
