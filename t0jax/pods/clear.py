"""Deleting a job until nothing of it is left."""

import time
from collections.abc import Callable

from t0jax.pods.backend import Backend, Leftover
from t0jax.pods.budget import Pace
from t0jax.pods.cloud import Kind, Shell
from t0jax.pods.job import Job


def leftovers(job: Job, backend: Backend, shell: Shell) -> list[Leftover] | None:
    """What there is of the job; None where the platform does not answer."""
    answers = shell.ask_all(backend.leftovers(job))
    if any(answer.status != 0 for answer in answers):
        return None
    return backend.left(job, answers)


def clear(
    job: Job, backend: Backend, shell: Shell, pace: Pace, now: Callable[[], float] = time.monotonic
) -> tuple[list[Leftover], list[Leftover] | None]:
    """Delete, wait, and order the deletion again where it does not come to an end: (what was there, what is left).

    What is left is None where the platform stopped answering: nobody knows.
    """
    seen: dict[str, Leftover] = {}
    there: list[Leftover] | None = None
    for _ in range(pace.delete_tries):
        there = leftovers(job, backend, shell)
        if there == []:
            break
        seen |= {str(one): one for one in there or ()}
        for one in (one for one in there or () if not one.is_part):
            answer = shell.ask(backend.delete(job, one))
            if answer.status != 0 and answer.kind is not Kind.ABSENT:
                shell.say(f"Deleting {one} failed ({answer.said}); it will be tried again.")
        until = now() + pace.delete
        while there != [] and now() < until:
            shell.sleep(pace.poll)
            there = leftovers(job, backend, shell)
            seen |= {str(one): one for one in there or ()}
    return list(seen.values()), there
