"""`t0jax launch logs`: what the first worker's trainer has said; what was seen of earlier starts lies in DIR/<name>/log."""

import argparse

from t0jax.cli.launch.flags import add_name, backend_for, noted_job, shell_for
from t0jax.errors import InputError

_DAY = 86_400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    add_name(parser)
    parser.add_argument("--follow", action="store_true", help="and what it says from now on")


def run(arguments: argparse.Namespace) -> int:
    """Print; InputError when the worker does not answer."""
    job = noted_job(arguments)
    backend, shell = backend_for(job), shell_for(job, arguments)
    after, seconds = 0, _DAY
    if arguments.dry_run:
        print(backend.logs(job, after, seconds))
        return 0
    while True:
        answer = shell.ask(backend.logs(job, after, seconds))
        if answer.status != 0 and not arguments.follow:
            raise InputError(
                f"The first worker of {job.name} has no log ({answer.said}): `t0jax launch status` says how it stands."
            )
        if answer.status == 0:
            shell.say(answer.out, end="")
            after += len(answer.out.encode())
        if not arguments.follow:
            return 0
        seconds = 10
        shell.sleep(seconds)
