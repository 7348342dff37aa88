"""Ranges of bytes of a file, on a disk or in a bucket."""

import functools
import os
from dataclasses import dataclass

import tensorstore as ts
from etils import epath

from t0jax.errors import InputError


def store_url(folder: epath.PathLike) -> str:
    """A folder as TensorStore spells it: `gs://bucket/folder/`, or `file:///folder/`."""
    text = os.fspath(folder)
    return f"{text.rstrip('/')}/" if "://" in text else f"file://{os.path.abspath(text).rstrip('/')}/"


@dataclass(frozen=True)
class Ranges:
    """A file of which parts are read."""

    path: epath.Path

    @functools.cached_property
    def size(self) -> int:
        """Its length in bytes."""
        return self.path.stat().length

    @functools.cached_property
    def _store(self) -> ts.KvStore:
        return ts.KvStore.open(store_url(self.path.parent)).result()

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from start to stop; an InputError where the file ends before."""
        if stop > self.size:
            raise InputError(
                f"{self.path} is cut short: it has {self.size:,} bytes, and at least {stop:,} belong to it; copy it again."
            )
        if start == stop:
            return b""
        return self._store.read(self.path.name, byte_range=slice(start, stop)).result().value
