"""What a platform has to know to run a job: commands to create, look, start, report, read logs and delete. One file each."""

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from t0jax.errors import InputError, did_you_mean
from t0jax.pods.cloud import Answer, Command
from t0jax.pods.job import Job

_WORKER = re.compile(r"^t0jax-worker (\S+) (ready|running|ended|lost|lacks|absent) ?(.*)$", re.MULTILINE)
_LOG = re.compile(r"^t0jax-log (\S+) (.*)$", re.MULTILINE)


class Phase(enum.Enum):
    """How a job stands with its platform, in words that are ours."""

    ABSENT = "absent"
    WAITING = "waiting"
    ACTIVE = "active"
    ENDED = "ended"
    """The platform has run it to an end by itself."""
    GONE = "gone"
    """Its machines were taken away, or never came: it has to be deleted and created again."""
    DELETING = "deleting"


@dataclass(frozen=True)
class Sight:
    """A look at a job."""

    phase: Phase
    said: str
    """The platform's own words."""
    is_final: bool = False
    """Creating it again would end in the same way."""


@dataclass(frozen=True)
class Worker:
    """One machine's word about itself."""

    name: str
    state: str
    word: str
    log: str = ""
    """The last lines that its trainer said, where it has ended."""

    @property
    def status(self) -> int | None:
        """The exit status of its trainer, where it has ended."""
        return int(self.word) if self.state == "ended" and self.word.isdecimal() else None


@dataclass(frozen=True)
class Leftover:
    """Something that may cost money."""

    what: str
    name: str
    is_part: bool = False
    """Whether it goes with another leftover, and is not deleted by itself."""

    def __str__(self) -> str:
        return f"{self.what} {self.name}"


class Backend(Protocol):
    """A platform. It makes commands and reads answers; running them is not its job."""

    starts_by_itself: bool
    """Whether creating the job starts it: then `prepare`, `start` and `halt` are empty."""

    def check(self, job: Job) -> None:
        """An InputError for what the platform cannot do."""

    def create(self, job: Job, stage: Path) -> list[Command]:
        """Ask for the slices."""

    def look(self, job: Job) -> list[Command]:
        """Ask how the job stands."""

    def sight(self, job: Job, answers: Sequence[Answer]) -> Sight | None:
        """What the answers to `look` say; None where they say nothing."""

    def prepare(self, job: Job, stage: Path) -> list[list[Command]]:
        """Copy `stage` to every worker and install there: what runs side by side stands in one list."""

    def on_workers(self, job: Job, action: str) -> list[Command]:
        """An action of worker.sh on every worker: start, report, 'stop 60'."""

    def logs(self, job: Job, after: int, seconds: int) -> Command:
        """What the first worker's trainer has said after so many bytes; a platform without bytes goes by seconds."""

    def leftovers(self, job: Job) -> list[Command]:
        """Ask what there is of the job."""

    def left(self, job: Job, answers: Sequence[Answer]) -> list[Leftover]:
        """What the answers to `leftovers` name."""

    def expected(self, job: Job) -> Leftover:
        """What `left` names first while the job is there."""

    def delete(self, job: Job, leftover: Leftover) -> Command:
        """Delete it, whatever state it is in."""

    def bills_on(self, job: Job) -> str | None:
        """What stays when the job is deleted and costs money all the same, in a sentence."""


def backend_of(name: str) -> Backend:
    """The platform of that name. InputError for another."""
    from t0jax.pods.queued_resources import QueuedResources
    from t0jax.pods.xpk import Xpk

    known: dict[str, type[Backend]] = {"queued_resources": QueuedResources, "xpk": Xpk}
    if name not in known:
        raise InputError(f"There is no backend {name!r}, there are {', '.join(known)}.{did_you_mean(name, known)}")
    return known[name]()


def workers_in(answers: Sequence[Answer]) -> list[Worker]:
    """The workers that speak in these answers, each with its last word."""
    text = "\n".join(answer.out for answer in answers)
    logs: dict[str, list[str]] = {}
    for name, line in _LOG.findall(text):
        logs.setdefault(name, []).append(line)
    found = {
        name: Worker(name, state, word.strip(), "\n".join(logs.get(name, []))) for name, state, word in _WORKER.findall(text)
    }
    return [found[name] for name in sorted(found)]
