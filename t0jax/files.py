"""Files that are whole or absent."""

import os
from contextlib import suppress
from pathlib import Path

from t0jax.errors import InputError


def write_whole(path: Path, text: str, remedy: str = "make room there or give another path") -> None:
    """Write `text` beside `path` and rename it into place; an InputError with the remedy when disk or folder refuses."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.incomplete")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(aside, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        with suppress(OSError):
            aside.unlink()
        raise InputError(f"{path} cannot be written ({error.strerror}): {remedy}.") from error


def check_place(folder: Path) -> None:
    """An InputError when `folder` could not be made or written in; to be asked before work of hours. Makes nothing."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not there.is_dir():
        raise InputError(f"{folder} cannot be written: {there} is no folder; give another path.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{folder} cannot be written: {there} is not yours to write in; give another path.")
