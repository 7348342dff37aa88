"""`t0jax train`: what it refuses, and how it ends."""

import argparse
import dataclasses
import json
import pathlib
import signal
import unittest.mock
from typing import Any

import pytest
from tiny_run import tiny_run

from t0jax.cli import prepare, train
from t0jax.config import Run
from t0jax.data.missing import record_missing
from t0jax.data.universe import mixture_tasks
from t0jax.errors import InputError
from t0jax.training.interruption import Stopped

TASK = "rotten_tomatoes_Movie_Expressed_Sentiment"
COMMON: dict[str, Any] = {"mixture_or_task_name": TASK}


def test_without_a_cache_and_without_rows_the_command_that_makes_one_is_named(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match=rf"{TASK} for one, have no 'train' split .*DATA_DIR.*t0jax cache --mixture {TASK}"):
        train.run_training(tiny_run(tmp_path, data=COMMON))
    assert not list(tmp_path.iterdir())


def test_a_held_out_dataset_is_trained_on_only_when_it_is_allowed(tmp_path: pathlib.Path) -> None:
    run = tiny_run(tmp_path, data={"mixture_or_task_name": "super_glue_rte"})
    with pytest.raises(InputError, match=r"super_glue_rte trains on what is held out: .*ALLOW_HELD_OUT=True"):
        train.run_training(run)
    with pytest.raises(InputError, match="have no 'train' split"):
        train.run_training(dataclasses.replace(run, train=dataclasses.replace(run.train, allow_held_out=True)))


def test_rows_that_are_missing_end_with_the_status_of_the_cache(
    tmp_path: pathlib.Path, t5_vocabulary: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("jinja2", reason="rendering needs t0jax[words]")
    run = tiny_run(tmp_path / "run", data=COMMON | {"data_dir": str(tmp_path), "vocabulary": str(t5_vocabulary)})
    with pytest.raises(SystemExit) as ended:
        prepare.ensure_cache(run, mixture_tasks(TASK))
    assert ended.value.code == 2
    assert "rotten_tomatoes" in capfd.readouterr().err


def test_a_cache_in_a_bucket_is_refused(tmp_path: pathlib.Path) -> None:
    run = tiny_run(tmp_path, data=COMMON)
    away = dataclasses.replace(run, train=dataclasses.replace(run.train, model_dir="gs://bucket/run"))
    with pytest.raises(InputError, match=r"MODEL_DIR gs://bucket/run: give --gin\.CACHE_DIR"):
        prepare.ensure_cache(away, mixture_tasks(TASK))
    with pytest.raises(InputError, match="cache_dir is 'gs://bucket/cache'; it must be a path on this machine"):
        dataclasses.replace(run.data, cache_dir="gs://bucket/cache")


def test_a_machine_that_cannot_render_says_so(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    run = tiny_run(tmp_path, data=COMMON | {"data_dir": str(tmp_path), "vocabulary": "spiece.model"})
    with pytest.raises(InputError, match=r"install t0jax\[words\].* or on a machine that has it cache them with `t0jax cache"):
        prepare.ensure_cache(run, mixture_tasks(TASK))


def test_a_cache_that_is_there_is_taken_and_one_to_renew_is_made_again(tmp_path: pathlib.Path) -> None:
    info = tmp_path / "cache" / TASK / "info.train.json"
    info.parent.mkdir(parents=True)
    info.write_text(json.dumps({}))
    assert prepare.ensure_cache(tiny_run(tmp_path, data=COMMON), mixture_tasks(TASK)) == str(tmp_path / "cache")
    with pytest.raises(InputError, match="DATA_DIR"):
        prepare.ensure_cache(tiny_run(tmp_path, data=COMMON | {"use_cached_tasks": False}), mixture_tasks(TASK))


def test_training_goes_on_without_skipped_tasks_and_says_so_first_and_in_every_checkpoint(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *others = [task.name for task in mixture_tasks("rotten_tomatoes")]
    info = tmp_path / "cache" / first / "info.train.json"
    info.parent.mkdir(parents=True)
    info.write_text("{}")
    for name in others:
        record_missing(tmp_path / "cache", name, "train", "No source has it.")
    opened, trained = unittest.mock.Mock(), unittest.mock.Mock()
    monkeypatch.setattr("t0jax.data.feed.open_feed", opened)
    monkeypatch.setattr("t0jax.training.loop.train", trained)
    data = COMMON | {"mixture_or_task_name": "rotten_tomatoes"}
    with pytest.raises(InputError, match="have no 'train' split"):
        train.run_training(tiny_run(tmp_path, data=data))
    train.run_training(tiny_run(tmp_path, data=data | {"skip_missing": True}))
    assert [name for name, _ in opened.call_args.args[1]] == [first]
    assert capsys.readouterr().err.startswith(f"t0jax: rotten_tomatoes is incomplete, {len(others)} of its tasks had no rows")
    assert f"# Without {others[0]}: No source has it.\n" in trained.call_args.kwargs["config_text"]


def test_a_vocabulary_larger_than_the_model_is_refused(tmp_path: pathlib.Path, t5_vocabulary: pathlib.Path) -> None:
    run = tiny_run(tmp_path, data=COMMON | {"vocabulary": str(t5_vocabulary)})
    with pytest.raises(InputError, match="32000 pieces, the model has room for 64"):
        train.run_training(run)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_stopped_run_says_whether_to_give_the_command_again(
    number: signal.Signals, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(run: Run) -> None:
        raise Stopped(7, number)

    monkeypatch.setattr(train, "run_of", lambda arguments: None)
    monkeypatch.setattr(train, "run_text", lambda run: "")
    monkeypatch.setattr(train, "run_training", stop)
    assert train.run(argparse.Namespace()) == status
    assert capsys.readouterr().err == f"t0jax: stopped at step 7 by {number.name}; the same command goes on from there\n"
