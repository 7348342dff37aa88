"""From metrics on the devices to lines in the log, read one step late so that the devices never wait."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
from jax.sharding import Mesh

from t0jax.errors import InputError
from t0jax.training.goodput import Goodput
from t0jax.training.log import Log, Window
from t0jax.training.step import Metrics, State, Step
from t0jax.training.throughput import Load, Stopwatch, peak_flops


class NotFinite(InputError):
    """A loss or gradient that is no number."""

    def __init__(self, what: str, step: int) -> None:
        self.what, self.step = what, step
        super().__init__(
            f"{what} in step {step}, so training has stopped and its state was not saved: go on from the last checkpoint with "
            "a lower OptimizerConfig.learning_rate or another RANDOM_SEED, or let it pass over such batches (NAN_RESTORES)."
        )


class Journal:
    """Follows one run and writes a line every `period` steps."""

    def __init__(self, log: Log, mesh: Mesh, *, period: int, window: Window, goodput: Goodput) -> None:
        self.window, self.goodput = window, goodput
        self.log, self._period = log, period
        self._peak, self._devices = peak_flops(mesh.devices.flat[0].device_kind), mesh.size
        self._stopwatch = Stopwatch()
        self._unread: tuple[int, Metrics, Load] | None = None
        self._compiled: set[tuple[tuple[int, ...], ...]] = set()  # shapes of batches
        self._learning_rate: float | None = None  # of the last step that was read
        if self._peak is None:
            log.say(f"MFU is not reported: the peak FLOP/s of {mesh.devices.flat[0].device_kind!r} is not known.")

    def report_compilation(self, call: Step) -> Step:
        """The same step, which says how long its first call took with each shape of a batch; that is not training time.

        Tracing and compiling block, running does not.
        """

        def listened(state: State, batch: Any, key: Any) -> Any:
            shapes = tuple(array.shape for array in batch.values())
            if shapes in self._compiled:
                return call(state, batch, key)
            self._compiled.add(shapes)
            self.goodput.end_startup()
            with self.pause("compile"):
                began = time.perf_counter()
                result = call(state, batch, key)
            rows, targets = batch["decoder_segment_ids"].shape
            inputs = batch["encoder_segment_ids"].shape[1]
            self.log.say(f"Compiled the step for {rows} rows of {inputs}/{targets} in {time.perf_counter() - began:.1f} s.")
            return result

        return listened

    def took(self, number: int, metrics: Metrics, load: Load) -> None:
        """Step `number`, counted from 1, has begun: read the one before it meanwhile."""
        before, self._unread = self._unread, (number, metrics, load)
        if before is not None:
            self._read(*before)

    def catch_up(self) -> None:
        """Read the last step too: the devices are idle after this."""
        before, self._unread = self._unread, None
        if before is not None:
            self._read(*before)

    def go_back(self, step: int, window: Window) -> None:
        """Forget what came after a step; `window` is what it had begun with."""
        self.window, self._unread = window, None
        self.log.forget_after(step)

    @contextmanager
    def pause(self, cause: str) -> Iterator[None]:
        """Catch up; what happens inside does not count as training time, and is written down under one of goodput's causes."""
        self.catch_up()
        with self._stopwatch.hold(), self.goodput.spend(cause):
            yield

    def close(self, step: int) -> None:
        """Say what is left of the last window; a run that took no step has said it before."""
        self.catch_up()
        if self.window.sums and self._learning_rate is not None:
            self._write(step)

    def _read(self, number: int, metrics: Metrics, load: Load) -> None:
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        for name in ("loss", "gradient_norm"):
            if not math.isfinite(values[name]):
                raise NotFinite(f"{name} is {values[name]}", number)
        self.window.add(values, load)
        self._learning_rate = values["learning_rate"]
        tokens = values["input_tokens"] + values["target_tokens"]
        self._stopwatch.step(tokens=tokens, examples=load.examples, flops=load.flops)
        self.log.advance(number)
        if number % self._period == 0:
            self._write(number)

    def _write(self, number: int) -> None:
        rates = self._stopwatch.lap()
        achieved, peak = rates.get("flops"), self._peak
        timing = {
            "tokens_per_second": rates.get("tokens"),
            "examples_per_second": rates.get("examples"),
            "seconds_per_step": 1.0 / rates["steps"] if rates else None,
            "mfu": achieved / (peak * self._devices) if achieved and peak else None,
        }
        self.log.write(number, {**self.window.means(), "learning_rate": self._learning_rate, **timing, **self.goodput.values()})
