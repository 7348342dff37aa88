"""A profile of a few steps, for xprof or TensorBoard's profile plugin."""

import tempfile
from pathlib import Path
from typing import Any, Self

import jax

from t0jax.training.log import Log


class Profile:
    """Traces steps `first` to `last`, counted from 1, into MODEL_DIR/profile; nothing without steps."""

    def __init__(self, steps: tuple[int, ...], model_dir: str, log: Log) -> None:
        self._steps, self._model_dir, self._log = steps, model_dir, log
        self._place: str | None = None  # while it traces

    def before(self, number: int) -> None:
        """Step `number` is about to begin."""
        if self._steps and number == self._steps[0]:
            is_bucket = "://" in self._model_dir  # the tracer writes files of this machine only
            self._place = tempfile.mkdtemp(prefix="t0jax-profile-") if is_bucket else str(Path(self._model_dir) / "profile")
            jax.profiler.start_trace(self._place)

    def after(self, number: int, result: Any) -> None:
        """Step `number` has been given to the devices; the last one is waited for."""
        if self._place is not None and number == self._steps[-1]:
            jax.block_until_ready(result)
            self._stop()

    def _stop(self) -> None:
        jax.profiler.stop_trace()
        self._log.say(f"The profile of steps {self._steps[0]} to {self._steps[-1]} lies in {self._place}.")
        self._place = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._place is not None:  # the run ends before the last of the steps
            self._stop()
