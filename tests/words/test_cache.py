"""The cache is SeqIO's: SeqIO reads it, it equals the uncached tasks, and nothing in it is half-written."""

import dataclasses
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cache_run import IMDB, at, write_rows

from t0jax.cli.prepare import is_cached
from t0jax.data import records, universe
from t0jax.data.cache import cache_tasks
from t0jax.data.reader import CachedSplit
from t0jax.errors import InputError

COPA = "super_glue_copa_plausible_alternatives"
COPA_EFFECT = "super_glue_copa__As_a_result_C1_or_C2_"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory, sentence: Any) -> Path:
    """Rows in the schema of copa and imdb."""
    folder, random = tmp_path_factory.mktemp("rows"), np.random.default_rng(0)
    copa = [
        {
            "premise": sentence(random, 6),
            "choice1": sentence(random, 4),
            "choice2": sentence(random, 5),
            "question": ("cause", "effect")[number % 2],
            "idx": number,
            "label": int(random.integers(2)),
        }
        for number in range(40)
    ]
    imdb = [{"text": sentence(random, 30) + " Ünïcode ||| “quoted”", "label": number % 2} for number in range(60)]
    for split, first in (("train", 0), ("validation", 20)):
        write_rows(folder, "super_glue/copa", split, copa[first : first + 20])
    write_rows(folder, "imdb/default", "train", imdb)
    return folder


@pytest.fixture
def seqio_cache(tmp_path: Path) -> Iterator[Any]:
    """SeqIO, with tmp_path as its one cache and the names of before when it is over."""
    import seqio

    before = seqio.utils._GLOBAL_CACHE_DIRECTORIES[:]
    seqio.set_global_cache_dirs([str(tmp_path)])
    yield seqio
    seqio.set_global_cache_dirs(before)


def examples(task: Any, split: str, use_cached: bool) -> list[dict[str, Any]]:
    dataset = task.get_dataset(None, split=split, use_cached=use_cached, shuffle=False, try_in_mem_cache=False)
    return list(dataset.as_numpy_iterator())


