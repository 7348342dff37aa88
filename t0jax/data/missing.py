"""Tasks that a cache was asked for and that no source had rows of: every later report can say so."""

import json
import os
from collections.abc import Iterable
from pathlib import Path

from t0jax.data.files import put_json
from t0jax.errors import InputError


def record_missing(cache_dir: str | Path, task: str, split: str, reason: str) -> None:
    """Note in the cache why it lacks a split of a task: `<cache_dir>/<task>/missing.<split>.json`."""
    path = _path(cache_dir, task, split)
    path.parent.mkdir(parents=True, exist_ok=True)
    put_json(path, {"task": task, "split": split, "reason": reason}, aside=path.with_name(f".{path.name}.{os.getpid()}"))


def forget_missing(cache_dir: str | Path, task: str, split: str) -> None:
    """The cache has the split after all."""
    _path(cache_dir, task, split).unlink(missing_ok=True)


def missing_tasks(cache_dir: str | Path, tasks: Iterable[str], split: str) -> dict[str, str]:
    """Those of the tasks, with the reason, whose split was skipped when the cache was made. InputError for a broken note."""
    missing = {}
    for task in tasks:
        path = _path(cache_dir, task, split)
        try:
            missing[task] = str(json.loads(path.read_text(encoding="utf-8"))["reason"])
        except FileNotFoundError:
            continue
        except (ValueError, KeyError, TypeError):
            raise InputError(f"{path} is damaged: remove it and run `t0jax cache --skip_missing` again.") from None
    return missing


def _path(cache_dir: str | Path, task: str, split: str) -> Path:
    return Path(cache_dir) / task / f"missing.{split}.json"
