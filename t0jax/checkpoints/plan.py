"""What a conversion is to write, and what every writer can do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import ml_dtypes
import numpy as np

from t0jax.checkpoints.form import Kind
from t0jax.config import ModelConfig

DTYPES = {"float32": np.dtype(np.float32), "bfloat16": np.dtype(ml_dtypes.bfloat16)}
"""What parameters can be written as; the optimizer's statistics are float32 always."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The form to write, and what the source does not say."""

    kind: Kind
    model: ModelConfig
    dtype: str
    step: int
    slots: dict[str, tuple[int, ...]]
    """Shapes of the optimizer's statistics that the source has and that are to be kept; empty: none."""
    vocabulary: Path | None = None
    config_text: str = ""
    """The config.gin of t0jax's own form."""


class Writer(Protocol):
    """Writes tensors by t5x's unscanned names, in any order; one that is written again replaces itself."""

    def put(self, name: str, values: np.ndarray) -> None:
        """Write a parameter, or `<parameter>/<slot>`; returns when it is on disk."""

    def finish(self) -> None:
        """Write what makes the checkpoint whole."""
