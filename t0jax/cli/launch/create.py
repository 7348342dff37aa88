"""`t0jax launch create`: ask for the slices and come back; `t0jax launch run` goes on with them."""

import argparse
import sys
from pathlib import Path

from t0jax.cli.launch.flags import add_budget, add_name, add_slices, backend_for, folder_of, job_from, pace_from, shell_for
from t0jax.cli.recipe import add_gin_arguments, run_of, run_text
from t0jax.errors import InputError
from t0jax.pods.backend import Backend
from t0jax.pods.check import bucket_commands, check_answer, check_bucket
from t0jax.pods.clear import leftovers
from t0jax.pods.cloud import Kind, Shell
from t0jax.pods.job import Job, read_job, write_job
from t0jax.pods.stage import make_stage, uncommitted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command: those of run."""
    add_name(parser)
    add_slices(parser)
    add_budget(parser)
    add_gin_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check, note the job and ask; an InputError before anything is created where it cannot work."""
    described = run_of(arguments)
    job, folder = job_from(arguments, described), folder_of(arguments)
    backend, shell, stage = backend_for(job), shell_for(job, arguments), folder / job.stage
    pace_from(arguments)
    if arguments.dry_run:
        print("# asked first", *bucket_commands(job), *backend.leftovers(job), sep="\n")
        print("# create", *backend.create(job, stage), sep="\n")
        return 0
    check_reachable(shell, backend, job, folder)
    say_uncommitted()
    setup = Path(arguments.setup) if arguments.setup else None
    make_stage(folder, job, run_text(described), setup, has_values=not backend.starts_by_itself)
    write_job(folder, job)
    answer = shell.ask_in_turn(backend.create(job, stage))
    check_answer(answer, f"Creating {job.name}")
    if answer.status != 0 and answer.kind is not Kind.EXISTS:
        raise InputError(f"{job.name} could not be created ({answer.said}): give the command again later.")
    shell.say(f"{job.name} is asked for: {job.slices}, {job.provisioning}, in {job.zone}. It costs money once it is active.")
    return 0


def check_reachable(shell: Shell, backend: Backend, job: Job, folder: Path) -> None:
    """InputError when the platform or the bucket does not answer, or the name belongs to what was not launched from here."""
    check_bucket(shell, job)
    for command in backend.leftovers(job):
        answer = shell.ask(command)
        check_answer(answer, f"Asking for {job.zone} of {job.project}")
        if answer.status != 0:
            raise InputError(
                f"{command.argv[0]} does not answer for {job.zone} of {job.project} ({answer.said}): mend that first."
            )
    there = leftovers(job, backend, shell)
    if there and read_job(folder) is None:
        raise InputError(
            f"There is a {there[0]} in {job.zone} of {job.project} that was not launched from {folder.parent}: choose another "
            "--name, or end it with `t0jax launch stop`."
        )


def say_uncommitted() -> None:
    """What of the checkout does not go along."""
    files = uncommitted()
    if files:
        more = f" and {len(files) - 3} more" if len(files) > 3 else ""
        print(f"t0jax: the workers get the last commit, without {', '.join(files[:3])}{more}", file=sys.stderr, flush=True)
