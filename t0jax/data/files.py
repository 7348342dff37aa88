"""Files in a folder that several processes write: whole or absent, and locks that end with the process that holds them."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self


def put_json(path: Path, value: Any, aside: Path) -> None:
    """Write a JSON file at `aside` and rename it into its place. OSError when the disk is full."""
    try:
        aside.write_text(json.dumps(value, sort_keys=True, indent=2) + "\n", encoding="utf-8")
        os.replace(aside, path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise


def put_link(source: Path, target: Path) -> None:
    """Give a file a second name instead of what was there; on a file system that has no such names, rename it."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        os.replace(source, target)


class Presence:
    """Tells other processes that this one is at work in a folder, until it is closed or killed.

    On a file system without locks nobody is ever known to be alone.
    """

    def __init__(self, folder: Path):
        self._descriptor = os.open(folder, os.O_RDONLY)
        self.stay()

    def stay(self) -> None:
        """Be at work, beside others."""
        with suppress(OSError):
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def is_alone(self) -> bool:
        """Whether nobody else is at work; nobody else can begin then, before `stay` or the end."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.stay()  # the attempt has given up the lock from before
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        os.close(self._descriptor)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out for a moment, where the file system has locks."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
