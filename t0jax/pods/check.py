"""What is said before anything is created: what cannot work, in one sentence."""

import math
from pathlib import PurePosixPath

from t0jax.config import Run
from t0jax.errors import InputError
from t0jax.pods.cloud import Answer, Command, Kind, Shell
from t0jax.pods.job import Job

_MAY_BE_IN_A_BUCKET = ("MODEL_DIR", "INITIAL_CHECKPOINT_PATH", "TFDS_DATA_DIR")


def check_run(run: Run, job: Job) -> None:
    """InputError for a run that these slices cannot hold: places that workers do not share, what does not divide."""
    _check_places(run, job)
    _check_divides(run, job)


def check_bucket(shell: Shell, job: Job) -> None:
    """InputError when the bucket of MODEL_DIR does not answer."""
    for command in bucket_commands(job):
        answer = shell.ask(command)
        if answer.status != 0:
            raise InputError(
                f"MODEL_DIR {job.model_dir} cannot be reached ({answer.said}): make the bucket, or give yourself and the "
                "workers access to it."
            )


def bucket_commands(job: Job) -> list[Command]:
    """How a bucket is asked for; nothing for a folder."""
    bucket = job.model_dir.partition("://")[2].partition("/")[0]
    if not job.model_dir.startswith("gs://"):
        return []
    argv = ("gcloud", "storage", "ls", f"gs://{bucket}", f"--project={job.project}", "--quiet")
    return [Command(argv, seconds=60.0, tries=3)]


def check_answer(answer: Answer, what: str) -> None:
    """InputError for an answer that will be the same next time: a quota, a permission, a wrong argument."""
    if answer.kind is Kind.QUOTA:
        raise InputError(
            f"{what} is beyond a quota ({answer.said}): ask for more on the console's page IAM & Admin > Quotas, or choose a "
            "smaller --accelerator or another --zone or --provisioning."
        )
    if answer.kind is Kind.REFUSED:
        raise InputError(f"{what} was refused ({answer.said}): mend that and give the same command again.")


def _check_places(run: Run, job: Job) -> None:
    if run.train.model_dir is None:
        raise InputError("The run has no MODEL_DIR to save in: give --gin.MODEL_DIR=gs://BUCKET/DIR.")
    places = {
        "MODEL_DIR": run.train.model_dir,
        "INITIAL_CHECKPOINT_PATH": run.train.initial_checkpoint_path,
        "CACHE_DIR": run.data.cache_dir,
        "DATA_DIR": run.data.data_dir,
        "VOCABULARY": run.data.vocabulary,
        "P3_DIR": run.data.p3_dir,
        "HUB_LOCK": run.data.hub_lock,
        "TFDS_DATA_DIR": run.data.tfds_data_dir,
        **{f"TABLES ({folder})": folder for folder in run.data.tables},
    }
    for name, place in places.items():
        if place is not None and not _is_shared(place, job):
            bucket = "a bucket (gs://BUCKET/DIR) or " if name in _MAY_BE_IN_A_BUCKET else ""
            raise InputError(
                f"{name} is {place!r}, which the workers do not share: give {bucket}a path below a folder that each of "
                "them has mounted, and name that folder with --mounted."
            )
    if run.data.cache_dir is None and run.train.model_dir.startswith("gs://"):
        raise InputError("The run has no CACHE_DIR: give --gin.CACHE_DIR=DIR below a folder that every worker has mounted.")


def _is_shared(place: str, job: Job) -> bool:
    if "://" in place:
        return True
    path = PurePosixPath(place)
    return path.is_absolute() and any(path.is_relative_to(folder) for folder in job.mounted)


def _check_divides(run: Run, job: Job) -> None:
    chips, hosts, batch = job.slices.chips, job.hosts, run.data.batch_size
    run.data.streams_each(hosts)
    sizes = [run.mesh.data, run.mesh.fsdp, run.mesh.tensor]
    given = math.prod(size for size in sizes if size != -1)
    if -1 in sizes and chips % given == 0:
        sizes[sizes.index(-1)] = chips // given
    if math.prod(sizes) != chips:
        raise InputError(
            f"A mesh of data={run.mesh.data}, fsdp={run.mesh.fsdp}, tensor={run.mesh.tensor} does not fit the {chips} chips of "
            f"{job.slices}: set MeshConfig so that the sizes multiply to {chips}, or one of them to -1."
        )
    if sizes[0] % job.num_slices:
        raise InputError(
            f"MeshConfig.data is {sizes[0]}, which {job.num_slices} slices do not divide, and only data parallelism goes "
            f"between them: make it a multiple of {job.num_slices}."
        )
    rows = sizes[0] * sizes[1] * run.train.microbatches
    if batch % rows:
        raise InputError(
            f"BATCH_SIZE is {batch}, which {sizes[0]} x {sizes[1]} parts of {run.train.microbatches} microbatches do not "
            f"divide: make it a multiple of {rows}."
        )
    if chips // hosts % sizes[2]:
        raise InputError(
            f"MeshConfig.tensor is {sizes[2]}, but a host has {chips // hosts} chips: choose a divisor of {chips // hosts}."
        )
