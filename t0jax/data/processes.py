"""Units of work over this machine's cores. Workers stop when the one who started them fails, is interrupted or is killed."""

import functools
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from multiprocessing.synchronize import Event
from types import FrameType
from typing import Any, Protocol, TypeVar

from t0jax.data.progress import Advance
from t0jax.errors import InputError


class Sized(Protocol):
    """A unit of work that knows how many steps it takes."""

    @property
    def size(self) -> int:
        """How often `advance` will count one."""
        ...


Unit = TypeVar("Unit", bound=Sized)
Result = TypeVar("Result")
_POLL_SECONDS = 0.2
_HEARD = (signal.SIGINT, signal.SIGTERM)
_worker: dict[str, Any] = {}  # within a worker: the queue of steps done, and the event that ends it


class _StoppedError(Exception):
    """Another unit failed."""


def run_units(work: Callable[[Unit, Callable[[int], None]], Result], units: Sequence[Unit], label: str) -> list[Result]:
    """The result of `work(unit, advance)` for each unit, in as many processes as there are cores and units, with progress."""
    with closing(finish_units(work, units, label)) as finished:
        results = dict(finished)
    return [results[number] for number in range(len(units))]


def finish_units(
    work: Callable[[Unit, Callable[[int], None]], Result], units: Sequence[Unit], label: str
) -> Generator[tuple[int, Result]]:
    """The same, as they come, each with the number of its unit. Closed early it stops the work: use `closing`."""
    processes = min(cores(), len(units))
    with Advance(label, sum(unit.size for unit in units)) as progress:
        tally = _Tally(units, progress)
        if processes < 2:
            for number, unit in enumerate(units):
                yield number, work(unit, functools.partial(tally.count, number))
                tally.finish(number)
            return
        context = multiprocessing.get_context("spawn")  # a fork of a process with JAX in it can hang
        steps, stop = context.Queue(), context.Event()
        with ProcessPoolExecutor(processes, context, _start_worker, (steps, stop, os.getpid())) as pool:
            try:
                with _deaf():
                    waiting = {pool.submit(_in_worker, work, unit, number): number for number, unit in enumerate(units)}
                while waiting:
                    done, _ = wait(waiting, _POLL_SECONDS, FIRST_COMPLETED)
                    tally.drain(steps)
                    for future in done:
                        number, result = waiting.pop(future), future.result()
                        tally.finish(number)
                        yield number, result
            except BrokenProcessPool as error:
                reason = "A worker process was killed, most likely for want of memory"
                raise InputError(f"{reason}: close other programs and run again.") from error
            finally:
                stop.set()
                pool.shutdown(cancel_futures=True)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Tally:
    """Steps that are left of each unit: what a worker counts may come late, or never."""

    def __init__(self, units: Sequence[Sized], progress: Advance):
        self._left, self._progress = [unit.size for unit in units], progress

    def count(self, number: int, steps: int) -> None:
        """So many steps of a unit are done."""
        steps = min(steps, self._left[number])
        self._left[number] -= steps
        self._progress.advance(steps)

    def finish(self, number: int) -> None:
        """All steps of a unit are done."""
        self.count(number, self._left[number])

    def drain(self, steps: Any) -> None:
        """Count what lies in a queue of (unit, steps)."""
        with suppress(queue.Empty):
            while True:
                self.count(*steps.get_nowait())


@contextmanager
def _deaf() -> Iterator[None]:
    """Hear signals afterwards: a process that is half started cannot be stopped. Those started meanwhile never hear Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[tuple[int, FrameType | None]] = []
    handlers = {number: signal.signal(number, lambda *signal_: heard.append(signal_)) for number in _HEARD}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # what a started process inherits
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for which, frame in heard:
        if callable(handler := handlers[signal.Signals(which)]):
            handler(which, frame)


def _start_worker(steps: Any, stop: Event, parent: int) -> None:
    _worker.update(steps=steps, stop=stop)
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _in_worker(work: Callable[[Unit, Callable[[int], None]], Result], unit: Unit, number: int) -> Result:
    def advance(count: int) -> None:
        if _worker["stop"].is_set():
            raise _StoppedError
        _worker["steps"].put((number, count))

    return work(unit, advance)
