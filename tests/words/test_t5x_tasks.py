"""`import t0jax.tasks` gives SeqIO's and t5x's own commands T0's tasks, over rows or over a cache that either side wrote."""

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from t0jax import street
from t0jax.data import universe
from t0jax.data.cache import cache_tasks
from t0jax.data.reader import CachedSplit
from t0jax.data.sources.places import Places
from t0jax.errors import InputError

COPA = "super_glue_copa_plausible_alternatives"
IMDB = "imdb_Writer_Expressed_Sentiment"
LABELS = (0, 1, 1, 0, 1, 1, 1, 0)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory, sentence: Any) -> Path:
    """Rows of copa, train and validation, and of imdb, train only."""
    folder, random = tmp_path_factory.mktemp("rows"), np.random.default_rng(0)
    texts = {"premise": sentence(random, 6), "choice1": sentence(random, 4), "choice2": sentence(random, 5)}
    copa = [texts | {"question": "cause", "idx": index, "label": label} for index, label in enumerate(LABELS)]
    imdb = [{"text": sentence(random, 20), "label": index % 2} for index in range(30)]
    for path, rows in (("super_glue/copa/train", copa), ("super_glue/copa/validation", copa), ("imdb/default/train", imdb)):
        file = folder / f"{path}.jsonl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def tasks(cache_dir: Path, vocabulary: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module, imported with a cache and a vocabulary in the environment, and no rows."""
    import seqio

    monkeypatch.setenv("T0JAX_CACHE_DIR", str(cache_dir))
    monkeypatch.setenv("T0JAX_VOCABULARY", str(vocabulary))
    monkeypatch.delenv("T0JAX_DATA_DIR", raising=False)
    before = seqio.utils._GLOBAL_CACHE_DIRECTORIES[:]
    yield importlib.reload(importlib.import_module("t0jax.tasks"))
    seqio.set_global_cache_dirs(before)


def cache(names: list[str], splits: list[str] | None, output: Path, data_dir: Path, vocabulary: Path) -> None:
    chosen, places = [universe.task(name) for name in names], Places(data_dir=str(data_dir))
    cache_tasks(chosen, output_cache_dir=output, places=places, vocabulary=vocabulary, splits=splits)


def read(name: str, split: str, use_cached: bool) -> list[dict[str, Any]]:
    import seqio

    task = seqio.TaskRegistry.get(name)
    return list(task.get_dataset(split=split, use_cached=use_cached, shuffle=False).as_numpy_iterator())


