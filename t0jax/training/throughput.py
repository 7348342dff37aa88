"""How fast training goes: what a batch holds, a stopwatch that can be held, and the peak of a device."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from t0jax.batch import Batch
from t0jax.config import ModelConfig
from t0jax.model.flops import step_flops

PEAK_FLOPS: Mapping[str, float] = {
    "TPU v2": 22.5e12,
    "TPU v3": 61.5e12,
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5p": 459e12,
    "TPU v5": 459e12,
    "TPU v6 lite": 918e12,
    "TPU v6e": 918e12,
    "NVIDIA A100": 312e12,
    "NVIDIA H100 PCIe": 756e12,
    "NVIDIA H100 NVL": 835e12,
    "NVIDIA H100": 989e12,
    "NVIDIA H200 NVL": 835e12,
    "NVIDIA H200": 989e12,
    "NVIDIA B200": 2250e12,
    "NVIDIA L4": 121e12,
}
"""Dense bfloat16 FLOP/s of one JAX device by how its kind begins, from the makers' data sheets; the longest match counts."""


def peak_flops(device_kind: str) -> float | None:
    """The peak bfloat16 FLOP/s of a device; None where the table does not know it, as for CPUs."""
    known = [name for name in PEAK_FLOPS if re.match(rf"{name}\b", device_kind)]  # an L40 is no L4
    return PEAK_FLOPS[max(known, key=len)] if known else None


@dataclass(frozen=True)
class Load:
    """What one global batch holds: packed examples, places for tokens on either side, model FLOPs of its step."""

    examples: int
    encoder_slots: int
    decoder_slots: int
    flops: int


def load_of(batch: Batch, model: ModelConfig, processes: int = 1) -> Load:
    """The load of a global batch of which `batch` is this process's part; the other parts count as full as this one."""
    rows, inputs_length = batch["encoder_segment_ids"].shape
    targets_length = batch["decoder_segment_ids"].shape[1]
    rows *= processes
    examples = int(batch["decoder_segment_ids"].max(axis=1).sum()) * processes
    return Load(examples, rows * inputs_length, rows * targets_length, step_flops(model, rows, inputs_length, targets_length))


class Stopwatch:
    """Seconds and steps since the last lap. It starts at the end of the first step, so that compilation is not in it."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._began: float | None = None
        self._held = 0.0
        self._sums: dict[str, float] = {}

    def step(self, **amounts: float) -> None:
        """One more step has ended, in which `amounts` were done."""
        if self._began is None:
            self._began = self._now()
            return
        for name, amount in {"steps": 1.0, **amounts}.items():
            self._sums[name] = self._sums.get(name, 0.0) + amount

    def lap(self) -> dict[str, float]:
        """Amounts per second by name since the last lap, `steps` among them; empty when no step has been timed."""
        began, now = self._began, self._now()
        if began is None or not self._sums:
            return {}
        seconds = max(now - began - self._held, 1e-9)
        rates = {name: amount / seconds for name, amount in self._sums.items()}
        self._began, self._held, self._sums = now, 0.0, {}
        return rates

    @contextmanager
    def hold(self) -> Iterator[None]:
        """What happens inside is not training: saving, evaluating."""
        began = self._now()
        yield
        if self._began is not None:
            self._held += self._now() - began
