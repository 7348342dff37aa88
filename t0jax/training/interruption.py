"""SIGTERM and SIGINT as a question that the loop asks between steps."""

import signal
import threading
from types import FrameType
from typing import Any, Self

import jax
from jax.experimental import multihost_utils


class Stopped(Exception):
    """Training was asked to stop, and what it had done is saved. A shell's status for `signal_number` is 128 more."""

    def __init__(self, step: int, signal_number: int | None) -> None:
        self.step = step
        self.signal_number = signal.Signals(signal_number or signal.SIGTERM)
        super().__init__(f"stopped at step {step} by {self.signal_number.name}; the same command goes on from there")


class Interruption:
    """Remembers the first SIGTERM or SIGINT; the second one acts as ever. Only a main thread can listen."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def is_due(self, step: int) -> bool:
        """Whether every host should stop before this step: all of them are told the same."""
        if jax.process_count() > 1:  # JAX listens for SIGTERM by itself, and agrees on a step
            if multihost_utils.reached_preemption_sync_point(step):
                self.received = int(signal.SIGTERM)
            return self.received == signal.SIGTERM
        return self.received is not None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread() and jax.process_count() == 1:
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *exception: object) -> None:
        self._restore()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())
