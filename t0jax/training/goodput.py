"""Where a run's wall-clock time went, over all its attempts: the share that trained steps which still stand is its goodput."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psutil

CAUSES = ("startup", "compile", "save", "hooks", "interrupted")
"""What is not training. `interrupted`: from the last checkpoint to the next start, steps that are trained again with it."""


def process_start() -> float:
    """When this process began, in seconds since the epoch: its imports count as start-up."""
    return float(psutil.Process().create_time())


class Goodput:
    """Seconds by cause since the run first began. What is saved with a checkpoint is what the next attempt goes on from.

    An attempt that dies before the run's first checkpoint is not known to the next one.
    """

    def __init__(self, saved: Mapping[str, Any] | None, *, started: float, now: Callable[[], float] = time.time) -> None:
        self._now, self._is_started = now, False
        self._began = self._started = started
        self._lost = dict.fromkeys(CAUSES, 0.0)
        if saved is not None:
            self._started = max(started, saved["at"])  # later where one process trains on twice
            self.go_back(saved, self._started)

    def go_back(self, saved: Mapping[str, Any], until: float | None = None) -> None:
        """The run goes on from a checkpoint: what came after it was for nothing, `until` (now) it goes on."""
        self._began = saved["began"]
        self._lost = {cause: float(saved["lost"].get(cause, 0.0)) for cause in CAUSES}
        self._lost["interrupted"] += max((self._now() if until is None else until) - saved["at"], 0.0)

    def end_startup(self) -> None:
        """The first step is about to be compiled; later calls say nothing new."""
        if not self._is_started:
            self._is_started = True
            self._lost["startup"] += self._now() - self._started

    @contextmanager
    def spend(self, cause: str) -> Iterator[None]:
        """What happens inside is not training."""
        began = self._now()
        try:
            yield
        finally:
            self._lost[cause] += self._now() - began

    def values(self) -> dict[str, float]:
        """The goodput, from 0 to 1, and the seconds lost to each cause so far."""
        whole = max(self._now() - self._began, 1e-9)
        kept = max(whole - sum(self._lost.values()), 0.0)
        return {"goodput": kept / whole, **{f"seconds_{cause}": seconds for cause, seconds in self._lost.items()}}

    def saved(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"began": self._began, "at": self._now(), "lost": dict(self._lost)}