def test_importing_registers_every_task_and_mixture_and_reads_only_tables() -> None:
    code = """
import json, seqio, sys, yaml, jinja2
seen = []
sys.addaudithook(lambda event, args: seen.append((event, str(args[0]))) if event == "open" or "socket." in event else None)
import t0jax.tasks
seen = [(event, what) for event, what in seen if not what.endswith((".py", ".pyc"))]
mixtures = {name: {t.name: seqio.MixtureRegistry.get(name).get_rate(t) for t in seqio.MixtureRegistry.get(name).tasks}
            for name in seqio.MixtureRegistry.names()}
print(json.dumps({"tasks": list(seqio.TaskRegistry.names()), "mixtures": mixtures, "seen": seen}))
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("T0JAX_")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert sorted(found["tasks"]) == list(universe.task_names())
    expected = {name: {task.name: task.rate for task in universe.mixture_tasks(name)} for name in universe.mixture_names()}
    assert found["mixtures"] == expected
    assert "t0+_train" in expected
    tables = {("open", str(path)) for path in street.mixtures_folder().glob("*.csv")}
    assert {tuple(event) for event in found["seen"]} <= tables


def test_rows_come_from_where_the_environment_points(tasks: Any, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import seqio

    with pytest.raises(InputError, match="T0JAX_DATA_DIR is not set"):
        read(IMDB, "train", use_cached=False)
    assert set(seqio.TaskRegistry.get(IMDB).splits) == {"train", "test"}
    monkeypatch.setenv("T0JAX_DATA_DIR", str(data_dir))
    assert len(read(IMDB, "train", use_cached=False)) == 30
    assert seqio.TaskRegistry.get(IMDB).splits == ("train",)
    with pytest.raises(InputError, match=r"has no split 'test'; it has train: put the rows into .*test.jsonl"):
        read(IMDB, "test", use_cached=False)


def test_without_a_vocabulary_the_tasks_have_t5x_s(tasks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import seqio

    monkeypatch.delenv("T0JAX_VOCABULARY")
    importlib.reload(tasks)
    t5x = seqio.SentencePieceVocabulary("gs://t5-data/vocabs/cc_all.32000.100extra/sentencepiece.model")
    assert {feature.vocabulary == t5x for feature in seqio.TaskRegistry.get(IMDB).output_features.values()} == {True}


def test_a_cached_task_needs_no_rows(tasks: Any, cache_dir: Path, data_dir: Path, vocabulary: Path) -> None:
    cache([IMDB], None, cache_dir, data_dir, vocabulary)
    ours = [example["targets"].tolist() for example in CachedSplit(cache_dir, IMDB, "train")]
    assert [example["targets"].tolist() for example in read(IMDB, "train", use_cached=True)] == ours


def test_a_mixture_passes_over_what_is_not_cached_except_in_training(
    tasks: Any, cache_dir: Path, data_dir: Path, vocabulary: Path
) -> None:
    import seqio
    import tensorflow as tf

    cache([COPA], ["validation"], cache_dir, data_dir, vocabulary)
    cache([IMDB], ["train"], cache_dir, data_dir, vocabulary)
    mixture = seqio.Mixture("copa_and_imdb", [COPA, IMDB], default_rate=1)
    validation = mixture.get_dataset(split="validation", use_cached=True, shuffle=False, num_epochs=1)
    assert len(list(validation)) == len(LABELS)
    with pytest.raises(tf.errors.NotFoundError, match=f"{COPA}/info.train.json"):
        mixture.get_dataset(split="train", use_cached=True)


def test_a_mixture_has_the_splits_of_its_own_table(tasks: Any) -> None:
    import seqio

    mixture = {task.name: task for task in seqio.MixtureRegistry.get("mini_t0_train").tasks}
    assert mixture["ag_news_classify"].prompted.splits == {"train": "test"}
    assert seqio.TaskRegistry.get("ag_news_classify").prompted.splits == {"train": "train", "test": "test"}
    assert mixture["rotten_tomatoes_Sentiment_with_choices_"] is seqio.TaskRegistry.get(
        "rotten_tomatoes_Sentiment_with_choices_"
    )


def test_a_name_that_another_module_registered_is_left_to_it(tasks: Any) -> None:
    import seqio

    source = seqio.FunctionDataSource(lambda split, shuffle_files: None, splits=("train",))
    seqio.TaskRegistry.remove(COPA)
    other = seqio.TaskRegistry.add(COPA, source, output_features={})
    try:
        with pytest.raises(InputError, match=f"{COPA} is registered in SeqIO by another module"):
            importlib.reload(tasks)
        assert seqio.TaskRegistry.get(COPA) is other
    finally:
        seqio.TaskRegistry.remove(COPA)


def test_seqio_s_evaluator_ranks_choices_and_compares_text(
    tasks: Any, cache_dir: Path, data_dir: Path, vocabulary: Path
) -> None:
    import seqio

    def accuracy(name: str, **model: Any) -> float:
        converter = seqio.EncDecFeatureConverter(pack=False)
        evaluator = seqio.Evaluator(name, converter, "validation", use_cached=True, logger_cls=())
        measured, _ = evaluator.evaluate(compute_metrics=True, **model)
        return float(measured.result()[name]["accuracy"])

    cache([f"{COPA}_score_eval", COPA], None, cache_dir, data_dir, vocabulary)
    first = accuracy(f"{COPA}_score_eval", score_fn=lambda batches: [(int(place), -float(place)) for place, _ in batches])
    assert first == 100 * LABELS.count(0) / len(LABELS)
    text = [example["targets"] for example in read(COPA, "validation", use_cached=True)]
    of_row_0 = accuracy(COPA, predict_fn=lambda batches: [(int(place), text[0]) for place, _ in batches])
    assert of_row_0 == 100 * LABELS.count(LABELS[0]) / len(LABELS)  # all rows have the same two choices


def test_seqio_cache_tasks_writes_what_our_reader_reads(
    data_dir: Path, vocabulary: Path, cache_dir: Path, tmp_path: Path
) -> None:
    names = [f"{COPA}_score_eval", IMDB]
    command = [
        sys.executable,
        "-m",
        "seqio.scripts.cache_tasks_main",
        "--module_import=t0jax.tasks",
        f"--tasks={','.join(names)}",
    ]
    environment = os.environ | {"T0JAX_DATA_DIR": str(data_dir), "T0JAX_VOCABULARY": str(vocabulary)}
    flags = [f"--output_cache_dir={cache_dir}", "--min_shards=2"]
    done = subprocess.run([*command, *flags], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    cache(names, None, tmp_path / "ours", data_dir, vocabulary)
    features = ("inputs", "targets")
    for name, split, more in ((names[0], "validation", ("idx", "is_correct")), (IMDB, "train", ())):
        theirs, ours = (CachedSplit(folder, name, split, features + more) for folder in (cache_dir, tmp_path / "ours"))
        both = [[{key: value.tolist() for key, value in one.items()} for one in cached] for cached in (theirs, ours)]
        assert sorted(map(str, both[0])) == sorted(map(str, both[1]))  # SeqIO shuffles as it caches
        assert ours.stats.items() - {("skipped", 0)} == theirs.stats.items()
        assert ours.info["features"].keys() == theirs.info["features"].keys()
        assert theirs.info["num_shards"] == 2
        assert len(ours) == {names[0]: 2 * len(LABELS), IMDB: 30}[name]
