"""Steps with a narrower decoder: the same on all hosts, resumable, nothing lost, and no stream left waiting for ever."""

import itertools
import json

import numpy as np
import pytest
from test_feed import assert_equal, cache, feed_of, take, unpacked  # noqa: F401

from t0jax.batch import FEATURES
from t0jax.config import DataConfig
from t0jax.data import feed as feed_module
from t0jax.data.packing import BestFit, Rows
from t0jax.data.shapes import PARTS, Shapes, shapes_for
from t0jax.errors import InputError

P3_LENGTHS = {"inputs": 1024, "targets": 256}


@pytest.fixture
def narrow_feed(feed_of, monkeypatch):  # noqa: F811
    """Opens feeds of rows of 32 targets, or 16 in narrow steps; which come how often is told from 600 examples."""
    monkeypatch.setattr(feed_module, "SAMPLE", 600)
    defaults = {"narrow_targets": 16, "task_feature_lengths": {"inputs": 64, "targets": 32}}
    return lambda *tasks, **options: feed_of(*tasks, **{**defaults, **options})


def widths(batches):
    return [batch["decoder_segment_ids"].shape[1] for batch in batches]


def rows_of(sizes, **options):
    """Rows of endlessly repeated examples of these (inputs, targets) sizes; example n's tokens are all n."""
    examples = [{"inputs": np.full(i, n), "targets": np.full(t, n)} for n, (i, t) in enumerate(sizes)]

    class Endless:
        def __getitem__(self, index):
            return examples[index % len(examples)]

    defaults = {"stream": 0, "num_streams": 1, "task_feature_lengths": P3_LENGTHS, "num_open": 16, "narrow_targets": 128}
    return Rows(Endless(), **{**defaults, **options})


@pytest.mark.parametrize("pack", [True, False])
def test_both_shapes_hold_whole_examples(narrow_feed, pack):
    batches = take(narrow_feed(pack=pack), 40)
    assert set(widths(batches)) == {32, 16}
    for batch in batches:
        assert {batch[name].shape for name in FEATURES if name.startswith("decoder")} == {(8, widths([batch])[0])}
        for inputs, targets in unpacked(batch):
            assert inputs[:2].tolist() == targets[:2].tolist(), "an example's sides stay together"


@pytest.mark.parametrize("hosts", [2, 4])
def test_hosts_agree_on_every_shape_and_batch(narrow_feed, hosts):
    shares = [take(narrow_feed(host=host, hosts=hosts), 20) for host in range(hosts)]
    assert all(widths(share) == widths(shares[0]) for share in shares)
    joined = [
        {name: np.concatenate([part[name] for part in parts]) for name in FEATURES} for parts in zip(*shares, strict=True)
    ]
    assert_equal(joined, take(narrow_feed(), 20))


def test_a_position_with_waiting_rows_resumes_bit_for_bit_on_other_hosts(narrow_feed):
    two = [narrow_feed(host=host, hosts=2) for host in range(2)]
    positions = []
    while not any(stream["waiting"] for position in positions for stream in position["streams"].values()):
        for feed in two:
            next(feed)
        positions = [json.loads(json.dumps(feed.position())) for feed in two]
    merged = {**positions[0], "streams": {**positions[0]["streams"], **positions[1]["streams"]}}
    one = narrow_feed()
    take(one, 2)
    one.seek(merged)
    assert one.position() == merged
    parts = zip(*(take(feed, 40) for feed in two), strict=True)  # several epochs of every task
    assert_equal(take(one, 40), [{name: np.concatenate([a[name], b[name]]) for name in FEATURES} for a, b in parts])


