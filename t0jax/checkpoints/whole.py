"""Which checkpoints there are and which of them are whole. Reads names and sizes only; neither JAX nor Orbax."""

import json
import os
import re
from collections.abc import Iterator

from etils import epath

from t0jax.errors import InputError

COMMIT_FILE = "commit_success.txt"
"""Orbax writes it last, then renames; a store without renaming has only this to tell a whole checkpoint by."""
MANIFEST = "files.json"
"""Every file of a checkpoint with its bytes, so that damage after the fact is noticed before anything is read."""
BASE = "base.json"
"""Beside an adapter: which checkpoint it belongs to. Where that has moved to may be written into it."""
_NOT_LISTED = ("_CHECKPOINT_METADATA", BASE)  # Orbax writes its own later
_NAME = re.compile(r"checkpoint_(\d+)")


def absolute(path: epath.PathLike) -> epath.Path:
    """The same place; Orbax takes no relative path."""
    text = os.fspath(path)
    return epath.Path(text if "://" in text else os.path.abspath(text))


def is_step_name(name: str) -> bool:
    """Whether a folder is named `checkpoint_<step>`."""
    return _NAME.fullmatch(name) is not None


def step_of(path: epath.PathLike) -> int:
    """The step of `.../checkpoint_<step>`; an InputError for any other name."""
    match = _NAME.fullmatch(epath.Path(path).name)
    if match is None:
        raise InputError(f"{path} is not named as a checkpoint: give the path of a checkpoint_<step>.")
    return int(match[1])


def steps(model_dir: epath.PathLike) -> list[int]:
    """The steps of the whole checkpoints of a run, rising; an interrupted save is not among them."""
    folder = epath.Path(model_dir)
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    return sorted(step_of(path) for path in found if (path / COMMIT_FILE).exists())


def latest(path: epath.PathLike) -> str:
    """The newest whole checkpoint of MODEL_DIR, or `path` itself where it is one; an InputError where there is none."""
    folder = epath.Path(path)
    if _NAME.fullmatch(folder.name) and (folder / COMMIT_FILE).exists():
        return str(folder)
    known = steps(folder)
    if not known:
        state = "is an interrupted save" if _NAME.fullmatch(folder.name) and folder.is_dir() else "holds no whole checkpoint"
        raise InputError(
            f"{folder} {state if folder.exists() else 'does not exist'}: searched it for {COMMIT_FILE} and for "
            "checkpoint_<step> folders; give a MODEL_DIR in which training has saved, or one of its checkpoints."
        )
    return str(folder / f"checkpoint_{known[-1]}")


def _files(folder: epath.Path) -> Iterator[epath.Path]:
    for path in folder.iterdir():
        if path.is_dir():
            yield from _files(path)
        else:
            yield path


def write_manifest(folder: epath.Path) -> None:
    """List every file below `folder` with its bytes in its files.json."""
    names = {str(path.relative_to(folder)): path for path in _files(folder)}
    files = {name: path.stat().length for name, path in names.items() if name not in _NOT_LISTED}
    (folder / MANIFEST).write_text(json.dumps(files, indent=0, sort_keys=True))


def damage(path: epath.PathLike) -> str | None:
    """What is wrong with a checkpoint that was whole once: the first file that is missing or has another size; else None."""
    folder = epath.Path(path)
    try:
        files = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        return f"{MANIFEST} cannot be read"
    for name, size in files.items():
        if not (folder / name).exists():
            return f"{name} is missing"
        if (length := (folder / name).stat().length) != size:
            return f"{name} has {length} bytes instead of {size}"
    return None


def check_whole(path: epath.PathLike) -> None:
    """An InputError where a checkpoint has been damaged since it was saved."""
    if (reason := damage(path)) is not None:
        raise InputError(f"Checkpoint {path} is damaged: {reason}; copy it again from its source or give another checkpoint.")
