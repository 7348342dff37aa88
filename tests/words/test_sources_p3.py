"""The published P3 as rows that are prompted already: from the hub, a copy of it, or SeqIO's TFRecords of an older mirror."""

import io
import json
import pickle
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as parquet
import pytest
from hub_server import Hub

from t0jax.data import universe
from t0jax.data.cache import cache_tasks
from t0jax.data.reader import CachedSplit
from t0jax.data.records import RecordWriter, encode_example
from t0jax.data.sources import p3
from t0jax.data.sources.hub_lock import P3_REPO
from t0jax.data.sources.locking import lock_tasks
from t0jax.data.sources.places import Places, open_split
from t0jax.data.sources.split import MissingRowsError
from t0jax.data.vocabulary import Vocabulary
from t0jax.errors import InputError
from t0jax.prompts.render import Prompted

Rows = list[dict[str, Any]]
PLAIN = "winogrande_winogrande_xl_does_underscore_refer_to"
RANKED = f"{PLAIN}_score_eval"

# The two examples of P3's own card, with its token ids.
SAFE = {
    "answer_choices": ["safe", "trolley"],
    "inputs": "86 8 7142 666 6 405 8 3 834 1518 21 1346 42 31682 58 37 3 929 9 3042 63 2765 808 8 2045 6448 326 13 8 31682 11 "
    "3 24052 135 16 8 1346 552 8 3 834 47 6364 5",
    "inputs_pretokenized": "In the sentence below, does the _ stand for safe or trolley?\n"
    "The treasury workers took the gold bars off of the trolley and stacked them in the safe until the _ was empty.",
    "targets": "31682 1",
    "targets_pretokenized": "\ntrolley",
}
KYLE = {
    "idx": "5 0",
    "inputs": "86 8 7142 666 6 405 8 3 834 1518 21 19454 42 22227 58 19454 744 31 17 2112 4553 17742 7 12 1953 6 298 22227 966 "
    "373 405 5 3 834 19 72 952 12 619 16 3 9 17742 3298 5",
    "inputs_pretokenized": "In the sentence below, does the _ stand for Kyle or Logan?\n"
    "Kyle doesn't wear leg warmers to bed, while Logan almost always does. _ is more likely to live in a warmer climate.",
    "is_correct": True,
    "targets": "19454 1",
    "targets_pretokenized": "Kyle",
    "weight": 1.0,
}


@pytest.fixture(autouse=True)
def own_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T0JAX_CACHE", str(tmp_path / "memory"))


def record(texts: dict[str, Any]) -> dict[str, Any]:
    """A record with its token ids as numbers."""
    return texts | {name: list(map(int, texts[name].split())) for name in ("inputs", "targets", "idx") if name in texts}


def plain(count: int) -> Rows:
    return [record(SAFE | {"inputs_pretokenized": f"Which, {n}?", "targets_pretokenized": f" {n}"}) for n in range(count)]


def ranked(rows: int) -> tuple[Rows, list[Prompted]]:
    """Records of rows with two, three or four choices each, and what they mean."""
    records, meaning = Rows(), []
    for row in range(rows):
        choices = tuple(f"choice {n}" for n in range(2 + row % 3))
        question = f"Which, {row}?"
        meaning.append(Prompted(question, choices[row % 2], choices))
        for number, choice in enumerate(choices):
            texts = {"inputs_pretokenized": question, "targets_pretokenized": choice, "is_correct": number == row % 2}
            records.append(record(KYLE | texts) | {"idx": [row * 2, number]})
    return records, meaning


