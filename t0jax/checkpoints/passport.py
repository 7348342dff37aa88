"""passport.json of a converted checkpoint: what came from where, every tensor's hash and dtype, and what was proven."""

import hashlib
import json
from typing import Any

import numpy as np
from etils import epath

from t0jax.checkpoints.tensor import row_by_row

FILE = "passport.json"


def fingerprint(values: np.ndarray) -> str:
    """sha256 of a tensor's numbers, row by row."""
    return hashlib.sha256(row_by_row(values).view(np.uint8).data if values.size else b"").hexdigest()


def read_passport(folder: epath.Path) -> dict[str, Any] | None:
    """What a conversion by t0jax wrote; None for a checkpoint that has none."""
    path = folder / FILE
    return dict(json.loads(path.read_text())) if folder.is_dir() and path.exists() else None


def recipe_of(folder: epath.Path) -> str | None:
    """The config.gin that training has left, through conversions too; None where there is none."""
    if recipe := (read_passport(folder) or {}).get("recipe"):
        return str(recipe)
    path = folder / "config.gin"
    return str(path.read_text()) if path.exists() else None


def step_of(folder: epath.Path) -> int | None:
    """The step that a converted checkpoint was saved at, for forms that have no place for it."""
    found = read_passport(folder)
    return None if found is None else found.get("step")
