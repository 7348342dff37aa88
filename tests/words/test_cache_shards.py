"""A split of many rows is several shards, and its bytes depend on the rows alone: not on workers, and not on Beam."""

import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from cache_run import IMDB, IMDB_OTHER, at, cache, command, contents, run, write_reviews

from t0jax.data import beam, processes, records
from t0jax.data import cache as caching
from t0jax.data.parts import shards
from t0jax.data.reader import CachedSplit
from t0jax.errors import InputError

TASKS = (IMDB, IMDB_OTHER, f"{IMDB}_score_eval")
FLAGS = ("--tasks", ",".join(TASKS), "--splits", "train", "--min_shards", "3")


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    write_reviews(folder, 100)
    return folder


@pytest.fixture(scope="module")
def whole(rows: Path, vocabulary: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache as one process writes it."""
    output = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "cores", lambda: 1)
        cache(output, rows, vocabulary, *TASKS, splits=["train"], min_shards=3)
    return output


@pytest.mark.parametrize(
    ("num_rows", "min_shards", "expected"),
    [
        (0, 1, [(0, 0)]),
        (10, 1, [(0, 10)]),
        (11, 1, [(0, 5), (5, 11)]),
        (25, 2, [(0, 8), (8, 16), (16, 25)]),
        (2, 4, [(0, 1), (1, 2)]),
    ],
)
def test_shards_are_contiguous_ranges_that_the_rows_decide(
    num_rows: int, min_shards: int, expected: list[tuple[int, int]]
) -> None:
    found = shards(num_rows, 10, min_shards)
    assert [(shard.start, shard.stop) for shard in found] == expected
    assert [shard.name for shard in found] == [f"{n:05d}-of-{len(expected):05d}" for n in range(len(expected))]


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_write_what_one_process_writes(
    workers: int, rows: Path, whole: Path, vocabulary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "cores", lambda: workers)
    monkeypatch.setattr(caching, "_UNIT_SIZE", 40)
    cached = cache(tmp_path, rows, vocabulary, *TASKS, splits=["train"], min_shards=3)
    assert {(item.task, item.examples, item.shards) for item in cached} == {
        (IMDB, 100, 3),
        (IMDB_OTHER, 100, 3),
        (f"{IMDB}_score_eval", 200, 3),
    }
    assert contents(tmp_path) == contents(whole)
    assert len(contents(whole)) == 3 * (3 * 2 + 3)  # three tasks: records and their index, thrice; info, stats, COMPLETED


def test_shards_hold_the_rows_in_their_order(rows: Path, whole: Path, vocabulary: Path, tmp_path: Path) -> None:
    cache(tmp_path, rows, vocabulary, *TASKS, splits=["train"])
    for task in TASKS:
        features = ("inputs", "targets", *(["idx", "is_correct"] if task.endswith("_score_eval") else []))
        one, three = (list(CachedSplit(folder, task, "train", features)) for folder in (tmp_path, whole))
        assert [{name: values.tolist() for name, values in example.items()} for example in one] == [
            {name: values.tolist() for name, values in example.items()} for example in three
        ]
        stats = [json.loads((folder / task / "stats.train.json").read_text()) for folder in (tmp_path, whole)]
        assert stats[0] == stats[1]


def test_beam_writes_what_one_process_writes(rows: Path, whole: Path, vocabulary: Path, tmp_path: Path) -> None:
    options = ("--runner=DirectRunner", "--beam_options=direct_num_workers=2,direct_running_mode=multi_threading")
    said = run(command(tmp_path, rows, vocabulary, *FLAGS, *options))
    assert "400 examples" in said
    assert contents(tmp_path) == contents(whole)


def test_what_is_wrong_with_a_row_comes_back_from_beam(vocabulary: Path, tmp_path: Path) -> None:
    path = write_reviews(tmp_path / "rows", 20)
    path.write_text(path.read_text() + json.dumps({"review": "no text"}) + "\n")
    said = run(command(tmp_path / "cache", tmp_path / "rows", vocabulary, *FLAGS, "--runner=DirectRunner"), status=2)
    assert f"t0jax: Task {IMDB}" in said and "row 20 of train: The template" in said and "Traceback" not in said
    assert "6 of 9 shards are finished and stay" in said
    assert not list((tmp_path / "cache").glob("*/info.*"))


def test_beam_is_asked_for_when_it_is_not_there(
    rows: Path, vocabulary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(InputError, match=r"needs Apache Beam: install t0jax\[beam\]"):
        cache(tmp_path, rows, vocabulary, runner="DirectRunner")


def test_a_bucket_is_no_place_for_the_cache(rows: Path, vocabulary: Path) -> None:
    with pytest.raises(InputError, match="gs://bucket/cache: give --output_cache_dir a path"):
        cache("gs://bucket/cache", rows, vocabulary)  # type: ignore[arg-type]


def test_seqio_reads_several_shards(rows: Path, whole: Path, vocabulary: Path) -> None:
    import seqio

    from t0jax.data.tasks import register

    before = seqio.utils._GLOBAL_CACHE_DIRECTORIES[:]
    seqio.set_global_cache_dirs([str(whole)])
    try:
        name = f"{IMDB}_score_eval"
        register(name, places=lambda: at(rows), vocabulary=seqio.SentencePieceVocabulary(str(vocabulary)))
        task = seqio.get_mixture_or_task(name)
        both = [
            list(task.get_dataset(None, split="train", use_cached=is_cached, shuffle=False).as_numpy_iterator())
            for is_cached in (True, False)
        ]
        shard = task.get_dataset(
            None, split="train", use_cached=True, shuffle=False, shard_info=seqio.ShardInfo(index=1, num_shards=3)
        )
        in_shard = sorted({int(example["idx"][0]) for example in shard.as_numpy_iterator()})
    finally:
        seqio.set_global_cache_dirs(before)
    assert len(both[0]) == len(both[1]) == 200
    in_order = [sorted(examples, key=lambda example: example["idx"].tolist()) for examples in both]
    for one, other in zip(*in_order, strict=True):
        assert {name: str(value) for name, value in one.items()} == {name: str(value) for name, value in other.items()}
    assert in_shard == list(range(33, 66))


def test_a_full_disk_keeps_the_shards_that_are_finished(
    rows: Path, whole: Path, vocabulary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(processes, "cores", lambda: 1)
    written = []
    write = records.RecordWriter.write

    def full(self: records.RecordWriter, record: bytes) -> None:
        written.append(record)
        if len(written) == 50:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(self, record)

    with monkeypatch.context() as patch, pytest.raises(InputError, match=r"No space left on device.*make room"):
        patch.setattr(records.RecordWriter, "write", full)
        cache(tmp_path, rows, vocabulary, splits=["train"], min_shards=3)
    assert "1 of 3 shards are finished and stay" in capsys.readouterr().err
    cache(tmp_path, rows, vocabulary, splits=["train"], min_shards=3)
    assert "1 of 3 shards had been finished before" in capsys.readouterr().err
    assert contents(tmp_path) == {name: held for name, held in contents(whole).items() if name.startswith(f"{IMDB}/")}


def test_beam_s_complaint_names_an_unknown_runner(tmp_path: Path) -> None:
    pytest.importorskip("apache_beam")
    with pytest.raises(InputError, match=r"Beam does not take --runner=NoRunner: Unexpected pipeline runner: NoRunner"):
        beam.run_on_beam([], "NoRunner", [], tmp_path)
