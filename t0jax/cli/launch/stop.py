"""`t0jax launch stop`: let the trainer save, delete everything of a job, and say what was deleted and what is left.

Status 0: nothing is left; 1: something is, or nobody can say.
"""

import argparse
import time

from t0jax.cli.launch.flags import add_grace, add_name, backend_for, folder_of, noted_job, shell_for
from t0jax.pods.backend import Phase
from t0jax.pods.budget import Pace, read_ledger, write_ledger
from t0jax.pods.clear import clear
from t0jax.pods.stage import forget_secrets


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    add_name(parser)
    add_grace(parser)
    parser.add_argument(
        "--delete_seconds", type=float, default=900.0, metavar="S", help="until a slow deletion is ordered again"
    )
    parser.add_argument("--poll_seconds", type=float, default=10.0, metavar="S", help="between two looks (default 10)")


def run(arguments: argparse.Namespace) -> int:
    """Stop, delete, look."""
    job, folder = noted_job(arguments), folder_of(arguments)
    backend, shell = backend_for(job), shell_for(job, arguments)
    pace = Pace(poll=arguments.poll_seconds, delete=arguments.delete_seconds, grace=arguments.grace_seconds)
    halt = backend.on_workers(job, f"stop {pace.grace}")
    if arguments.dry_run:
        print("# while it is active", *halt, sep="\n")
        print("# until nothing is left", *backend.leftovers(job), backend.delete(job, backend.expected(job)), sep="\n")
        return 0
    sight = backend.sight(job, shell.ask_all(backend.look(job)))
    if sight is not None and sight.phase is Phase.ACTIVE:
        shell.ask_all(halt)
    seen, left = clear(job, backend, shell, pace)
    forget_secrets(folder, job)
    bills_on = backend.bills_on(job)
    if left != []:
        what = ", ".join(map(str, left)) if left else "what is left cannot be asked"
        orders = "; ".join(str(backend.delete(job, one)) for one in left or () if not one.is_part)
        shell.say(f"{job.name} is NOT all deleted and may cost money: {what}. Give this command again.")
        if orders:
            shell.say(f"Or: {orders}")
        return 1
    ledger = read_ledger(folder)
    ledger.release(time.time())
    if folder.is_dir():
        write_ledger(folder, ledger)
    said = f"deleted {', '.join(map(str, seen))}" if seen else "there was nothing to delete"
    shell.say(f"{job.name}: {said}; nothing of it is left in {job.zone} of {job.project}")
    if bills_on:
        shell.say(f"{job.name}: {bills_on}")
    return 0
