"""The table of schemas is the hub's, and made-up rows keep to it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from row_schema import row_problem

from t0jax.data.schemas import CLASS_LABEL, schema
from t0jax.data.synthetic import synthetic_rows
from t0jax.data.universe import universe_of
from t0jax.errors import InputError
from t0jax.street import mixtures_folder

SQUAD = {"id": "i", "title": "t", "context": "c", "question": "q", "answers": {"text": ["a"], "answer_start": [3]}}


def test_every_dataset_of_the_tables_has_a_schema_and_nothing_else_has() -> None:
    table = json.loads((mixtures_folder() / "schemas.json").read_text(encoding="utf-8"))["datasets"]
    names = {dataset if subset is None else f"{dataset}/{subset}" for dataset, subset in universe_of().datasets()}
    assert table.keys() == names
    assert list(table) == sorted(table)


def test_training_splits_have_the_sizes_of_t0s_own_table() -> None:
    """T0's table of sizes and the hub's dataset_infos.json are two sources."""
    sizes: dict[tuple[str, str | None], tuple[int, int]] = {}
    for item in universe_of().mixture_tasks("t0++_train"):
        official = schema(item.dataset, item.subset).splits["train"]
        sizes[item.dataset, item.subset] = (item.train_size, official)
    assert len(sizes) == 54
    assert not {key: pair for key, pair in sizes.items() if pair[0] != pair[1]}
    rounds = schema("anli", None).splits
    assert sum(rounds[f"train_r{number}"] for number in (1, 2, 3)) == 162_865


def test_row_counts_are_those_noted_beside_the_real_rows(shared_data: Path) -> None:
    counts = 0
    for path in shared_data.glob("*/*/SOURCE.txt"):
        subset = None if path.parent.name == "default" else path.parent.name
        splits = schema(path.parent.parent.name, subset).splits
        for split, official in re.findall(r"^  (\w+): \d+ \(official (\d+)\)", path.read_text(encoding="utf-8"), re.MULTILINE):
            assert splits[split] == int(official), path
            counts += 1
    assert counts >= 30


def test_real_rows_keep_to_their_schemas(shared_data: Path) -> None:
    files = sorted(shared_data.glob("*/*/*.jsonl"))
    for path in files:
        subset = None if path.parent.name == "default" else path.parent.name
        expected = schema(path.parent.parent.name, subset)
        with open(path, "rb") as lines:
            problems = {row_problem(json.loads(line), expected) for _, line in zip(range(100), lines, strict=False)}
        newer = "the dataset does not have the field coarse_label, fine_label"  # TREC's rows carry both versions' labels
        assert problems == ({newer} if path.parts[-3] == "trec" else {None}), path
    assert len(files) >= 30


@pytest.mark.parametrize("oddities", [0.0, 0.25, 1.0])
def test_synthetic_rows_keep_to_their_schemas(oddities: float) -> None:
    for key in universe_of().datasets():
        rows = list(synthetic_rows(*key, 40, oddities=oddities))
        assert len(rows) == 40
        assert {row_problem(row, schema(*key)) for row in rows} == {None}, key


def test_synthetic_rows_have_every_label_and_the_same_seed_the_same_rows() -> None:
    for key in universe_of().datasets():
        rows = list(synthetic_rows(*key, 60))
        assert rows == list(synthetic_rows(*key, 60))
        assert rows != list(synthetic_rows(*key, 60, seed=1))
        for field, kind in schema(*key).fields.items():
            if isinstance(kind, dict) and CLASS_LABEL in kind and len(kind[CLASS_LABEL]) < 40:
                assert set(range(len(kind[CLASS_LABEL]))) <= {row[field] for row in rows}, (key, field)


def test_synthetic_rows_hold_what_tries_a_template() -> None:
    rows = list(synthetic_rows("gigaword", None, 200))
    texts = [row["document"] for row in rows]
    assert None in texts
    assert "" in texts
    for part in ("|||", "{{", "東", "\n"):
        assert any(part in text for text in texts if text), part
    assert max(len(text) for text in texts if text) > 2048
    assert all(text and len(text) < 1000 for row in synthetic_rows("gigaword", None, 200, oddities=0) for text in row.values())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({}, None),
        ({"title": None}, None),
        ({"answers": {"text": [], "answer_start": []}}, None),
        ({"title": 7}, "title is 7 (int), not string"),
        ({"context": ["c"]}, "context is ['c'] (list), not string"),
        ({"answers": ["a"]}, "answers is ['a'] (list), not a dictionary"),
        ({"answers": {"text": ["a"]}}, "answers has the fields text, not text, answer_start"),
        ({"answers": {"text": ["a", 1], "answer_start": [3, 4]}}, "answers.text[1] is 1 (int), not string"),
        ({"answers": {"text": "a", "answer_start": [3]}}, "answers.text is 'a' (str), not a list"),
        ({"answers": {"text": ["a"], "answer_start": [True]}}, "answers.answer_start[0] is True (bool), not int"),
        ({"url": "u"}, "the dataset does not have the field url"),
    ],
)
def test_a_changed_row_is_told_from_the_schema(change: dict[str, Any], problem: str | None) -> None:
    assert row_problem({**SQUAD, **change}, schema("squad_v2", None)) == problem


def test_a_field_too_few_is_named_and_so_is_a_label_that_is_none() -> None:
    assert row_problem({"text": "t"}, schema("imdb", None)) == "the field label is missing"
    assert row_problem({"text": "t", "label": -1}, schema("imdb", None)) is None
    wrong = "label is 2 (int), not a class label (an int from 0 to 1, or -1 for none)"
    assert row_problem({"text": "t", "label": 2}, schema("imdb", None)) == wrong
    assert "not a class label" in str(row_problem({"text": "t", "label": "pos"}, schema("imdb", None)))


def test_trecs_new_labels_on_the_hub_are_noticed() -> None:
    today = {"text": "t", "coarse_label": 2, "fine_label": 26}
    assert row_problem(today, schema("trec", None)) == "the field label_coarse is missing"
    assert row_problem({"text": "t", "label-coarse": 0, "label-fine": 0}, schema("trec", None)) is None


def test_an_unknown_dataset_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no schema for super_glue/copy.*Did you mean super_glue/copa"):
        schema("super_glue", "copy")
