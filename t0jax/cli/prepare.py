"""The cache that a run reads, built in a process of its own when it is not there: a trainer never loads TensorFlow or Jinja."""

import dataclasses
import importlib.util
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from t0jax.cli import Terminated, listening, terminate
from t0jax.config import Run
from t0jax.data.cached_split import check_source
from t0jax.data.missing import missing_tasks
from t0jax.errors import InputError

if TYPE_CHECKING:
    from t0jax.data.universe import PromptedTask

_SECONDS_TO_END = 5.0


def with_cache(run: Run, tasks: "Sequence[PromptedTask]") -> Run:
    """The run, whose cache is now there and named in `data.cache_dir`; of several hosts the first one builds it."""
    from t0jax.hosts import on_first_host

    on_first_host("cache the tasks", lambda: ensure_cache(run, tasks))
    return dataclasses.replace(run, data=dataclasses.replace(run.data, cache_dir=str(_cache_dir(run))))


def ensure_cache(run: Run, tasks: "Sequence[PromptedTask]") -> str:
    """The folder that holds the tasks' split, rendered from data_dir where rows, templates or vocabulary are not what it holds.

    All is rendered anew unless use_cached_tasks. Without data_dir what is there is taken as it is. An InputError where tasks
    are missing and cannot be made here; SystemExit with the status of `t0jax cache` where that failed, after it has said why.
    """
    cache_dir, split, mixture = _cache_dir(run), run.data.split, run.data.mixture_or_task_name
    command = ["t0jax", "cache", "--mixture", mixture, *_flags(run, cache_dir)]
    if (remedy := _remedy(run)) is not None:
        skipped = missing_tasks(cache_dir, [task.name for task in tasks], split) if run.data.skip_missing else {}
        asked = [task for task in tasks if task.name not in skipped]
        missing = [task.name for task in asked if not (run.data.use_cached_tasks and is_cached(cache_dir, task, split))]
        if missing:
            why = f"have no {split!r} split in" if run.data.use_cached_tasks else "shall not be taken (USE_CACHED_TASKS) from"
            raise InputError(
                f"{len(missing)} of {len(tasks)} tasks, {missing[0]} for one, {why} the cache {cache_dir}: {remedy} "
                f"cache them with `{shlex.join(command)}`."
            )
        return str(cache_dir)
    status = _run([sys.executable, "-m", *command])
    if status != 0:
        raise SystemExit(status)
    return str(cache_dir)


def _run(command: Sequence[str]) -> int:
    """The status of a command that ends when this process is told to end."""
    with subprocess.Popen(command) as child, listening({signal.SIGTERM: terminate}):
        try:
            return child.wait()
        except BaseException as stop:
            if not isinstance(stop, Terminated):  # a terminal's Ctrl-C has reached it too
                with suppress(subprocess.TimeoutExpired):
                    child.wait(_SECONDS_TO_END)
            child.terminate()
            raise


def without_missing(run: Run, tasks: "Sequence[PromptedTask]") -> "tuple[list[PromptedTask], dict[str, str]]":
    """The tasks that the cache holds, and those that it was allowed to skip, each with the reason. InputError without any."""
    missing: dict[str, str] = {}
    if run.data.skip_missing:
        missing = missing_tasks(str(run.data.cache_dir), [task.name for task in tasks], run.data.split)
    there = [task for task in tasks if task.name not in missing]
    if not there:
        raise InputError(f"No source has rows of any task of {run.data.mixture_or_task_name}. {next(iter(missing.values()))}")
    return there, missing


def _remedy(run: Run) -> str | None:
    """What keeps this process from caching, as something to do about it; None when nothing does."""
    if run.data.data_dir is None and run.data.sources == ("local",):
        return "give --gin.DATA_DIR=... or other --gin.SOURCES=..., or"
    if run.data.vocabulary is None:
        return "give --gin.VOCABULARY=..., or"
    if importlib.util.find_spec("jinja2") is None:
        return "install t0jax[words], which renders templates, or on a machine that has it"
    return None


def is_cached(cache_dir: Path, task: "PromptedTask", split: str) -> bool:
    """Whether the cache holds this split of the task: its info is written last. InputError where it is made of other rows."""
    check_source(cache_dir, task, split)
    return (cache_dir / task.name / f"info.{split}.json").is_file()


def _cache_dir(run: Run) -> Path:
    if run.data.cache_dir is not None:
        return Path(run.data.cache_dir)
    folder = run.train.model_dir or run.evaluate.eval_output_dir
    if folder is None:
        raise InputError("The cache has no place: give --gin.CACHE_DIR=DIR, or --gin.MODEL_DIR=DIR to have it in DIR/cache.")
    if "://" in folder:
        raise InputError(f"The cache cannot lie in MODEL_DIR {folder}: give --gin.CACHE_DIR=DIR, a path on this machine.")
    return Path(folder) / "cache"


def _flags(run: Run, cache_dir: Path) -> list[str]:
    """How `t0jax cache` is told about the run; what the run does not know stands as a capital letter."""
    data = run.data
    is_local = data.sources == ("local",)
    flags = {
        "--splits": data.split,
        "--output_cache_dir": str(cache_dir),
        "--sources": None if is_local else ",".join(data.sources),
        "--data_dir": data.data_dir or ("D" if is_local else None),
        "--tfds_data_dir": data.tfds_data_dir,
        "--hub_lock": data.hub_lock,
        "--p3_dir": data.p3_dir,
        "--vocabulary": data.vocabulary or "V",
        "--num_examples": data.num_examples,
    }
    switches = {"--overwrite": not data.use_cached_tasks, "--skip_missing": data.skip_missing}
    tables = [word for folder in data.tables for word in ("--tables", folder)]
    given = [word for name, value in flags.items() if value is not None for word in (name, str(value))]
    return [*given, *tables, *(name for name, is_on in switches.items() if is_on)]
