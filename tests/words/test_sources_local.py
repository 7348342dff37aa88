"""Rows of a user's own folder: read from any row on, remembered while the files stay the same, and fetched by hand."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as parquet
import pytest

from t0jax.config import SOURCES, DataConfig
from t0jax.data import universe
from t0jax.data.sources import by_hand, json_lines, memory
from t0jax.data.sources.local import open_local
from t0jax.data.sources.places import OPENERS, Places, open_split
from t0jax.data.sources.split import MissingRowsError, SplitRows
from t0jax.errors import InputError

Rows = list[dict[str, Any]]
STORY = ["InputStoryid", *(f"InputSentence{n}" for n in range(1, 5)), "RandomFifthSentenceQuiz1", "RandomFifthSentenceQuiz2"]


@pytest.fixture(autouse=True)
def own_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("T0JAX_CACHE", str(tmp_path / "memory"))
    return tmp_path / "memory"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data/imdb/default"
    folder.mkdir(parents=True)
    return folder


def made(count: int) -> Rows:
    return [
        {"text": f"Ünïcode {n}", "label": n % 2 or None, "idx": {"a": n, "b": [[n], []]}, "tags": ["x"] * (n % 3)}
        for n in range(count)
    ]


def write_lines(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_parquet(path: Path, rows: Rows, group: int = 300) -> None:
    path.parent.mkdir(exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=group)


def opened(folder: Path, split: str = "train", limit: int | None = None) -> SplitRows:
    return open_local(folder.parents[1], "imdb", None, split, limit)


def make_old(path: Path) -> None:
    """As if it had been written an hour ago: what was written just now is not remembered."""
    past = path.stat().st_mtime_ns - 3600 * 10**9
    os.utime(path, ns=(past, past))


def write_split(folder: Path, layout: str, rows: Rows) -> None:
    if layout == "lines":
        write_lines(folder / "train.jsonl", rows)
    elif layout == "one file":
        write_parquet(folder / "train.parquet", rows)
    else:
        names = [f"train-{n:05d}-of-00003.parquet" if layout == "shards" else f"train/{n:04d}.parquet" for n in range(3)]
        for name, part in zip(names, (rows[:700], rows[700:701], rows[701:]), strict=True):
            write_parquet(folder / name, part)


@pytest.mark.parametrize("layout", ["lines", "one file", "shards", "as the hub converts"])
def test_any_range_of_rows_is_that_slice_of_them(layout: str, folder: Path) -> None:
    rows = made(2500)
    write_split(folder, layout, rows)
    source = pickle.loads(pickle.dumps(opened(folder)))
    assert source == opened(folder)
    assert hash(source) == hash(opened(folder))
    assert source.num_rows == 2500
    assert list(source.read()) == rows
    for start, stop in (
        (0, 1),
        (299, 302),
        (699, 703),
        (1023, 1025),
        (1024, 2049),
        (2499, None),
        (2500, None),
        (7, 7),
        (5, 9999),
    ):
        assert list(source.read(start, stop)) == rows[start:stop]
    first = opened(folder, limit=750)
    assert (first.num_rows, list(first.read(740))) == (750, rows[740:750])
    assert first.fingerprint != source.fingerprint == opened(folder, limit=2500).fingerprint


def test_reading_does_not_parse_what_comes_before(folder: Path) -> None:
    write_lines(folder / "train.jsonl", made(1500))
    text = (folder / "train.jsonl").read_bytes()
    (folder / "train.jsonl").write_bytes(text.replace(b'"label"', b'"label', 1))
    source = opened(folder)
    assert len(list(source.read(1))) == 1499
    with pytest.raises(InputError, match="line 1 is not JSON"):
        next(iter(source.read()))


@pytest.mark.parametrize("layout", ["lines", "one file"])
def test_a_changed_row_changes_the_fingerprint(layout: str, folder: Path) -> None:
    rows = made(50)
    write_split(folder, layout, rows)
    before = opened(folder)
    rows[30]["text"] = "Ünïcode 31"
    write_split(folder, layout, rows)
    assert opened(folder).fingerprint != before.fingerprint
    make_old(folder / ("train.jsonl" if layout == "lines" else "train.parquet"))
    with pytest.raises(InputError, match="has changed since its rows were counted"):
        list(before.read())


def test_a_file_is_read_through_once_until_it_changes(folder: Path, own_memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, scans = folder / "train.jsonl", list[Path]()
    scan = json_lines._scan
    monkeypatch.setattr(json_lines, "_scan", lambda path, limit: (scans.append(path), scan(path, limit))[1])
    monkeypatch.setattr(memory, "_SETTLED_SECONDS", -1)  # its time of creation cannot be put into the past
    write_lines(path, made(40))
    sources = [opened(folder) for _ in range(3)]
    assert len(scans) == 1
    assert sources[0] == sources[2]
    path.write_bytes(path.read_bytes().replace(b"code 7", b"code 8"))
    assert opened(folder).fingerprint != sources[0].fingerprint
    assert len(scans) == 2
    for note in own_memory.rglob("*.json"):
        note.write_text("{ not whole")
    assert opened(folder).fingerprint != sources[0].fingerprint
    assert len(scans) == 3


def test_what_was_written_just_now_is_not_remembered(folder: Path, own_memory: Path) -> None:
    write_lines(folder / "train.jsonl", made(4))
    opened(folder)
    assert not own_memory.exists()


def test_a_memory_that_cannot_be_written_does_no_harm(folder: Path, own_memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_SETTLED_SECONDS", -1)
    own_memory.write_text("a file in the way")
    write_lines(folder / "train.jsonl", made(4))
    assert list(opened(folder).read()) == made(4)


def test_parts_that_are_missing_or_there_twice_are_named(folder: Path) -> None:
    write_split(folder, "shards", made(2000))
    (folder / "train-00001-of-00003.parquet").unlink()
    with pytest.raises(InputError, match="says that there are 3 files, but there are 2") as caught:
        opened(folder)
    assert not isinstance(caught.value, MissingRowsError)
    for part in folder.glob("*.parquet"):
        part.unlink()
    write_split(folder, "as the hub converts", made(2000))
    (folder / "train/0001.parquet").unlink()
    with pytest.raises(InputError, match="2 files, but none of number 1"):
        opened(folder)
    write_lines(folder / "test.jsonl", made(3))
    write_parquet(folder / "test.parquet", made(3))
    with pytest.raises(InputError, match=r"'test' is there twice, as .*test.jsonl and as .*test.parquet"):
        opened(folder, "test")
    with pytest.raises(MissingRowsError, match="has no split 'validation'; it has test, train: put the rows into"):
        opened(folder, "validation")


def test_a_file_that_is_not_parquet_is_named(folder: Path) -> None:
    (folder / "train.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(InputError, match=r"train.parquet cannot be read as Parquet") as caught:
        opened(folder)
    assert not isinstance(caught.value, MissingRowsError)


def test_sources_are_tried_in_the_order_given(tmp_path: Path, folder: Path) -> None:
    write_lines(folder / "train.jsonl", made(3))
    task = universe.task("imdb_Writer_Expressed_Sentiment")
    both = Places(order=("tfds", "local"), data_dir=str(tmp_path / "data"))
    assert open_split(both, task, "train").origin == f"local: {folder / 'train.jsonl'}"
    with pytest.raises(MissingRowsError, match=r"no --tfds_data_dir is given.* has no split 'test'"):
        open_split(both, task, "test")
    with pytest.raises(InputError, match=r"There is no source 'hubb'; there are local, tfds, hub, p3\. Did you mean hub\?"):
        Places(order=("hubb",))


def test_config_knows_the_sources() -> None:
    assert tuple(OPENERS) == SOURCES
    for wrong in ((), ("hubb",), ("hub", "hub")):
        with pytest.raises(InputError, match="one or several of local, tfds, hub, p3, each once"):
            DataConfig(mixture_or_task_name="t0_train", sources=wrong)


def test_story_cloze_says_what_to_do_by_hand_and_is_converted(tmp_path: Path) -> None:
    task, data = universe.task("story_cloze_2016_Generate_Ending"), tmp_path / "data"
    data.mkdir()
    with pytest.raises(MissingRowsError, match=r"form: https://cs.rochester.edu/nlp/rocstories/.*cloze_test_ALL_val.csv"):
        open_split(Places(data_dir=str(data)), task, "validation")
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    with pytest.raises(InputError, match="does not hold the files of story_cloze/2016"):
        by_hand.convert("story_cloze/2016", downloads, data)
    header, values = [*STORY, "AnswerRightEnding"], ["id-1", "A, b.", "Two.", "Three.", "Four.", 'He said "no".', "Yes.", "2"]
    lines = [header, values]
    text = "\r\n".join(",".join(f'"{value.replace(chr(34), chr(34) * 2)}"' for value in line) for line in lines)
    path = downloads / "cloze_test_val__spring2016 - cloze_test_ALL_val.csv"
    path.write_text(text, encoding="utf-8-sig")
    assert by_hand.convert("story_cloze/2016", downloads, data) == [data / "story_cloze/2016/validation.jsonl"]
    [row] = open_split(Places(data_dir=str(data)), task, "validation").read()
    assert row == {
        "story_id": "id-1",
        "input_sentence_1": "A, b.",
        "input_sentence_2": "Two.",
        "input_sentence_3": "Three.",
        "input_sentence_4": "Four.",
        "sentence_quiz1": 'He said "no".',
        "sentence_quiz2": "Yes.",
        "answer_right_ending": 2,
    }
    path.write_text(text.replace('"2"', '"3"'), encoding="utf-8")
    with pytest.raises(InputError, match="line 2: '3' should be one of 1, 2"):
        by_hand.convert("story_cloze/2016", downloads, data)
    assert [file.name for file in (data / "story_cloze/2016").iterdir()] == ["validation.jsonl"]


def test_jigsaw_leaves_out_comments_that_nobody_judged(tmp_path: Path) -> None:
    kinds = "toxic,severe_toxic,obscene,threat,insult,identity_hate"
    (tmp_path / "test.csv").write_text('id,comment_text\n1,"two\nlines"\n2,unjudged\n')
    (tmp_path / "test_labels.csv").write_text(f"id,{kinds}\n1,1,0,0,0,1,0\n2,-1,-1,-1,-1,-1,-1\n")
    [path] = by_hand.convert("jigsaw_toxicity_pred", tmp_path, tmp_path / "data")
    expected = dict(zip(kinds.split(","), (1, 0, 0, 0, 1, 0), strict=True))
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"comment_text": "two\nlines", **expected}]
    with pytest.raises(InputError, match=r"imdb is not converted .* these are: jigsaw_toxicity_pred, story_cloze/2016"):
        by_hand.convert("imdb", tmp_path, tmp_path)
