"""What is to be run where: the frozen description that every command on it goes by."""

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from t0jax.errors import InputError
from t0jax.files import write_whole
from t0jax.pods.topology import Topology, parse_topology

PROVISIONING = ("spot", "reserved", "on_demand", "flex-start")
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,37}[a-z0-9])?")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run on one or several slices."""

    name: str
    backend: str
    project: str
    zone: str
    topology: str
    """Of one slice: v5p:2x2x4 or v5p-32."""
    num_slices: int = 1
    provisioning: str = "spot"
    runtime_version: str | None = None
    """Of the VMs; None: the generation's."""
    max_run_duration: str | None = None
    """Of flex-start: how long the slice is asked for, as 7d."""
    cluster: str | None = None
    """Of xpk."""
    image: str | None = None
    """Of xpk: the container that the tree is copied into."""
    reservation: str | None = None
    create_flags: tuple[str, ...] = ()
    """What the platform's command to create takes besides."""
    model_dir: str = ""
    lock: str = "tpu.lock"
    """Of requirements/: what the workers install."""
    secrets: tuple[str, ...] = ()
    """Names of environment variables that the workers get. The values are never here."""
    mounted: tuple[str, ...] = ()
    """Folders that every worker has."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InputError(
                f"--name is {self.name!r}; it must be at most 39 lower-case letters, digits and hyphens, begin with a letter "
                "and not end with a hyphen."
            )
        if self.provisioning not in PROVISIONING:
            raise InputError(f"--provisioning is {self.provisioning!r}; it must be one of {', '.join(PROVISIONING)}.")
        parse_topology(self.topology, self.num_slices)  # says what is wrong with them
        if (self.provisioning == "flex-start") != (self.max_run_duration is not None):
            raise InputError(
                "--provisioning=flex-start and --max_run_duration (as 24h, at most 7d) go together: give both or none."
            )

    @property
    def slices(self) -> Topology:
        """All its slices."""
        return parse_topology(self.topology, self.num_slices)

    @property
    def hosts(self) -> int:
        """All its machines."""
        return self.slices.hosts

    @property
    def stage(self) -> str:
        """The folder that goes to every worker, as it is called here and there."""
        return f"t0jax-{self.name}"


def write_job(folder: Path, job: Job) -> None:
    """Note the job, so that its name is enough from now on."""
    write_whole(folder / "job.json", json.dumps(dataclasses.asdict(job), indent=1) + "\n")


def read_job(folder: Path) -> Job | None:
    """The job that was noted there; None where there is none. InputError for a file that is none."""
    path = folder / "job.json"
    if not path.is_file():
        return None
    try:
        fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        tuples: dict[str, Any] = {name: tuple(value) for name, value in fields.items() if isinstance(value, list)}
        return Job(**(fields | tuples))
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path} cannot be read ({error}): delete it and give all flags again.") from error