def write(folder: Path, task: str, form: str, records: Rows, split: str = "validation") -> None:
    """A task of a mirror, in two files where there are many records."""
    folder = folder / "data" / task if form == "tfrecords" else folder / task
    folder.mkdir(parents=True)
    parts = [records[: len(records) // 2], records[len(records) // 2 :]] if len(records) > 9 else [records]
    for number, part in enumerate(parts):
        name = f"{split}{{}}-{number:05d}-of-{len(parts):05d}"
        if form == "tfrecords":
            with RecordWriter(folder / name.format(".tfrecord")) as writer:
                for one in part:
                    writer.write(encode_example(one))
        else:
            parquet.write_table(pyarrow.Table.from_pylist(part), folder / (name.format("") + ".parquet"))
    for index in folder.glob("*.npy"):
        index.unlink()  # P3 has none
    (folder / f"stats.{split}.json").write_text(json.dumps({"examples": len(records)}))


def at(folder: Path) -> Places:
    return Places(order=("p3",), p3_dir=str(folder))


@pytest.mark.parametrize("form", ["tfrecords", "parquet"])
def test_rows_are_prompted_and_targets_lose_their_space(form: str, tmp_path: Path) -> None:
    write(tmp_path, PLAIN, form, [record(SAFE)])
    rows = open_split(at(tmp_path), universe.task(PLAIN), "validation")
    assert list(rows.read()) == [Prompted(SAFE["inputs_pretokenized"], "trolley", ("safe", "trolley"))]


@pytest.mark.parametrize("form", ["tfrecords", "parquet"])
def test_any_range_of_rows_is_that_slice_of_them(form: str, tmp_path: Path) -> None:
    write(tmp_path, PLAIN, form, plain(50))
    records, meaning = ranked(1500)
    write(tmp_path, RANKED, form, records)
    texts = [Prompted(f"Which, {n}?", str(n), ("safe", "trolley")) for n in range(50)]
    for task, expected in ((PLAIN, texts), (RANKED, meaning)):
        rows = pickle.loads(pickle.dumps(open_split(at(tmp_path), universe.task(task), "validation")))
        assert rows.num_rows == len(expected)
        assert list(rows.read()) == expected
        for start, stop in ((0, 1), (24, 27), (1023, 1026), (1100, 1103), (len(expected) - 1, None), (8, 8)):
            assert list(rows.read(start, stop)) == expected[start:stop]
        first = open_split(at(tmp_path), universe.task(task), "validation", limit=30)
        assert (first.num_rows, list(first.read(28))) == (30, expected[28:30])
        assert first.fingerprint != rows.fingerprint


def test_a_twin_that_p3_lacks_is_made_of_the_task_itself(tmp_path: Path) -> None:
    base = "imdb_Movie_Expressed_Sentiment"
    texts = {"inputs_pretokenized": "A film.", "targets_pretokenized": " positive", "answer_choices": ["negative", "positive"]}
    write(tmp_path, base, "parquet", [record(SAFE | texts)], split="train")
    rows = open_split(at(tmp_path), universe.task(f"{base}_score_eval"), "train")
    assert list(rows.read()) == [Prompted("A film.", "positive", ("negative", "positive"))]


def test_tokenizing_p3s_texts_gives_p3s_own_ids(t5_vocabulary: Path) -> None:
    vocabulary = Vocabulary(t5_vocabulary)
    for example in (record(SAFE), record(KYLE)):
        texts = [example["inputs_pretokenized"], example["targets_pretokenized"].strip()]
        inputs, targets = (list(map(int, ids)) for ids in vocabulary.encode(texts))
        assert (inputs, [*targets, 1]) == (example["inputs"], example["targets"])


def test_p3_is_cached_as_it_is(tmp_path: Path, vocabulary: Path) -> None:
    records, meaning = ranked(4)
    write(tmp_path / "p3", RANKED, "tfrecords", records)
    write(tmp_path / "p3", PLAIN, "parquet", plain(7))
    cache, tasks = tmp_path / "cache", [universe.task(RANKED), universe.task(PLAIN)]  # of one dataset, with rows of their own
    cache_tasks(tasks, output_cache_dir=cache, places=at(tmp_path / "p3"), vocabulary=vocabulary, splits=["validation"])
    cached = CachedSplit(cache, RANKED, "validation", ("idx", "is_correct"))
    choices = [(row, number) for row, prompt in enumerate(meaning) for number in range(len(prompt.answer_choices or ()))]
    assert [tuple(example["idx"].tolist()) for example in cached] == choices
    assert len(CachedSplit(cache, PLAIN, "validation")) == 7
    assert [bool(example["is_correct"]) for example in cached] == [number == row % 2 for row, number in choices]


def test_what_p3_does_not_have_can_be_skipped(tmp_path: Path) -> None:
    for name, split, sentence in (
        ("story_cloze_2016_Generate_Ending", "validation", "P3 has no task story_cloze_2016_Generate_Ending"),
        ("winogrande_winogrande_xl_True_or_False", "train", "P3 has no task winogrande_winogrande_xl_True_or_False"),
        (
            "adversarial_qa_dbert_based_on",
            "test",
            "P3's adversarial_qa_dbert_based_on has no split 'test'; it has train, validation",
        ),
        (PLAIN, "validation", f"has no folder {PLAIN}, nor data/{PLAIN}"),
    ):
        with pytest.raises(MissingRowsError, match=sentence):
            open_split(at(tmp_path), universe.task(name), split)
    write(tmp_path, PLAIN, "parquet", plain(3), split="train")
    with pytest.raises(MissingRowsError, match="has no split 'validation'"):
        open_split(at(tmp_path), universe.task(PLAIN), "validation")


def test_a_damaged_mirror_is_not_skipped(tmp_path: Path) -> None:
    task = universe.task(PLAIN)
    write(tmp_path, PLAIN, "tfrecords", plain(20))
    shard = tmp_path / "data" / PLAIN / "validation.tfrecord-00001-of-00002"
    whole = shard.read_bytes()
    for damage, sentence in (
        (lambda: shard.write_bytes(whole[:-3]), "cut off or its length is damaged: copy the task again"),
        (lambda: shard.write_bytes(whole[:20] + b"?" + whole[21:]), "copy the task again"),
        (lambda: shard.write_bytes(b""), "counts 20 examples, the files hold 10: copy the task again"),
        (shard.unlink, "has 1 of the 2 files of validation: copy all"),
    ):
        damage()
        with pytest.raises(InputError, match=sentence) as caught:
            list(open_split(at(tmp_path), task, "validation").read())
        assert not isinstance(caught.value, MissingRowsError)


def test_files_that_are_not_p3s_are_named(tmp_path: Path) -> None:
    write(tmp_path, PLAIN, "parquet", [{"text": "a"}])
    with pytest.raises(InputError, match="has a record without inputs_pretokenized"):
        list(open_split(at(tmp_path), universe.task(PLAIN), "validation").read())
    write(tmp_path, RANKED, "parquet", [{"text": "a"}])
    with pytest.raises(InputError, match=r"cannot be read as Parquet|has a record without idx"):
        open_split(at(tmp_path), universe.task(RANKED), "validation")


def test_the_hub_has_a_configuration_for_each_task(server: Hub, tmp_path: Path) -> None:
    files = {}
    for split, rows in (("train", 80_796), ("validation", 2_534), ("test", 3_534)):
        written = io.BytesIO()
        records = pyarrow.concat_tables([pyarrow.Table.from_pylist(ranked(1)[0])] * (rows // 2))
        idx = pyarrow.array([[number // 2, number % 2] for number in range(rows)])
        parquet.write_table(records.set_column(records.column_names.index("idx"), "idx", idx), written)
        files[f"{RANKED}/{split}-00000-of-00001.parquet"] = written.getvalue()
    server.commit(P3_REPO, files)
    places, task = Places(order=("p3",), hub_lock=str(tmp_path / "my.lock")), universe.task(RANKED)
    with pytest.raises(InputError, match=r"bigscience/P3 is not locked to a commit: give --p3_dir, .* or run `t0jax"):
        open_split(Places(order=("p3",)), task, "validation")
    rows = open_split(places, task, "validation")
    assert rows.origin.startswith("hub: bigscience/P3@")
    assert rows.num_rows == 1267
    assert list(rows.read(1266)) == [Prompted("Which, 0?", "choice 0", ("choice 0", "choice 1"))]
    [done] = lock_tasks([task], ("p3",), tmp_path / "other.lock")
    assert (done.problem, done.rows) == (None, {"train": 80_796, "validation": 2_534, "test": 3_534})


def test_the_table_of_p3_has_every_task_of_t0s_training_but_under_no_other_name() -> None:
    """660 configurations, of which ten are of a dataset that T0 does not use."""
    table = p3._table()
    ours = set(universe.task_names())
    assert len(table) == 660
    assert {name for name in table if name not in ours} == {
        name for name in table if name.startswith("winogrande_winogrande_debiased_")
    }
    assert {task.name for task in universe.mixture_tasks("t0++_train")} <= set(table)
    held_out = [task.name for task in universe.mixture_tasks("t0_eval_score_eval")]
    lacking = [name for name in held_out if name not in table]
    assert all(name.startswith("story_cloze") for name in lacking)