def test_narrow_steps_change_the_order_of_rows_only():
    sizes = np.random.default_rng(0).integers(1, [300, 40], (3000, 2))
    plain, sorted_ = rows_of(sizes), rows_of(sizes)
    shapes = Shapes(256, 128, PARTS // 4)
    taken = [row for step in range(200) for row in sorted_.take(3, shapes.targets_length(step))]
    waiting = [[int(index) % 3000 for index in row.split()] for row in sorted_.get_state()["waiting"]]
    found = [[int(example["inputs"][0]) for example in row] for row in taken] + waiting
    expected = [[int(example["inputs"][0]) for example in row] for row in itertools.islice(plain, len(found))]
    assert waiting and sorted(found) == sorted(expected)
    assert sorted_.get_state()["open"] == plain.get_state()["open"]


def test_packing_with_narrow_steps_loses_and_repeats_nothing():
    rows = rows_of(np.random.default_rng(0).integers(1, [300, 40], (6000, 2)))
    shapes = Shapes(256, 128, PARTS // 2)
    done = [
        int(example["inputs"][0]) for step in range(400) for row in rows.take(2, shapes.targets_length(step)) for example in row
    ]
    state = rows.get_state()
    left = [int(number) for row in state["open"] + state["waiting"] for number in row.split()]
    assert state["next"] < 6000 and sorted(done + left) == list(range(state["next"]))


def mixture(name: str, random: np.random.Generator, number: int) -> np.ndarray:
    """(inputs, targets) sizes of examples that make it hard."""
    inputs, is_long = random.integers(8, 300, number), random.random(number)
    inputs[:] = 600 if name.startswith("one a row") else inputs
    targets = {
        "all long": np.full(number, 200),
        "all short": np.full(number, 3),
        "just fitting": np.full(number, 128),
        "one in 10,000 long": np.where(is_long < 1e-4, 200, 3),
        "one in 100 long": np.where(is_long < 0.01, 200, 3),
        "one a row, half long": np.where(is_long < 0.5, 200, 3),
        "one a row, three in four long": np.where(is_long < 0.75, 200, 3),
        "in bursts": np.where(np.arange(number) // 100 % 10 == 0, 200, 3),
    }[name]
    return np.stack([inputs, targets], axis=1)


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("all long", 1, 1),
        ("all short", 0.0002, 0.02),
        ("just fitting", 0.9, 1),
        ("one in 10,000 long", 0.0002, 0.02),
        ("one in 100 long", 0.05, 0.2),
        ("one a row, half long", 0.5, 0.6),
        ("one a row, three in four long", 0.75, 0.85),
        ("in bursts", 0.3, 0.9),
    ],
)
def test_rows_that_wait_stay_few_in_any_mixture(name, least, most):
    random, per_step = np.random.default_rng(0), 4
    packer = BestFit((1024, 256), 16, 128)
    sample = mixture(name, random, 8192)
    rows = [*(packer.add(number, tuple(size)) for number, size in enumerate(sample.tolist())), *packer.open]
    shapes = shapes_for(np.array([sample[row, 1].sum() for row in rows if row]), 256, 128)
    assert least <= shapes.wide_steps / PARTS <= most
    packed = rows_of(mixture(name, random, 20_000))
    waiting = []
    for step in range(700):
        packed.take(per_step, shapes.targets_length(step))
        waiting.append(len(packed.get_state()["waiting"]))
    assert max(waiting) < 200, "far below the limit of 16 * 4 + 512"
    assert min(waiting[350:]) <= 20, "and they get their turn"


def test_steps_are_spread_evenly_and_the_first_is_wide():
    for wide in (1, 5, 1000, 2048, 4095, PARTS):
        lengths = np.array([Shapes(16, 8, wide).targets_length(step) for step in range(2 * PARTS)])
        assert lengths[0] == 16
        assert (lengths[:PARTS] == 16).sum() == (lengths[PARTS:] == 16).sum() == wide
        ahead = np.cumsum(lengths == 16) * PARTS - np.arange(1, 2 * PARTS + 1) * wide
        assert (abs(ahead) < PARTS).all(), "never a whole step from its share"


def test_more_steps_are_wide_than_the_sample_s_rows():
    assert shapes_for(np.repeat([129, 128], [200, 800]), 256, 128) == Shapes(256, 128, 1115)  # (200 + 56 + 16) / 1000 of 4096
    assert shapes_for(np.repeat([129, 128], [0, 1000]), 256, 128) == Shapes(256, 128, 66)
    assert shapes_for(np.repeat([129, 128], [800, 200]), 256, 128) == Shapes(256, 128, PARTS)


def test_too_many_waiting_rows_end_in_a_sentence_and_can_be_taken_without_narrow_steps():
    rows = rows_of([(600, 200)] * 20 + [(600, 3)])
    rows.take(1, 128)  # long ones that were read before it wait
    state = rows.get_state()
    with pytest.raises(
        InputError, match=r"529 rows with more target tokens than DataConfig\.narrow_targets.*narrow_targets=None"
    ):
        for _ in range(100):
            rows.take(1, 128)
    wide = rows_of([(600, 200)] * 20 + [(600, 3)], narrow_targets=None)
    wide.set_state(state)
    expected = [int(index) % 21 for index in state["waiting"]]
    assert [int(row[0]["inputs"][0]) for row in wide.take(len(expected), 256)] == expected
    assert wide.get_state()["waiting"] == []


def test_a_run_may_give_narrow_steps_up_and_not_change_them(narrow_feed):
    feed = narrow_feed()
    take(feed, 9)
    saved = feed.position()
    with pytest.raises(InputError, match=r"narrow_targets, wide steps \[16, \d+\], not \[20, \d+\]"):
        narrow_feed(narrow_targets=20).seek(saved)
    with pytest.raises(InputError, match=r"narrow_targets, wide steps None, not \[16"):
        feed.seek(narrow_feed(narrow_targets=None).position())
    wide = narrow_feed(narrow_targets=None)
    wide.seek(saved)
    assert set(widths(take(wide, 10))) == {32}


def test_a_position_from_before_narrow_steps_is_taken(narrow_feed):
    feed, other = narrow_feed(narrow_targets=None), narrow_feed(narrow_targets=None)
    take(feed, 3)
    position = feed.position()
    del position["step"], position["data"]["narrow_targets, wide steps"]
    for stream in position["streams"].values():
        del stream["waiting"]
    other.seek(position)
    assert_equal(take(other, 3), take(feed, 3))


def test_a_narrow_length_is_shorter_than_the_targets():
    for narrow in (0, 256, 300):
        with pytest.raises(InputError, match=rf"narrow_targets is {narrow}; it must be None, or above 0 and below 256"):
            DataConfig(mixture_or_task_name="mixture", narrow_targets=narrow)
