"""Files that are whole or absent."""

import os
from contextlib import suppress
from pathlib import Path

from t0jax.errors import InputError


def write_whole(path: Path, text: str) -> None:
    """Write `text` beside `path` and rename it into place; an InputError when the disk or the folder refuses."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.incomplete")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside.write_text(text, encoding="utf-8")
        os.replace(aside, path)
    except OSError as error:
        with suppress(OSError):
            aside.unlink()
        raise InputError(f"{path} cannot be written ({error.strerror}): give a path with room for it.") from error
