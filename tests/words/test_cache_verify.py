"""`t0jax cache --verify` finds what was tampered with, and what reading meets is one sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cache_run import IMDB, IMDB_OTHER, cache, command, run, write_reviews

from t0jax.data.reader import CachedSplit
from t0jax.data.records import RecordFile, RecordWriter, encode_example
from t0jax.data.verify import verify
from t0jax.errors import InputError


@pytest.fixture
def sound(vocabulary: Path, tmp_path: Path) -> Path:
    write_reviews(tmp_path / "rows", 30)
    cache(tmp_path / "cache", tmp_path / "rows", vocabulary, IMDB, IMDB_OTHER, min_shards=3)
    return tmp_path / "cache"


def shard(output: Path, number: int = 1) -> Path:
    return output / IMDB / f"train.tfrecord-{number:05d}-of-00003"


def flip(output: Path) -> None:
    content = bytearray(shard(output).read_bytes())
    content[-20] ^= 4
    shard(output).write_bytes(content)


def truncate(output: Path) -> None:
    shard(output).write_bytes(shard(output).read_bytes()[:-20])


def remove(output: Path) -> None:
    shard(output).unlink()


def swap(output: Path) -> None:
    first, second = shard(output, 0), shard(output, 1)
    both = first.read_bytes(), second.read_bytes()
    first.write_bytes(both[1])
    second.write_bytes(both[0])


def miscount(output: Path) -> None:
    path = output / IMDB / "stats.train.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "inputs_tokens": 7}))


def forget_a_shard(output: Path) -> None:
    path = output / IMDB / "info.train.json"
    info = json.loads(path.read_text())
    path.write_text(json.dumps({**info, "shards": info["shards"][:2]}))


def write_a_list(output: Path) -> None:
    (output / IMDB / "info.train.json").write_text("[1]")


def change_the_length(output: Path) -> None:
    """A frame's length and the checksum of it."""
    content = bytearray(shard(output).read_bytes())
    content[8] ^= 1
    shard(output).write_bytes(content)


def forge(output: Path) -> None:
    """A record that is none, of the same size and with a sound checksum."""
    records = list(RecordFile(shard(output)))
    with RecordWriter(shard(output)) as writer:
        for number, record in enumerate(records):
            writer.write(b"\xff" * len(record) if number == 3 else record)


def rewrite(change: Callable[[int], int]) -> Callable[[Path], None]:
    """Other tokens, in records that are sound, of the same size."""

    def tamper(output: Path) -> None:
        path = shard(output)
        from t0jax.data.records import decode_example

        examples = [decode_example(record) for record in RecordFile(path)]
        examples[3]["targets"][-1] = change(int(examples[3]["targets"][-1]))
        with RecordWriter(path) as writer:
            for example in examples:
                writer.write(encode_example(example))

    return tamper


@pytest.mark.parametrize(
    ("tamper", "complaint"),
    [
        (flip, "00001-of-00003: record 9 does not match its checksum"),
        (truncate, r"00001-of-00003 has [\d,]+ bytes where its info says [\d,]+: it was changed"),
        (remove, "00001-of-00003 is missing: the split has 3 shards"),
        (miscount, r"its stats say 7 for inputs_tokens, its examples have \d+"),
        (forget_a_shard, r"info.train.json is damaged"),
        (forge, r"example 13 is no tf.train.Example"),
        (write_a_list, r"info.train.json is not a JSON object"),
        (change_the_length, "record 0 does not match its checksum"),
        (rewrite(lambda token: 2), "the targets of example 13 do not end with EOS"),
        (rewrite(lambda token: 120), "targets of example 13 holds a token from .* to 120; the vocabulary has 120"),
    ],
)
def test_tampering_is_found(tamper: Callable[[Path], None], complaint: str, sound: Path) -> None:
    tamper(sound)
    found = {one.task: one.problem for one in verify(sound, None, None, 120)}
    assert found[IMDB_OTHER] is None
    with pytest.raises(InputError, match=complaint):
        raise InputError(str(found[IMDB]))


def test_swapped_shards_are_refused_when_their_sizes_differ(sound: Path) -> None:
    swap(sound)
    [problem] = [one.problem for one in verify(sound, [IMDB], None, None) if one.problem]
    assert "it was changed" in problem


def test_a_shard_that_is_cut_off_is_refused_before_it_is_opened(sound: Path) -> None:
    truncate(sound)
    with pytest.raises(InputError, match=r"it was changed; remove the folder and run `t0jax cache --tasks"):
        CachedSplit(sound, IMDB, "train")


def test_the_command_says_which_splits_are_not_sound(sound: Path, vocabulary: Path, tmp_path: Path) -> None:
    words = command(sound, tmp_path / "rows", vocabulary, "--verify")
    assert "2 splits, 60 examples, all sound" in run(words)
    flip(sound)
    said = run(words, status=2)
    assert "record 9 does not match its checksum" in said
    assert said.endswith(f"t0jax: 1 of 2 splits in {sound} are not sound.\n")
    assert "1 splits, 30 examples, all sound" in run([*words, "--tasks", IMDB_OTHER, "--splits", "train"])


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        (([IMDB + "s"], None), f"holds no task '{IMDB}s'. Did you mean {IMDB}"),
        (([IMDB], ["test"]), "holds no split 'test'; it has train"),
    ],
)
def test_what_is_not_there_cannot_be_verified(asked: Any, complaint: str, sound: Path) -> None:
    with pytest.raises(InputError, match=complaint):
        verify(sound, *asked, None)
    with pytest.raises(InputError, match="holds no cached task"):
        verify(sound / "elsewhere", None, None, None)


def test_more_shards_are_open_than_the_first_limit_on_files(sound: Path) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
        for _ in range(40):
            split = CachedSplit(sound, IMDB, "train")
            assert [split[number]["targets"][-1] for number in (0, 15, 29)] == [1, 1, 1]
            opened.append(split)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
