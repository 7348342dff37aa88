"""What a mixture packs into is told from a sample of it, and comes true in its batches."""

import dataclasses

import numpy as np
import pytest
from test_feed import take, write_split

from t0jax.config import DataConfig
from t0jax.data.feed import open_feed
from t0jax.data.fill import measure
from t0jax.errors import InputError

SIZES = [(3, 2), (5, 1), (9, 4), (2, 7), (8, 4), (12, 1)]  # of rows of 8 inputs and 4 targets


@pytest.fixture
def data(tmp_path):
    rows = [{"inputs": np.full(i, 9, np.int32), "targets": np.full(t, 9, np.int32)} for i, t in SIZES]
    write_split(tmp_path / "task", "train", rows)
    lengths = {"inputs": 8, "targets": 4}
    return DataConfig(mixture_or_task_name="task", cache_dir=str(tmp_path), task_feature_lengths=lengths, batch_size=2)


def test_a_sample_of_a_whole_epoch_is_what_a_count_by_hand_says(data):
    report = measure(dataclasses.replace(data, packing_bins=1), [("task", 1.0)], num_examples=6)
    assert (report.examples, report.mean_inputs, report.mean_targets) == (6, 34 / 6, 16 / 6)
    assert (report.truncated_inputs, report.truncated_targets) == (2 / 6, 1 / 6)
    unpacked = measure(dataclasses.replace(data, pack=False), [("task", 1.0)], num_examples=6)
    assert (unpacked.rows, unpacked.encoder_fill, unpacked.decoder_fill) == (6, 34 / 48, 16 / 24)
    packed = measure(data, [("task", 1.0)], num_examples=6)  # (3, 2) and (5, 1) share a row, nothing else fits together
    assert (packed.rows, packed.encoder_fill, packed.decoder_fill) == (5, pytest.approx(34 / 40), pytest.approx(16 / 20))
    assert packed.wide_share == 1


def test_the_sample_repeats_and_comes_true_in_the_batches(data, tmp_path):
    random = np.random.default_rng(0)
    sizes = np.stack([random.integers(1, 40, 500), np.where(random.random(500) < 0.05, 16, random.integers(1, 5, 500))], axis=1)
    write_split(tmp_path / "task", "train", [{"inputs": np.full(i, 9), "targets": np.full(t, 9)} for i, t in sizes])
    data = dataclasses.replace(data, task_feature_lengths={"inputs": 64, "targets": 24}, batch_size=8, narrow_targets=12)
    report = measure(data, [("task", 1.0)])
    assert report == measure(data, [("task", 1.0)]) and report.examples == 1 << 15
    feed = open_feed(data, [("task", 1.0)], process_index=0, process_count=1)
    batches = take(feed, 300)
    feed.close()
    assert 0.05 < report.wide_share < 0.5
    wide = np.mean([batch["decoder_segment_ids"].shape[1] == 24 for batch in batches])
    assert wide == pytest.approx(report.wide_share, abs=1 / 300)
    for side, expected in (("encoder", report.encoder_fill), ("decoder", report.decoder_fill)):
        segments = [batch[f"{side}_segment_ids"] for batch in batches]
        fill = sum((ids > 0).sum() for ids in segments) / sum(ids.size for ids in segments)
        assert fill == pytest.approx(expected, rel=0.02), "300 batches are a sample too"


def test_a_mixture_that_is_not_cached_says_so(data):
    with pytest.raises(InputError, match="Task 'other' is not cached"):
        measure(data, [("other", 1.0)])
