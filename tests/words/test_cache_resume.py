"""A cache that is killed, at whatever moment, is resumed: finished shards stay, half-written ones never count."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from cache_run import IMDB, IMDB_OTHER, cache, command, contents, run, write_reviews

from t0jax.data import cached_split, processes
from t0jax.data.files import Presence
from t0jax.data.parts import Part, Shard
from t0jax.data.reader import CachedSplit
from t0jax.errors import InputError

SHARDS = ("--tasks", IMDB, "--min_shards", "8")


def finished(output: Path) -> list[Path]:
    """Shards that wait for their split."""
    return [mark.with_suffix("") for mark in output.glob(".incomplete/imdb*/*.json")]


def interrupted(words: list[str], output: Path, number: int) -> tuple[int, str]:
    """Send a signal to a command once two shards are finished; its status and what it said."""
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while len(finished(output)) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(number)
    said = process.communicate(timeout=120)[1]
    return process.returncode, said


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    write_reviews(folder, 24_000, words=50)
    return folder


@pytest.fixture(scope="module")
def whole(many: Path, vocabulary: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("whole")
    cache(output, many, vocabulary, min_shards=8)
    return contents(output)


def test_killed_and_resumed_equals_uninterrupted_and_only_the_unfinished_is_done_again(
    many: Path, whole: dict[str, bytes], vocabulary: Path, tmp_path: Path
) -> None:
    words = command(tmp_path, many, vocabulary, *SHARDS)
    status, _ = interrupted(words, tmp_path, signal.SIGKILL)
    assert status == -signal.SIGKILL
    with pytest.raises(InputError, match="is not cached"):
        CachedSplit(tmp_path, IMDB, "train")
    time.sleep(2)  # its workers notice
    before = {path.name: path.stat().st_ino for path in finished(tmp_path)}
    assert 2 <= len(before) < 8
    said = run(words)
    assert f"{len(before)} of 8 shards had been finished before" in said
    assert {name: (tmp_path / IMDB / f"train.tfrecord-{name}").stat().st_ino for name in before} == before
    assert contents(tmp_path) == whole
    assert [path.name for path in tmp_path.iterdir()] == [IMDB]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_cache_keeps_its_shards_and_says_so(
    number: signal.Signals, status: int, many: Path, vocabulary: Path, tmp_path: Path
) -> None:
    ended, said = interrupted(command(tmp_path, many, vocabulary, *SHARDS), tmp_path, number)
    assert ended == status, said
    kept = len(finished(tmp_path))
    assert f"t0jax: {kept} of 8 shards are finished and stay in {tmp_path}: the same command goes on from there" in said
    assert said.endswith(f"t0jax: stopped by {number.name}\n") and "Traceback" not in said
    assert not list(tmp_path.glob(".incomplete/writing-*"))


def test_ctrl_c_on_a_terminal_reaches_workers_that_have_just_begun_and_nothing_is_said_but_that(
    many: Path, vocabulary: Path, tmp_path: Path
) -> None:
    words = command(tmp_path, many, vocabulary, *SHARDS)
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while len(psutil.Process(process.pid).children()) < 2 and process.poll() is None:  # one of them tracks resources
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=120)[1] == "t0jax: stopped by SIGINT\n"
    assert process.returncode == 130


# Runs in one process of its own, which forks: each child is killed at one call that opens or changes a file.
KILLED_AT_EVERY_CALL = """
import builtins, io, os, pathlib, shutil, signal, sys
sys.path.insert(0, sys.argv[1])
from cache_run import IMDB, IMDB_OTHER, cache, contents
from t0jax.data import processes
from t0jax.data.reader import CachedSplit
from t0jax.errors import InputError
processes.cores = lambda: 1
work, rows, vocabulary = map(pathlib.Path, sys.argv[2:5])

def child(action):
    process = os.fork()
    if not process:
        sys.stderr = open(os.devnull, "w")
        action()
        os._exit(0)
    return os.waitpid(process, 0)[1]

def once(output):
    cache(output, rows, vocabulary, IMDB, IMDB_OTHER, splits=["train"], min_shards=3)

def killed_at(call, output):
    left = [call]
    def counted(function):
        def wrapper(*arguments, **settings):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **settings)
        return wrapper
    for name in ("replace", "link", "unlink", "mkdir", "rmdir", "open"):
        setattr(os, name, counted(getattr(os, name)))
    builtins.open = io.open = counted(open)
    once(output)

once(work / "whole")
expected = contents(work / "whole")
(work / "old").mkdir()
cache(work / "old", rows, vocabulary, IMDB, splits=["train"], num_examples=4)
call, status = 0, -1
while status:
    call += 1
    output = work / "killed"
    shutil.copytree(work / "old", output)
    status = child(lambda: killed_at(call, output))
    assert status in (0, signal.SIGKILL), status
    for task in (IMDB, IMDB_OTHER):
        try:
            split = CachedSplit(output, task, "train")
        except InputError:
            continue
        files = {name: held for name, held in contents(output).items() if name.startswith(f"{task}/train.")}
        ours = {name: held for name, held in expected.items() if name.startswith(f"{task}/train.")}
        assert files == ours or (task == IMDB and len(list(split)) == 4), (call, task)
    assert child(lambda: once(output)) == 0
    assert contents(output) == expected, (call, contents(output).keys() ^ expected.keys())
    assert sorted(path.name for path in output.iterdir()) == sorted([IMDB, IMDB_OTHER]), call
    shutil.rmtree(output)
