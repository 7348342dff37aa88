"""Workloads on a cluster of GKE, by xpk and kubectl. The cluster is the user's; JobSet starts preempted workers again."""

import re
from collections.abc import Sequence
from pathlib import Path

from t0jax.errors import InputError
from t0jax.pods.backend import Leftover, Phase, Sight
from t0jax.pods.cloud import Answer, Command
from t0jax.pods.job import Job

_STATUS = re.compile(r"\b(Admitted|Evicted|QuotaReserved|Pending|Requeued|PodsReady|Finished|Unknown)\b")
_PHASES = {"Admitted": Phase.ACTIVE, "PodsReady": Phase.ACTIVE, "Finished": Phase.ENDED}
_RESTARTS, _SAVED, _GRACE = 50, 75, 300
_IMAGE = "python:3.11-slim"


class Xpk:
    """xpk workload create, list and delete."""

    starts_by_itself = True

    def check(self, job: Job) -> None:
        """A workload needs a cluster, and a reservation its name."""
        if job.cluster is None:
            raise InputError("--backend=xpk needs a cluster: give --cluster=NAME, of one that `xpk cluster create` has made.")
        if (job.provisioning == "reserved") != (job.reservation is not None):
            raise InputError("--backend=xpk: --provisioning=reserved and --reservation=NAME go together: give both or none.")

    def create(self, job: Job, stage: Path) -> list[Command]:
        """One workload, whose containers are the image with the stage in it; secrets are named, xpk takes their values."""
        tiers = {
            "spot": "--spot",
            "on_demand": "--on-demand",
            "flex-start": "--flex",
            "reserved": f"--reservation={job.reservation}",
        }
        environment = (f"--env-file={stage.parent / 'secrets'}",) if job.secrets else ()
        argv = (
            *("xpk", "workload", "create", f"--workload={job.name}", *_place(job)),
            *(f"--tpu-type={job.slices.accelerator_type}", f"--num-slices={job.num_slices}", tiers[job.provisioning]),
            *(f"--base-docker-image={job.image or _IMAGE}", f"--script-dir={stage}", "--command=bash worker.sh run"),
            *(f"--max-restarts={_RESTARTS}", f"--restart-on-exit-codes={_SAVED}"),
            *(f"--termination-grace-period-seconds={_GRACE}", *environment, *job.create_flags),
        )
        return [Command(argv, seconds=1800.0, tries=3)]

    def look(self, job: Job) -> list[Command]:
        """The list of workloads, which has a line for this one."""
        return [_list(job)]

    def sight(self, job: Job, answers: Sequence[Answer]) -> Sight | None:
        """Kueue's word for the workload; what waits or is evicted comes again by itself."""
        answer = answers[0]
        if answer.status != 0:
            return None
        line = _line(job, answer)
        if line is None:
            return Sight(Phase.ABSENT, "not there")
        found = _STATUS.search(line)
        status = found.group(1) if found else "unknown"
        said = line[found.start() :] if found else line
        return Sight(_PHASES.get(status, Phase.WAITING), " ".join(said.split()))

    def prepare(self, job: Job, stage: Path) -> list[list[Command]]:
        """Nothing: the image has it."""
        return []

    def on_workers(self, job: Job, action: str) -> list[Command]:
        """Only a report, which is the end of the workers' logs: they have been started, and are stopped, with the workload."""
        return [_logs(job, "--tail=40")] if action == "report" else []

    def logs(self, job: Job, after: int, seconds: int) -> Command:
        """Of the first pod of the first slice."""
        first = ("jobset.sigs.k8s.io/job-index=0", "batch.kubernetes.io/job-completion-index=0")
        return _logs(job, f"--since={seconds}s", *first)

    def leftovers(self, job: Job) -> list[Command]:
        """The list of workloads."""
        return [_list(job)]

    def left(self, job: Job, answers: Sequence[Answer]) -> list[Leftover]:
        """The workload, also when it has ended."""
        return [self.expected(job)] if _line(job, answers[0]) is not None else []

    def expected(self, job: Job) -> Leftover:
        """The workload."""
        return Leftover("workload", job.name)

    def delete(self, job: Job, leftover: Leftover) -> Command:
        """The workload, without a question."""
        return Command(("xpk", "workload", "delete", f"--workload={leftover.name}", *_place(job), "--force"))

    def bills_on(self, job: Job) -> str | None:
        """The cluster."""
        return (
            f"the cluster {job.cluster} is yours and stays: node pools that do not shrink by themselves cost money until "
            f"`xpk cluster delete --cluster={job.cluster}`"
        )


def _place(job: Job) -> tuple[str, ...]:
    return f"--cluster={job.cluster}", f"--zone={job.zone}", f"--project={job.project}"


def _list(job: Job) -> Command:
    return Command(("xpk", "workload", "list", *_place(job), f"--filter-by-job={job.name}"))


def _line(job: Job, answer: Answer) -> str | None:
    """The line of the list that begins with the name: the filter lets through names that hold it."""
    return next((line for line in answer.out.splitlines() if line.split()[:1] == [job.name]), None)


def _logs(job: Job, flag: str, *labels: str) -> Command:
    selector = ",".join((f"jobset.sigs.k8s.io/jobset-name={job.name}", *labels))
    argv = ("kubectl", "logs", f"--selector={selector}", "--all-containers", "--ignore-errors", "--max-log-requests=512", flag)
    return Command(argv, seconds=60.0, tries=1)
