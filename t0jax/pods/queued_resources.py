"""Queued resources of the Cloud TPU API, by gcloud. v4 to v6e; Google offers later generations by GKE only."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from t0jax.errors import InputError
from t0jax.pods.backend import Leftover, Phase, Sight
from t0jax.pods.cloud import Answer, Command, Kind
from t0jax.pods.job import Job
from t0jax.pods.zones import OFFERS

_PHASES = {
    "CREATING": Phase.WAITING,
    "ACCEPTED": Phase.WAITING,  # until 2024; WAITING_FOR_RESOURCES since
    "WAITING_FOR_RESOURCES": Phase.WAITING,
    "PROVISIONING": Phase.WAITING,
    "ACTIVE": Phase.ACTIVE,
    "FAILED": Phase.GONE,
    "SUSPENDING": Phase.GONE,
    "SUSPENDED": Phase.GONE,
    "DELETING": Phase.DELETING,
}
_GONE_NODES = ("PREEMPTED", "TERMINATED", "STOPPED", "STOPPING", "DELETING")
_PREPARE_SECONDS = 1800.0
_TIERS = {"spot": ("--spot",), "reserved": ("--reserved",), "on_demand": ()}


class QueuedResources:
    """gcloud compute tpus queued-resources and tpu-vm."""

    starts_by_itself = False

    def check(self, job: Job) -> None:
        """Nothing is beyond it that a Job can say, but a cluster."""
        if job.cluster is not None:
            raise InputError(f"--cluster={job.cluster} is of --backend=xpk; queued resources have none.")

    def create(self, job: Job, stage: Path) -> list[Command]:
        """One queued resource: a node, or one for each slice."""
        if job.num_slices == 1:
            nodes = [f"--node-id={job.name}"]
        else:
            nodes = [f"--node-count={job.num_slices}", f"--node-prefix={job.name}"]
        is_flex = job.provisioning == "flex-start"
        release = ("gcloud", "alpha") if is_flex else ("gcloud",)  # flex-start is not in the released command
        flex = ("--provisioning-model=flex-start", f"--max-run-duration={job.max_run_duration}")
        argv = (
            *(*release, "compute", "tpus", "queued-resources", "create", job.name),
            *(*nodes, f"--accelerator-type={job.slices.accelerator_type}"),
            f"--runtime-version={job.runtime_version or OFFERS[job.slices.chip.name].runtime}",
            *(flex if is_flex else _TIERS[job.provisioning]),
            *(*_place(job), "--async", "--quiet", *job.create_flags),
        )
        return [Command(argv)]

    def look(self, job: Job) -> list[Command]:
        """The request, and its nodes: one that is preempted stays in the list."""
        return [_tpus(job, "queued-resources", "describe", job.name), _tpus(job, "tpu-vm", "list")]

    def sight(self, job: Job, answers: Sequence[Answer]) -> Sight | None:
        """The request's state, unless a node is gone."""
        request, nodes = answers
        if request.kind is Kind.ABSENT:
            return Sight(Phase.ABSENT, "not there")
        if request.status != 0:
            return None
        described = _json(request, {})
        state = described.get("state", {})
        name = str(state.get("state", "unknown"))
        message = str(state.get("failedData", {}).get("error", {}).get("message", ""))
        gone = [f"node {node} is {at}" for node, at in _nodes(job, nodes) if at in _GONE_NODES]
        phase = _PHASES.get(name, Phase.WAITING)
        if phase is Phase.ACTIVE and gone:
            return Sight(Phase.GONE, ", ".join(gone))
        is_quota = phase is Phase.GONE and "quota" in message.lower()
        return Sight(phase, f"{name}: {message}" if message else name, is_final=is_quota)

    def prepare(self, job: Job, stage: Path) -> list[list[Command]]:
        """The folder with its modes, as one file in it is secret; then what it says to install."""
        copies = [
            _tpu_vm(job, "scp", "--recurse", "--scp-flag=-p", str(stage), f"{node}:", "--worker=all", seconds=_PREPARE_SECONDS)
            for node in node_names(job)
        ]
        return [copies, self._ssh(job, "prepare", _PREPARE_SECONDS, 2)]

    def on_workers(self, job: Job, action: str) -> list[Command]:
        """By ssh, one command for each slice."""
        return self._ssh(job, action, 180.0, 1)

    def logs(self, job: Job, after: int, seconds: int) -> Command:
        """Of the first worker of the first slice."""
        script = f"tail -c +{after + 1} {job.stage}/log"
        return _tpu_vm(job, "ssh", node_names(job)[0], "--worker=0", f"--command={script}", seconds=60.0, tries=1)

    def leftovers(self, job: Job) -> list[Command]:
        """All requests and nodes of the zone."""
        return [_tpus(job, "queued-resources", "list"), _tpus(job, "tpu-vm", "list")]

    def left(self, job: Job, answers: Sequence[Answer]) -> list[Leftover]:
        """Those of the job. A request is deleted with its nodes; a node that has lost its request is deleted by itself."""
        requests, nodes = answers
        has_request = job.name in [_base(one.get("name", "")) for one in _json(requests, [])]
        request = [self.expected(job)] if has_request else []
        return [*request, *(Leftover("node", node, is_part=has_request) for node, _ in _nodes(job, nodes))]

    def expected(self, job: Job) -> Leftover:
        """The request."""
        return Leftover("queued resource", job.name)

    def delete(self, job: Job, leftover: Leftover) -> Command:
        """With --force also where its nodes still run."""
        if leftover.what == "node":
            return _tpus(job, "tpu-vm", "delete", leftover.name, "--quiet", "--async", is_read=False)
        return _tpus(job, "queued-resources", "delete", leftover.name, "--force", "--quiet", "--async", is_read=False)

    def bills_on(self, job: Job) -> str | None:
        """Nothing does."""
        return None

    def _ssh(self, job: Job, action: str, seconds: float, tries: int) -> list[Command]:
        script = f"bash {job.stage}/worker.sh {action}"
        return [
            _tpu_vm(job, "ssh", node, "--worker=all", f"--command={script}", seconds=seconds, tries=tries)
            for node in node_names(job)
        ]


def node_names(job: Job) -> list[str]:
    """What its nodes are called: as the job, or numbered where it has several."""
    return [job.name] if job.num_slices == 1 else [f"{job.name}-{index}" for index in range(job.num_slices)]


def _place(job: Job) -> tuple[str, str]:
    return f"--zone={job.zone}", f"--project={job.project}"


def _tpus(job: Job, *words: str, is_read: bool = True) -> Command:
    form = ("--format=json",) if is_read else ()
    return Command(("gcloud", "compute", "tpus", *words, *_place(job), *form))


def _tpu_vm(job: Job, *words: str, seconds: float, tries: int = 3) -> Command:
    return Command(("gcloud", "compute", "tpus", "tpu-vm", *words, *_place(job), "--quiet"), seconds, tries)


def _json(answer: Answer, otherwise: Any) -> Any:
    try:
        found = json.loads(answer.out or "null") if answer.status == 0 else None
    except ValueError:
        found = None
    return otherwise if found is None else found


def _nodes(job: Job, answer: Answer) -> list[tuple[str, str]]:
    """Names and states of the job's nodes: those of its request, and those of its names that say no request."""
    found = []
    for node in _json(answer, []):
        name, request = _base(node.get("name", "")), _base(node.get("queuedResource", ""))
        if request == job.name or (not request and name in node_names(job)):
            found.append((name, str(node.get("state", ""))))
    return found


def _base(name: str) -> str:
    return name.rpartition("/")[2]
