"""Reading SeqIO's cache: what is incomplete or tampered with is refused, and choices are grouped by example."""

import json

import numpy as np
import pytest

from t0jax.data.feed import rank_examples
from t0jax.data.reader import CachedSplit
from t0jax.data.records import RecordWriter, encode_example
from t0jax.errors import InputError

LENGTHS = {"inputs": 4, "targets": 3}


def write_split(folder, records, num_shards=2):
    folder.mkdir(parents=True)
    for shard in range(num_shards):
        with RecordWriter(folder / f"validation.tfrecord-{shard:05d}-of-{num_shards:05d}") as writer:
            for record in records[shard::num_shards]:
                writer.write(encode_example(record))
    features = {name: {"shape": [None], "dtype": "int32"} for name in records[0]}
    (folder / "info.validation.json").write_text(json.dumps({"num_shards": num_shards, "features": features}))
    (folder / "stats.validation.json").write_text(json.dumps({"examples": len(records)}))
    (folder / "COMPLETED").touch()


def choice(example, number, is_correct):
    tokens = {"inputs": np.full(example + 2, 9), "targets": np.array([number + 3, 7, 7, 1])}
    return {**tokens, "is_correct": is_correct, "idx": [example, number], "weight": 1.0}


CHOICES = [choice(example, number, number == example % 2) for example in (0, 1, 3) for number in range(2)]


@pytest.fixture
def cache(tmp_path):
    write_split(tmp_path / "task_score_eval", CHOICES)
    return tmp_path


def ranked(cache, num_examples=None):
    return list(rank_examples(cache, "task_score_eval", "validation", LENGTHS, num_examples))


def test_choices_are_grouped_by_example_whatever_their_order(tmp_path):
    write_split(tmp_path / "task_score_eval", CHOICES[::-1])
    examples = ranked(tmp_path)
    assert [example.example for example in examples] == [0, 1, 3]
    assert [example.is_correct for example in examples] == [(True, False), (False, True), (False, True)]
    assert [len(example.inputs) for example in examples] == [2, 3, 4]
    assert [targets.tolist() for targets in examples[0].choices] == [[3, 7, 7], [4, 7, 7]]
    assert examples[0].task == "task_score_eval"


def test_num_examples_takes_the_first_ones(cache):
    assert [example.example for example in ranked(cache, 2)] == [0, 1]


def test_choices_of_a_larger_vocabulary_are_refused(cache):
    with pytest.raises(InputError, match="holds the token 9, the model has room for 9"):
        list(rank_examples(cache, "task_score_eval", "validation", LENGTHS, vocab_size=9))


def test_a_lost_choice_is_refused(tmp_path):
    write_split(tmp_path / "task_score_eval", [*CHOICES[:2], CHOICES[3]])
    with pytest.raises(InputError, match="example 1 lacks choice 0"):
        ranked(tmp_path)


def test_shards_are_read_in_order(cache):
    split = CachedSplit(cache, "task_score_eval", "validation", ["idx"])
    assert [split[number]["idx"].tolist() for number in range(6)] == [record["idx"] for record in CHOICES[::2] + CHOICES[1::2]]
    assert split[-1]["idx"].dtype == np.int32
    with pytest.raises(IndexError):
        split[6]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "COMPLETED").unlink(), "caching did not finish.*t0jax cache --tasks task_score_eval"),
        (lambda folder: (folder / "validation.tfrecord-00001-of-00002").unlink(), "00001-of-00002 is missing"),
        (lambda folder: (folder / "stats.validation.json").write_text('{"examples": 7}'), "counts 7 .* hold 6"),
        (lambda folder: (folder / "stats.validation.json").write_text("{"), "not a JSON object"),
        (lambda folder: (folder / "stats.validation.json").unlink(), "is missing"),
        (lambda folder: (folder / "info.validation.json").unlink(), "splits cached for task_score_eval are none"),
        (lambda folder: folder.rename(folder.parent / "task_score_evil"), "not cached.*Did you mean task_score_evil"),
    ],
)
def test_a_cache_that_is_not_whole_is_refused(cache, damage, message):
    damage(cache / "task_score_eval")
    with pytest.raises(InputError, match=message):
        CachedSplit(cache, "task_score_eval", "validation")


def test_a_feature_that_was_not_cached_is_refused(cache):
    with pytest.raises(InputError, match="no feature 'answer'"):
        CachedSplit(cache, "task_score_eval", "validation", ["answer"])
