"""`t0jax launch run`: slices from nothing to a finished run, through preemptions, within a budget; then nothing is left.

Status 0: done; 2: bad input, here or in the trainer; 1: the budget is used up, or something is left.
"""

import argparse
import dataclasses
from pathlib import Path

from t0jax.cli.launch.create import check_reachable, say_uncommitted
from t0jax.cli.launch.flags import (
    add_budget,
    add_name,
    add_slices,
    backend_for,
    budget_from,
    folder_of,
    job_from,
    pace_from,
    shell_for,
)
from t0jax.cli.recipe import add_gin_arguments, run_of, run_text
from t0jax.pods.backend import Backend
from t0jax.pods.budget import Ledger, read_ledger
from t0jax.pods.check import bucket_commands
from t0jax.pods.job import Job, write_job
from t0jax.pods.stage import forget_secrets, is_staged, make_stage
from t0jax.pods.watch import End, Watch

_STATUSES = {End.DONE: 0, End.BAD_INPUT: 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    add_name(parser)
    add_slices(parser)
    add_budget(parser)
    add_gin_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check, send, watch; an InputError before anything is created where it cannot work."""
    described = run_of(arguments)
    job, folder = job_from(arguments, described), folder_of(arguments)
    backend, shell, pace, budget = (
        backend_for(job),
        shell_for(job, arguments),
        pace_from(arguments),
        budget_from(arguments, job),
    )
    stage = folder / job.stage
    if arguments.dry_run:
        _print_commands(backend, job, stage, pace.poll)
        return 0
    check_reachable(shell, backend, job, folder)
    say_uncommitted()
    setup, text = Path(arguments.setup) if arguments.setup else None, run_text(described)
    is_same = is_staged(folder, job, text)
    make_stage(folder, job, text, setup, has_values=not backend.starts_by_itself)
    write_job(folder, job)
    watch = Watch(job, backend, shell, folder, stage, budget, _fresh_ledger(folder), pace, may_attach=is_same)
    try:
        verdict = watch.follow()
    except KeyboardInterrupt:
        watch.say("no longer watched: it goes on, and costs money; the same command watches again, `t0jax launch stop` ends it")
        raise
    forget_secrets(folder, job)
    dollars = budget.dollars(watch.ledger, watch.now())
    cost = "" if dollars is None else f", about ${dollars:.2f}"
    watch.say(f"{verdict.end.value}: {verdict.why}")
    watch.say(
        f"{watch.ledger.starts} starts, {watch.ledger.preemptions} preemptions, {watch.ledger.failures} failures, "
        f"{watch.ledger.hours(watch.now()):.2f} h{cost}"
    )
    return 1 if verdict.has_slices else _STATUSES.get(verdict.end, 1)


def _fresh_ledger(folder: Path) -> Ledger:
    """What the job has cost under this name; the failures are counted anew."""
    return dataclasses.replace(read_ledger(folder), failures=0)


def _print_commands(backend: Backend, job: Job, stage: Path, poll: float) -> None:
    parts = {
        "asked first": bucket_commands(job) + backend.leftovers(job),
        "create": backend.create(job, stage),
        f"look, every {poll:g} s": backend.look(job),
        "send and install": [command for group in backend.prepare(job, stage) for command in group],
        "start": backend.on_workers(job, "start"),
        f"watch, every {poll:g} s": [*backend.on_workers(job, "report"), backend.logs(job, 0, int(poll) + 1)],
        "before it is started again": backend.on_workers(job, "stop 120"),
        "delete, when it has ended or was preempted": [backend.delete(job, backend.expected(job))],
    }
    for title, commands in parts.items():
        if commands:
            print(f"# {title}", *commands, sep="\n")
