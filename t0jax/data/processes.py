"""Units of work over this machine's cores. Workers stop when the one who started them fails, is interrupted or is killed."""

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
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
_worker: dict[str, Any] = {}  # within a worker: the queue of steps done, and the event that ends it


class _StoppedError(Exception):
    """Another unit failed."""


def run_units(work: Callable[[Unit, Callable[[int], None]], Result], units: Sequence[Unit], label: str) -> list[Result]:
    """The result of `work(unit, advance)` for each unit, in as many processes as there are cores and units, with progress."""
    processes = min(_cores(), len(units))
    with Advance(label, sum(unit.size for unit in units)) as progress:
        if processes == 1:
            return [work(unit, progress.advance) for unit in units]
        context = multiprocessing.get_context("spawn")  # a fork of a process with JAX in it can hang
        steps, stop = context.Queue(), context.Event()
        with ProcessPoolExecutor(processes, context, _start_worker, (steps, stop, os.getpid())) as pool:
            try:
                futures = [pool.submit(_in_worker, work, unit) for unit in units]
                pending = set(futures)
                while pending:
                    done, pending = wait(pending, _POLL_SECONDS, FIRST_COMPLETED)
                    _drain(steps, progress)
                    for future in done:
                        future.result()
                _drain(steps, progress)
                return [future.result() for future in futures]
            except BrokenProcessPool as error:
                reason = "A worker process was killed, most likely for want of memory"
                raise InputError(f"{reason}: close other programs and run again.") from error
            finally:
                stop.set()
                pool.shutdown(cancel_futures=True)


def _cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _drain(steps: Any, progress: Advance) -> None:
    while True:
        try:
            progress.advance(steps.get_nowait())
        except queue.Empty:
            return


def _start_worker(steps: Any, stop: Event, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it and stops us
    _worker.update(steps=steps, stop=stop)
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()


def _leave_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _in_worker(work: Callable[[Unit, Callable[[int], None]], Result], unit: Unit) -> Result:
    def advance(count: int) -> None:
        if _worker["stop"].is_set():
            raise _StoppedError
        _worker["steps"].put(count)

    return work(unit, advance)
