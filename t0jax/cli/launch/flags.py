"""What the actions of `t0jax launch` have in common: flags, the noted job, and what is checked before anything is made."""

import argparse
import os
from pathlib import Path

from t0jax.config import Run
from t0jax.errors import InputError
from t0jax.pods.backend import Backend, backend_of
from t0jax.pods.budget import Budget, Pace
from t0jax.pods.check import check_run
from t0jax.pods.cloud import Shell
from t0jax.pods.job import PROVISIONING, Job, read_job
from t0jax.pods.prices import price_of
from t0jax.pods.stage import secret_values
from t0jax.pods.zones import check_zone

_BACKENDS = "queued_resources, xpk"


def add_name(parser: argparse.ArgumentParser) -> None:
    """Which job: its name is enough once it has been created from this folder."""
    parser.add_argument("--name", required=True, metavar="N", help="of the job and of its slices")
    parser.add_argument("--state_dir", default="runs/launch", metavar="DIR", help="where jobs are noted: DIR/<name>")
    parser.add_argument("--backend", metavar="B", help=f"{_BACKENDS} (default queued_resources)")
    parser.add_argument("--project", metavar="P", help="default: $CLOUDSDK_CORE_PROJECT")
    parser.add_argument("--zone", metavar="Z", help="default: $CLOUDSDK_COMPUTE_ZONE")
    parser.add_argument("--cluster", metavar="C", help="of xpk")
    parser.add_argument("--dry_run", action="store_true", help="print the commands, run none")


def add_slices(parser: argparse.ArgumentParser) -> None:
    """Which slices."""
    parser.add_argument("--accelerator", metavar="T", help="an accelerator type, as v5p-32")
    parser.add_argument("--topology", metavar="T", help="or its shape, as v5p:2x2x4")
    parser.add_argument("--num_slices", type=int, default=1, metavar="N", help="of that kind, data parallel across them")
    parser.add_argument("--provisioning", default="spot", metavar="P", help=f"{', '.join(PROVISIONING)} (default spot)")
    parser.add_argument("--reservation", metavar="R", help="of xpk, with --provisioning=reserved")
    parser.add_argument("--max_run_duration", metavar="D", help="of flex-start: for how long, as 24h; at most 7d")
    parser.add_argument("--runtime_version", metavar="V", help="of the VMs (default: as the generation has it)")
    parser.add_argument("--image", metavar="I", help="of xpk: the image that the code is put into")
    parser.add_argument("--create_flag", action="append", default=[], metavar="F", help="one more for the platform's create")
    parser.add_argument("--unlisted_zone", action="store_true", help="the zone may be one that our table does not have")
    parser.add_argument("--mounted", action="append", default=[], metavar="DIR", help="a folder that all workers share")
    parser.add_argument("--setup", metavar="FILE", help="a shell script that every worker runs first, to mount things")
    parser.add_argument("--secret", action="append", default=[], metavar="NAME", help="a variable of here that workers get")
    parser.add_argument("--lock", default="tpu.lock", metavar="L", help="of requirements/: what workers install")


def add_budget(parser: argparse.ArgumentParser) -> None:
    """When to give up, and how long to wait."""
    parser.add_argument("--max_attempts", type=int, default=10, metavar="N", help="stop after N failures; not of preemptions")
    parser.add_argument("--max_dollars", type=float, metavar="D", help="stop when so much is spent")
    parser.add_argument("--price", type=float, metavar="D", help="of a chip and hour (default: the table's, on demand)")
    parser.add_argument("--poll_seconds", type=float, default=30.0, metavar="S", help="between two looks (default 30)")
    parser.add_argument(
        "--backoff_seconds", type=float, default=30.0, metavar="S", help="before a second attempt; then doubled"
    )
    parser.add_argument("--answer_seconds", type=float, default=900.0, metavar="S", help="until a silent worker is given up")
    add_grace(parser)


def add_grace(parser: argparse.ArgumentParser) -> None:
    """How long a trainer may take to save."""
    parser.add_argument("--grace_seconds", type=int, default=120, metavar="S", help="for a trainer to save (default 120)")


def folder_of(arguments: argparse.Namespace) -> Path:
    """Where the job is noted."""
    return Path(arguments.state_dir) / arguments.name


def job_from(arguments: argparse.Namespace, run: Run) -> Job:
    """The job that the flags describe, checked as far as that needs no network."""
    if (arguments.accelerator is None) == (arguments.topology is None):
        raise InputError("The slices have to be named once: give --accelerator=v5p-32 or --topology=v5p:2x2x4.")
    project, zone = place_from(arguments)
    job = Job(
        name=arguments.name,
        backend=arguments.backend or "queued_resources",
        project=project,
        zone=zone,
        topology=arguments.accelerator or arguments.topology,
        num_slices=arguments.num_slices,
        provisioning=arguments.provisioning,
        runtime_version=arguments.runtime_version,
        max_run_duration=arguments.max_run_duration,
        cluster=arguments.cluster,
        image=arguments.image,
        reservation=arguments.reservation,
        create_flags=tuple(arguments.create_flag),
        model_dir=run.train.model_dir or "",
        lock=arguments.lock,
        secrets=tuple(arguments.secret),
        mounted=tuple(arguments.mounted),
    )
    backend_of(job.backend).check(job)
    if not arguments.unlisted_zone:
        check_zone(job.slices, job.zone, job.provisioning == "flex-start")
    check_run(run, job)
    secret_values(job)
    return job


def place_from(arguments: argparse.Namespace) -> tuple[str, str]:
    """Project and zone, by flag or by gcloud's own variables. InputError without one."""
    places = []
    for flag, variable in (("project", "CLOUDSDK_CORE_PROJECT"), ("zone", "CLOUDSDK_COMPUTE_ZONE")):
        value = getattr(arguments, flag) or os.environ.get(variable)
        if not value:
            raise InputError(f"There is no {flag} to launch in: give --{flag}, or set {variable}.")
        places.append(value)
    return places[0], places[1]


def noted_job(arguments: argparse.Namespace) -> Job:
    """The job of that name, as it was noted; where it was noted elsewhere, as far as the flags say."""
    job = read_job(folder_of(arguments))
    if job is not None:
        return job
    project, zone = place_from(arguments)
    backend = arguments.backend or "queued_resources"
    job = Job(name=arguments.name, backend=backend, project=project, zone=zone, topology="v5e:2x2", cluster=arguments.cluster)
    backend_of(backend).check(job)
    return job


def backend_for(job: Job) -> Backend:
    """The platform of a job."""
    return backend_of(job.backend)


def shell_for(job: Job, arguments: argparse.Namespace) -> Shell:
    """A shell that hides the job's secrets, as far as they are set here."""
    values = [os.environ.get(name, "") for name in job.secrets]
    return Shell(values, pause=min(2.0, getattr(arguments, "poll_seconds", 2.0)))


def pace_from(arguments: argparse.Namespace) -> Pace:
    """The waiting times."""
    poll, answer, grace = arguments.poll_seconds, arguments.answer_seconds, arguments.grace_seconds
    return Pace(poll=poll, backoff=arguments.backoff_seconds, answer=answer, delete=answer, grace=grace)


def budget_from(arguments: argparse.Namespace, job: Job) -> Budget:
    """The budget. Without --price it counts by the list price on demand, which no other provisioning exceeds."""
    price = price_of(job.slices.chip, "on_demand", arguments.price)
    hourly = None if price is None else price.dollars * job.slices.chips
    return Budget(max_attempts=arguments.max_attempts, max_dollars=arguments.max_dollars, dollars_per_hour=hourly)