def assert_same(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            assert np.asarray(one[name]).dtype == np.asarray(other[name]).dtype, name
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize(
    "case",
    [
        (COPA, "train", 20),
        (f"{COPA}_score_eval", "validation", 40),
        (COPA_EFFECT, "validation", 10),
        (f"{COPA_EFFECT}_score_eval", "validation", 20),
        (IMDB, "train", 60),
    ],
)
def test_cache_equals_the_uncached_seqio_task(
    case: tuple[str, str, int], data_dir: Path, vocabulary: Path, tmp_path: Path, seqio_cache: Any
) -> None:
    from t0jax.data.tasks import register

    name, split, number = case

    cached = cache_tasks([universe.task(name)], output_cache_dir=tmp_path, places=at(data_dir), vocabulary=vocabulary)
    assert number in [item.examples for item in cached]
    register(name, places=lambda: at(data_dir), vocabulary=seqio_cache.SentencePieceVocabulary(str(vocabulary)))
    task = seqio_cache.TaskRegistry.get(name)
    from_cache = examples(task, split, use_cached=True)
    assert len(from_cache) == number == task.get_cached_stats(split)["examples"]
    assert_same(from_cache, examples(task, split, use_cached=False))


def test_inputs_have_no_eos_and_targets_have_one(data_dir: Path, vocabulary: Path, tmp_path: Path) -> None:
    cache_tasks([universe.task(IMDB)], output_cache_dir=tmp_path, places=at(data_dir), vocabulary=vocabulary)
    for example in CachedSplit(tmp_path, IMDB, "train"):
        assert 1 not in example["inputs"]
        assert example["targets"].tolist().index(1) == len(example["targets"]) - 1


def test_rank_records_name_the_row_of_the_split(data_dir: Path, vocabulary: Path, tmp_path: Path) -> None:
    name = f"{COPA_EFFECT}_score_eval"
    cache_tasks([universe.task(name)], output_cache_dir=tmp_path, places=at(data_dir), vocabulary=vocabulary)
    split = CachedSplit(tmp_path, name, "validation", ("idx", "is_correct"))
    rows = [json.loads(line) for line in (data_dir / "super_glue/copa/validation.jsonl").read_text().splitlines()]
    expected = [
        ([row, choice], choice == rows[row]["label"])
        for row in range(20)
        if rows[row]["question"] == "effect"
        for choice in (0, 1)
    ]
    assert [(example["idx"].tolist(), bool(example["is_correct"])) for example in split] == expected


def test_mixture_has_the_rates_of_the_tables(data_dir: Path, vocabulary: Path, seqio_cache: Any) -> None:
    from t0jax.data.tasks import register

    register("t0++_train", places=lambda: at(data_dir), vocabulary=seqio_cache.SentencePieceVocabulary(str(vocabulary)))
    mixture = seqio_cache.MixtureRegistry.get("t0++_train")
    rates = {task.name: mixture.get_rate(task) for task in mixture.tasks}
    assert rates == {task.name: task.rate for task in universe.mixture_tasks("t0++_train")}


def test_rank_accuracy_takes_the_first_of_equal_scores_and_any_correct_choice() -> None:
    from t0jax.data.tasks import rank_accuracy

    targets = [((0, 0), False), ((0, 1), True), ((3, 0), True), ((3, 1), False), ((3, 2), True)]
    assert rank_accuracy(targets, [-2.0, -1.0, -5.0, -1.0, -1.0]) == {"accuracy": 50.0}
    assert rank_accuracy(targets, [-1.0, -1.0, -5.0, -4.0, -1.0]) == {"accuracy": 50.0}


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_what_is_cached_stays_until_rows_or_vocabulary_change(
    data_dir: Path, vocabulary: Path, tmp_path: Path, train_vocabulary: Any
) -> None:
    rows, output = tmp_path / "rows", tmp_path / "cache"
    lines = (data_dir / "imdb/default/train.jsonl").read_text().splitlines()
    path = write_rows(rows, "imdb/default", "train", [json.loads(line) for line in lines])

    def again(vocabulary: Path = vocabulary, **limits: int) -> bool:
        tasks = [universe.task(IMDB)]
        [item] = cache_tasks(tasks, output_cache_dir=output, places=at(rows), vocabulary=vocabulary, **limits)
        assert len(CachedSplit(output, IMDB, "train")) == item.examples
        return item.was_cached

    assert not again()
    before = times(output / IMDB)
    assert again()
    assert again(num_examples=60)
    assert times(output / IMDB) == before
    assert not again(num_examples=10)
    assert not again(vocabulary=train_vocabulary(tmp_path / "other.model", 90))
    path.write_text(path.read_text() + json.dumps({"text": "One more.", "label": 1}) + "\n")
    assert not again()
    assert len(CachedSplit(output, IMDB, "train")) == 61


def test_tables_that_split_a_dataset_otherwise_do_not_share_a_cache(vocabulary: Path, tmp_path: Path) -> None:
    """A split of one name may be other rows under other tables, as ag_news's train split in mini_t0_train."""
    task = universe.task(IMDB)
    other = dataclasses.replace(task, splits={"train": "test"})
    rows, cache = tmp_path / "rows", tmp_path / "cache"
    write_rows(rows, "imdb/default", "train", [{"text": f"Film {number}.", "label": number % 2} for number in range(60)])
    write_rows(rows, "imdb/default", "test", [{"text": "Another film.", "label": 0}])
    said: dict[str, Any] = {"places": at(rows), "vocabulary": vocabulary, "splits": ["train"]}
    cache_tasks([other], output_cache_dir=cache, **said)
    assert is_cached(cache, other, "train")
    for refused in (lambda: cache_tasks([task], output_cache_dir=cache, **said), lambda: is_cached(cache, task, "train")):
        with pytest.raises(
            InputError, match=r"made of the dataset's split 'test', these tables take 'train'.*cache of its own"
        ):
            refused()
    assert len(CachedSplit(cache, IMDB, "train")) == 1
    cache_tasks([task], output_cache_dir=cache, overwrite=True, **said)
    assert len(CachedSplit(cache, IMDB, "train")) == 60 and is_cached(cache, task, "train")
    info = cache / IMDB / "info.train.json"
    info.write_text(json.dumps({name: value for name, value in json.loads(info.read_text()).items() if name != "source"}))
    assert is_cached(cache, other, "train")  # SeqIO says nothing of it


def test_a_full_disk_leaves_nothing(data_dir: Path, vocabulary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []

    def write(self: records.RecordWriter, record: bytes) -> None:
        written.append(record)
        if len(written) == 30:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(records.RecordWriter, "write", write)
    with pytest.raises(InputError, match=r"No space left on device.*make room"):
        cache_tasks([universe.task(IMDB)], output_cache_dir=tmp_path, places=at(data_dir), vocabulary=vocabulary)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_replacement_is_not_taken_for_the_old_split(
    data_dir: Path, vocabulary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def once(**limits: int) -> Any:
        return cache_tasks(
            [universe.task(IMDB)],
            output_cache_dir=tmp_path,
            places=at(data_dir),
            vocabulary=vocabulary,
            **limits,
        )

    once()
    replace = os.replace

    def killed(source: Any, target: Any) -> None:
        if Path(target).name.startswith("info."):
            raise KeyboardInterrupt
        replace(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", killed)
        once(num_examples=5)
    with pytest.raises(InputError, match=r"info.train.json is missing"):
        CachedSplit(tmp_path, IMDB, "train")
    assert [item.was_cached for item in once(num_examples=5)] == [False]
