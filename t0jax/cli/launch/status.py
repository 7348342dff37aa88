"""`t0jax launch status`: how a job stands, what its workers say, and what it has used up."""

import argparse
import time

from t0jax.cli.launch.flags import add_name, backend_for, folder_of, noted_job, shell_for
from t0jax.errors import InputError
from t0jax.pods.backend import Phase, workers_in
from t0jax.pods.budget import read_ledger


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    add_name(parser)


def run(arguments: argparse.Namespace) -> int:
    """Look and print; InputError when the platform does not answer."""
    job = noted_job(arguments)
    backend, shell, ledger = backend_for(job), shell_for(job, arguments), read_ledger(folder_of(arguments))
    if arguments.dry_run:
        print(*backend.look(job), *backend.on_workers(job, "report"), sep="\n")
        return 0
    answers = shell.ask_all(backend.look(job))
    sight = backend.sight(job, answers)
    if sight is None:
        raise InputError(f"{job.name} cannot be asked for ({answers[0].said}): mend that, or look at the console.")
    shell.say(f"{job.name}: {sight.said}")
    if sight.phase in (Phase.ACTIVE, Phase.ENDED):
        for worker in workers_in(shell.ask_all(backend.on_workers(job, "report"))):
            shell.say(f"  {worker.name}: {worker.state} {worker.word}".rstrip())
    shell.say(
        f"  {ledger.starts} starts, {ledger.preemptions} preemptions, {ledger.failures} failures, "
        f"{ledger.hours(time.time()):.2f} h of {job.slices}"
    )
    return 0
