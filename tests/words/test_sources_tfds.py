"""Rows from TensorFlow Datasets equal those of the source they were prepared of, and those of the hub."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from row_schema import row_problem

from t0jax.data import schemas, universe
from t0jax.data.sources import at_rest, local, tfds_prepare
from t0jax.data.sources.places import Places, open_split
from t0jax.data.sources.split import MissingRowsError, SplitRows
from t0jax.data.sources.tfds import open_tfds
from t0jax.data.sources.tfds_prepare import prepare_tasks, prepare_tfds
from t0jax.errors import InputError
from t0jax.prompts.render import Prompted

Rows = list[dict[str, Any]]

# What JSON has and TFDS's own features would bend: null, empty and nested lists, big integers, numbers that are not bytes.
HARD = [
    {"text": "Ünïcode ‖ \u2028 \x00", "none": None, "empty": [], "nested": [[], [1, None]], "big": 2**63, "half": 0.1},
    {"text": "", "none": [None], "empty": {}, "nested": [{"a": [{"b": "c"}]}], "big": -1, "half": 1e300},
]

# A row of some builders of TFDS's, as the hub has it.
HUB_ROWS: dict[str, dict[str, Any]] = {
    "super_glue/multirc": {
        "paragraph": "Öne.",
        "question": "What?",
        "answer": "That.",
        "idx": {"paragraph": 1, "question": 2, "answer": 3},
        "label": 1,
    },
    "super_glue/record": {
        "passage": "A.",
        "query": "@placeholder",
        "entities": ["A", "B"],
        "answers": [],
        "idx": {"passage": 0, "query": 7},
    },
    "squad_v2": {
        "id": "5",
        "title": "T",
        "context": "C",
        "question": "Q",
        "answers": {"text": ["a", "b"], "answer_start": [3, 4]},
    },
    "wiki_bio": {
        "input_text": {"table": {"column_header": ["name"], "row_number": [1], "content": ["x"]}, "context": "c"},
        "target_text": "t",
    },
    "trec": {"label-coarse": 5, "label-fine": 46, "text": "Where?"},
    "glue/qqp": {"question1": "a", "question2": "b", "label": -1, "idx": 4},
}


@pytest.fixture(autouse=True)
def own_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T0JAX_CACHE", str(tmp_path / "memory"))


@pytest.fixture
def prepared(tmp_path: Path) -> str:
    return str(tmp_path / "prepared")


def source(folder: Path, rows: Rows, split: str = "train") -> SplitRows:
    path = folder / f"data/imdb/default/{split}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return local.open_local(folder / "data", "imdb", None, split)


def key_of(name: str) -> tuple[str, str | None]:
    dataset, _, subset = name.partition("/")
    return dataset, subset or None


def store(data_dir: Path, builder: str, split: str, row: dict[str, Any]) -> None:
    """A split of one row, as the builder of that name would have prepared it: with its own features."""
    import tensorflow_datasets as tfds

    own = tfds.builder(builder, data_dir=data_dir, try_gcs=False)
    identity = tfds.core.dataset_info.DatasetIdentity.from_builder(own)
    Path(own.data_dir).mkdir(parents=True)
    writer = tfds.core.SequentialWriter(tfds.core.DatasetInfo(builder=identity, features=own.info.features), 100)
    writer.initialize_splits([split])
    writer.add_examples({split: [row]})
    writer.close_all()


def table() -> list[dict[str, str]]:
    return list(csv.DictReader((at_rest.table_folder() / "tfds.csv").read_text().splitlines()))


def test_prepared_rows_equal_the_sources_rows_in_their_order(
    tmp_path: Path, prepared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tfds_prepare, "_ROWS_A_FILE", 10)
    monkeypatch.setattr(tfds_prepare, "_ROWS_AT_A_TIME", 7)
    rows = HARD + [{"text": f"{n}", "label": n} for n in range(33)]
    sources = {"train": source(tmp_path, rows), "test": source(tmp_path, rows[:3], "test")}
    directory = prepare_tfds(sources, "imdb", None, prepared)
    assert directory == f"{prepared}/t0jax_imdb/default/1.0.0"
    assert len(list(Path(directory).glob("*-train.tfrecord-*"))) == 4
    assert [path.name for path in Path(prepared).iterdir()] == ["t0jax_imdb"]
    opened = open_tfds(prepared, ("imdb", None), "train")
    assert (list(opened.read()), opened.fingerprint) == (rows, sources["train"].fingerprint)
    for start, stop in ((0, 2), (8, 13), (19, 20), (34, None), (35, None), (4, 4)):
        assert list(opened.read(start, stop)) == rows[start:stop]
    first = open_tfds(prepared, ("imdb", None), "train", limit=12)
    assert (first.num_rows, list(first.read(10))) == (12, rows[10:12])
    assert first.fingerprint != opened.fingerprint
    with pytest.raises(MissingRowsError, match=r"has no split 'validation'; it has train, test"):
        open_tfds(prepared, ("imdb", None), "validation")


def test_tasks_are_prepared_with_the_splits_that_a_source_has(tmp_path: Path, prepared: str) -> None:
    train, test = source(tmp_path, HARD), source(tmp_path, HARD[:1], "test")
    tasks = [universe.task(f"imdb_{name}") for name in ("Writer_Expressed_Sentiment", "Reviewer_Enjoyment")]
    [found] = prepare_tasks(tasks, Places(data_dir=str(tmp_path / "data")), prepared)
    assert found.lacking == ()
    places = Places(order=("tfds",), tfds_data_dir=prepared)
    for split, rows in (("train", train), ("test", test)):
        opened = open_split(places, tasks[1], split)
        assert (opened.origin, list(opened.read())) == (f"tfds: {found.directory} {split}", list(rows.read()))
    source(tmp_path / "part", HARD)
    [part] = prepare_tasks(tasks, Places(data_dir=str(tmp_path / "part/data")), str(tmp_path / "other"))
    assert part.lacking == ("test",)
    with pytest.raises(MissingRowsError, match="has no dataset 'ag_news'"):
        prepare_tasks([universe.task("ag_news_classify")], Places(data_dir=str(tmp_path / "data")), prepared)


def test_others_read_what_was_prepared_by_its_name(tmp_path: Path, prepared: str) -> None:
    import tensorflow_datasets as tfds

    prepare_tfds({"train": source(tmp_path, HARD)}, "imdb", None, prepared)
    examples = tfds.as_numpy(tfds.load("t0jax_imdb/default", split="train", data_dir=prepared))
    assert [json.loads(example["row"]) for example in examples] == HARD


def test_the_same_rows_are_not_written_twice_nor_others_over_them(tmp_path: Path, prepared: str) -> None:
    sources = {"train": source(tmp_path, HARD)}
    directory = Path(prepare_tfds(sources, "imdb", None, prepared))
    before = {path: path.stat().st_mtime_ns for path in directory.iterdir()}
    prepare_tfds(sources, "imdb", None, prepared)
    with pytest.raises(InputError, match="holds other rows: remove it, or give another --tfds_data_dir"):
        prepare_tfds({"train": source(tmp_path, HARD[:1])}, "imdb", None, prepared)
    assert {path: path.stat().st_mtime_ns for path in directory.iterdir()} == before


def test_a_row_that_fails_leaves_nothing(tmp_path: Path, prepared: str) -> None:
    class Broken:
        origin, num_rows, fingerprint = "local: x", 2, "f"

        def __init__(self, row: Any):
            self.row = row

        def read(self, start: int = 0, stop: int | None = None) -> Any:
            yield {"text": "good"}
            yield self.row

    for row, sentence in (
        ({"when": Path()}, "local: x, row 1 is not JSON"),
        (Prompted("a", "b", None), "local: x has prompted examples, not rows"),
    ):
        with pytest.raises(InputError, match=sentence):
            prepare_tfds({"train": Broken(row)}, "imdb", None, prepared)
        assert list(Path(prepared).iterdir()) == []
    with pytest.raises(InputError, match="there are no rows of imdb to prepare"):
        prepare_tfds({}, "imdb", None, prepared)


def test_a_place_that_is_not_there_is_one_sentence(prepared: str) -> None:
    with pytest.raises(InputError, match=r"tfds: nosuch://bucket/.* cannot be read .*check its name") as caught:
        open_tfds("nosuch://bucket/tfds", ("imdb", None), "train")
    assert not isinstance(caught.value, MissingRowsError)
    call = r"tfds.builder\('imdb_reviews/plain_text:1.0.0', data_dir='.*'\).download_and_prepare\(\)"
    with pytest.raises(MissingRowsError, match=f"there is no .*/imdb_reviews/plain_text/1.0.0: prepare it once .*{call}"):
        open_tfds(prepared, ("imdb", None), "train")
    with pytest.raises(MissingRowsError, match=r"no builder of TFDS's has the rows of its train: .*--mixture race_high"):
        open_tfds(prepared, ("race", "high"), "train")


def test_damaged_files_are_not_skipped(tmp_path: Path, prepared: str) -> None:
    directory = Path(prepare_tfds({"train": source(tmp_path, HARD)}, "imdb", None, prepared))
    [shard] = directory.glob("*.tfrecord-*")
    shard.write_bytes(shard.read_bytes()[:-5])
    with pytest.raises(InputError, match=r"t0jax_imdb/default/1.0.0 cannot be read") as caught:
        list(open_tfds(prepared, ("imdb", None), "train").read())
    assert not isinstance(caught.value, MissingRowsError)


@pytest.mark.parametrize("name", HUB_ROWS)
def test_rows_of_tfds_own_builders_are_as_on_the_hub(name: str, tmp_path: Path) -> None:
    row, key = HUB_ROWS[name], key_of(name)
    assert row_problem(row, schemas.schema(*key)) is None
    [line] = [line for line in table() if (line["dataset"], line["subset"] or None) == key]
    builder, _, version = line["tfds"].partition(":")
    more = {"squad_v2": {"plausible_answers": {"text": [], "answer_start": []}, "is_impossible": False}}.get(name, {})
    store(tmp_path, line["tfds"], "train", row | more)
    rows = open_tfds(str(tmp_path), key, "train")
    assert [{field: value for field, value in read.items() if field not in more} for read in rows.read()] == [row]
    assert rows.origin == f"tfds: {tmp_path}/{builder}/{version} train"


def test_anli_has_a_builder_for_each_round(tmp_path: Path) -> None:
    store(tmp_path, "anli/r2:0.1.0", "validation", {"uid": "u", "context": "P", "hypothesis": "H", "label": 2})
    places = Places(order=("tfds",), tfds_data_dir=str(tmp_path))
    rows = open_split(places, universe.task("anli_GPT_3_style_r2"), "validation")
    assert list(rows.read()) == [{"uid": "u", "premise": "P", "hypothesis": "H", "label": 2}]


def test_every_builder_in_the_table_has_the_hubs_fields(tmp_path: Path) -> None:
    """Checked against the builders that are installed; a field that one lacks is named in its note, and no template uses it."""
    import tensorflow_datasets as tfds

    for line in table():
        features = tfds.builder(line["tfds"], data_dir=tmp_path, try_gcs=False).info.features
        renames = dict(pair.split("=") for pair in line["renames"].split())
        found = {renames.get(name, name): feature for name, feature in features.items()}
        for name, kind in schemas.schema(line["dataset"], line["subset"] or None).fields.items():
            if name not in found:
                assert line["note"] == f"no field {name}", line["tfds"]
            elif isinstance(kind, dict) and "class label" in kind and line["dataset"] not in ("anli", "paws", "piqa"):
                assert found[name].names == kind["class label"], line["tfds"]  # those three have a letter or a number instead