print(call)
"""


def test_killed_at_any_call_that_opens_or_changes_a_file_it_is_resumed(vocabulary: Path, tmp_path: Path) -> None:
    write_reviews(tmp_path / "rows", 7)
    words = [sys.executable, "-c", KILLED_AT_EVERY_CALL, str(Path(__file__).parent), *map(str, (tmp_path, tmp_path / "rows"))]
    done = subprocess.run([*words, str(vocabulary)], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50


def test_two_caches_of_one_split_at_the_same_time_do_not_trip_over_each_other(vocabulary: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    write_reviews(rows, 3000)
    words = command(tmp_path / "cache", rows, vocabulary, "--tasks", f"{IMDB},{IMDB_OTHER}", "--min_shards", "6")
    for more in ([], ["--num_examples", "2000"]):  # the same, then of other content
        both = [subprocess.Popen([*words, *flags], stderr=subprocess.PIPE, text=True) for flags in ([], more)]
        for process in both:
            said = process.communicate(timeout=120)[1]
            assert process.returncode == 0, said
        assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == sorted([IMDB, IMDB_OTHER])
        for task in (IMDB, IMDB_OTHER):
            assert len(list(CachedSplit(tmp_path / "cache", task, "train"))) in ((3000,) if not more else (2000, 3000))


def test_what_another_cache_is_at_work_on_is_not_removed(vocabulary: Path, tmp_path: Path) -> None:
    rows, output = tmp_path / "rows", tmp_path / "cache"
    write_reviews(rows, 20)
    left = output / ".incomplete" / "writing-1"
    left.mkdir(parents=True)
    with Presence(output):
        cache(output, rows, vocabulary)
        assert left.is_dir()
    cache(output, rows, vocabulary, num_examples=5)
    assert [path.name for path in output.iterdir()] == [IMDB]


def test_unfinished_work_with_other_fingerprints_goes_and_that_of_other_tasks_stays(
    vocabulary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "cores", lambda: 1)
    rows, output = tmp_path / "rows", tmp_path / "cache"
    write_reviews(rows, 20)

    def stop(*arguments: Any, **settings: Any) -> None:
        raise KeyboardInterrupt

    for limits in ({}, {"num_examples": 10}):
        for task in (IMDB, IMDB_OTHER):
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr("t0jax.data.cache.put_in_place", stop)
                cache(output, rows, vocabulary, task, **limits)
    assert len(finished(output)) == 2
    cache(output, rows, vocabulary, IMDB)
    assert [path.parent.name.rsplit(".", 2)[0] for path in finished(output)] == [IMDB_OTHER]


def test_shards_that_were_tampered_with_while_they_waited_are_made_again(
    vocabulary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, output = tmp_path / "rows", tmp_path / "cache"
    write_reviews(rows, 20)
    cache(output, rows, vocabulary, min_shards=2)
    expected = contents(output)

    def stop(*arguments: Any, **settings: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("t0jax.data.cache.put_in_place", stop)
        cache(output, rows, vocabulary, min_shards=2, overwrite=True)
    cut, marked = sorted(finished(output))
    cut.write_bytes(cut.read_bytes()[:-1])
    marked.with_name(f"{marked.name}.json").write_text("{")
    cache(output, rows, vocabulary, min_shards=2, overwrite=True)
    assert contents(output) == expected


def test_overwrite_replaces_what_is_there(vocabulary: Path, tmp_path: Path) -> None:
    rows, output = tmp_path / "rows", tmp_path / "cache"
    write_reviews(rows, 20)
    cache(output, rows, vocabulary)
    expected = contents(output)
    records = output / IMDB / "train.tfrecord-00000-of-00001"
    damaged = bytearray(records.read_bytes())
    damaged[40] ^= 1
    records.write_bytes(damaged)
    assert [item.was_cached for item in cache(output, rows, vocabulary)] == [True]  # its size is right
    assert [item.was_cached for item in cache(output, rows, vocabulary, overwrite=True)] == [False]
    assert contents(output) == expected


def test_without_hard_links_shards_are_renamed(vocabulary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tmp_path / "rows"
    write_reviews(rows, 20)
    cache(tmp_path / "linked", rows, vocabulary, min_shards=2)

    def refuse(*arguments: Any) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    cache(tmp_path / "renamed", rows, vocabulary, min_shards=2)
    assert contents(tmp_path / "renamed") == contents(tmp_path / "linked")


def test_shards_that_have_gone_are_said(vocabulary: Path, tmp_path: Path) -> None:
    from t0jax.data import universe

    part = Part(universe.task(IMDB), "train", "f" * 64, tmp_path)
    with pytest.raises(InputError, match="1 shards of train of imdb_Writer_Expressed_Sentiment have gone"):
        cached_split.put_in_place(part, [Shard(0, 1, 0, 5)])


def test_memory_does_not_grow_with_the_split(vocabulary: Path, tmp_path: Path) -> None:
    write_reviews(tmp_path / "few", 1000, words=600)
    large = write_reviews(tmp_path / "many", 25_000, words=600)
    code = f"""
import json, resource, sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from cache_run import cache
from t0jax.data import processes
processes.cores = lambda: 1
peaks = []
for name in ("few", "many"):
    cache(Path({str(tmp_path)!r}, "cache", name), Path({str(tmp_path)!r}, name), Path({str(vocabulary)!r}))
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
print(json.dumps(peaks))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    few, many = json.loads(done.stdout)
    written = sum(len(held) for held in contents(tmp_path / "cache/many").values())
    assert large.stat().st_size > 60e6 and written > 60e6
    assert many - few < 16e6, "of rows and records only a few are in memory"
