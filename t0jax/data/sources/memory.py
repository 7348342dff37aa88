"""What was once learnt of files by reading them through: believed for as long as size and times of the files stay the same."""

import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from t0jax.errors import InputError

_SETTLED_SECONDS = 2  # a file that was written just now can change again within one tick of its file system's clock


def memory_folder() -> Path:
    """T0JAX_CACHE, or t0jax/ in XDG_CACHE_HOME, by default ~/.cache. It can be removed at any time."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("T0JAX_CACHE") or Path(home) / "t0jax")


def remembered(kind: str, paths: Sequence[Path], learn: Callable[[], Any]) -> Any:
    """What `learn` says of the files, as JSON holds it: from the memory, or by calling it, which is then noted if it can be.

    InputError when a file changes meanwhile.
    """
    marks = [_mark(path) for path in paths]
    key = json.dumps([kind, *(str(path.absolute()) for path in paths)])
    note = memory_folder() / "sources" / f"{hashlib.sha256(key.encode()).hexdigest()}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(note.read_text(encoding="utf-8"))
        if kept["marks"] == marks and kept["key"] == key:
            return kept["value"]
    began = time.time_ns()
    value = learn()
    if [_mark(path) for path in paths] != marks:
        raise InputError(f"{paths[0]} was written to while it was read: run again when it is finished.")
    if began - max(max(mark[1:3]) for mark in marks) > _SETTLED_SECONDS * 10**9:
        _keep(note, {"key": key, "marks": marks, "value": value})
    return value


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""

    def learn() -> str:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    return str(remembered("sha256", [path], learn))


def state(path: Path) -> tuple[int, int]:
    """Size and time of change: what tells, on any machine, that a file is no longer what was opened."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def check_state(path: Path, opened: tuple[int, int]) -> None:
    """InputError when a file is not what it was when its rows were counted."""
    if state(path) != opened:
        raise InputError(f"{path} has changed since its rows were counted: run again when it is finished.")


def _mark(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _keep(note: Path, value: Any) -> None:
    """Write aside and rename. A disk that cannot be written only costs the time to learn it again."""
    aside = note.with_name(f".{secrets.token_hex(8)}")
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        try:
            aside.write_text(json.dumps(value), encoding="utf-8")
            os.replace(aside, note)
        finally:
            aside.unlink(missing_ok=True)
