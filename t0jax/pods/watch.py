"""From nothing to a finished run, through preemptions: create, start, watch, and again, within a budget."""

import enum
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from t0jax.errors import InputError
from t0jax.pods.backend import Backend, Phase, Sight, Worker, workers_in
from t0jax.pods.budget import Budget, Ledger, Pace, write_ledger
from t0jax.pods.check import check_answer, check_bucket
from t0jax.pods.clear import clear
from t0jax.pods.cloud import Kind, Shell
from t0jax.pods.job import Job

DONE, BAD_INPUT = 0, 2
RESUMES = (75, 143, 130)
"""Statuses of a trainer that has saved and wants to be run again: EX_TEMPFAIL, SIGTERM, SIGINT."""


class End(enum.Enum):
    """How an attempt ended."""

    DONE = "done"
    BAD_INPUT = "bad input"
    PREEMPTED = "preempted"
    FAILED = "failed"
    SPENT = "spent"


@dataclass(frozen=True)
class Verdict:
    """The end of an attempt, and why."""

    end: End
    why: str
    has_slices: bool = True
    """Whether the slices that it had are there still, and can be used again."""


@dataclass
class Watch:
    """One job under way."""

    job: Job
    backend: Backend
    shell: Shell
    folder: Path
    stage: Path
    budget: Budget
    ledger: Ledger
    pace: Pace
    now: Callable[[], float] = time.time
    may_attach: bool = True
    """Whether trainers that run already are those of this stage: then the first attempt goes on with them."""
    logged: int = 0
    """Bytes of the first worker's log that have been read."""

    def follow(self) -> Verdict:
        """Until the run is done, cannot be, or has used up its budget; then nothing of it is left."""
        quick, spent = 0, self.budget.spent(self.ledger, self.now())
        if spent:
            return Verdict(End.SPENT, spent, has_slices=not self.clear())
        while True:
            begun = self.now()
            verdict = self._attempt()
            self.ledger.failures += verdict.end is End.FAILED
            self.ledger.preemptions += verdict.end is End.PREEMPTED
            self._keep()
            spent = self.budget.spent(self.ledger, self.now()) if verdict.end in (End.FAILED, End.PREEMPTED) else None
            if spent:
                verdict = Verdict(End.SPENT, f"{spent}; the last attempt: {verdict.why}")
            if verdict.end in (End.DONE, End.BAD_INPUT, End.SPENT):
                return Verdict(verdict.end, verdict.why, has_slices=not self.clear())
            if not verdict.has_slices or self.backend.starts_by_itself:
                self.clear()
            quick = 0 if self.now() - begun >= self.pace.steady else quick
            pause = self.pace.wait_before(quick)
            quick += 1
            self.say(f"{verdict.end.value}: {verdict.why}")
            self.say(f"the next attempt begins in {pause:.0f} s")
            self.shell.sleep(pause)

    def clear(self) -> bool:
        """Delete all slices; whether nothing is left, and says what is."""
        seen, left = clear(self.job, self.backend, self.shell, self.pace)
        if left == []:
            self.ledger.release(self.now())
            self._keep()
        else:
            what = ", ".join(map(str, left)) if left else "what there is cannot be asked"
            self.say(f"not everything is deleted, and it may cost money: {what}")
        if seen:
            self.say(f"deleted {', '.join(map(str, seen))}" if left == [] else "deletion goes on")
        return left == []

    def say(self, text: str) -> None:
        """A line with the time and the job's name."""
        self.shell.say(f"[{time.strftime('%H:%M:%S')}] {self.job.name}: {text}")

    def look(self) -> Sight | None:
        """How the job stands; None where the platform gives no answer."""
        return self.backend.sight(self.job, self.shell.ask_all(self.backend.look(self.job)))

    def workers(self) -> list[Worker]:
        """The workers that answer, with their states."""
        return workers_in(self.shell.ask_all(self.backend.on_workers(self.job, "report")))

    def _attempt(self) -> Verdict:
        sight = self._known_sight()
        if sight.phase in (Phase.GONE, Phase.DELETING):
            self.clear()
            sight = self._known_sight()
        if sight.phase is Phase.ABSENT:
            failed = self._create()
            if failed:
                return failed
        failed = self._until_active()
        if failed:
            return failed
        self.ledger.hold(self.now())
        self._keep()
        if not self.backend.starts_by_itself:
            failed = self._start()
            if failed:
                return failed
        return self._until_ended()

    def _known_sight(self) -> Sight:
        while True:
            sight = self.look()
            if sight is not None:
                return sight
            self.say("the platform does not answer; asking again")
            self.shell.sleep(self.pace.poll)

    def _create(self) -> Verdict | None:
        self.say(f"creating {self.job.slices}, {self.job.provisioning}, in {self.job.zone}")
        answer = self.shell.ask_in_turn(self.backend.create(self.job, self.stage))
        try:
            check_answer(answer, f"Creating {self.job.name}")
        except InputError as error:
            return Verdict(End.BAD_INPUT, str(error))
        if answer.status != 0 and answer.kind is not Kind.EXISTS:  # it does after a try whose answer was lost
            return Verdict(End.FAILED, f"it could not be created: {answer.said}", has_slices=False)
        self.ledger.starts += self.backend.starts_by_itself
        return None

    def _until_active(self) -> Verdict | None:
        said = ""
        while True:
            sight = self._known_sight()
            if sight.said != said:
                said = sight.said
                self.say(said)
            if sight.phase in (Phase.ACTIVE, Phase.ENDED):
                return None
            if sight.is_final:
                return Verdict(End.BAD_INPUT, f"{said}: it would end so again; choose other slices, or ask for quota", False)
            if sight.phase is not Phase.WAITING:
                return Verdict(End.FAILED, f"it never became active: {said}", has_slices=False)
            self.shell.sleep(self.pace.poll)

    def _start(self) -> Verdict | None:
        """Install on every worker and begin; goes on with trainers that all run already."""
        if self.may_attach and sum(worker.state in ("running", "ended") for worker in self.workers()) == self.job.hosts:
            self.may_attach = False
            self.say(f"all {self.job.hosts} workers have been started already")
            return None
        self.may_attach = False
        self.shell.ask_all(self.backend.on_workers(self.job, f"stop {self.pace.grace}"))  # what is left of an earlier attempt
        missing = self._prepare()
        if missing:
            return missing
        self.logged = 0
        self.ledger.starts += 1
        self._keep()
        self.shell.ask_all(self.backend.on_workers(self.job, "start"))
        self.say(f"all {self.job.hosts} workers answer; start {self.ledger.starts}")
        return None

    def _prepare(self) -> Verdict | None:
        until = self.now() + self.pace.answer
        while True:
            ready = []
            for commands in self.backend.prepare(self.job, self.stage):
                answers = self.shell.ask_all(commands)
                ready = workers_in(answers)
            lacking = self._lacking(ready)
            if lacking:  # a folder that was there before will come again
                return Verdict(End.FAILED if self.ledger.starts else End.BAD_INPUT, lacking)
            if self._all_are("ready", ready):
                return None
            sight = self.look()
            if sight is not None and sight.phase not in (Phase.ACTIVE, Phase.WAITING):
                return Verdict(End.PREEMPTED, f"gone before training began: {sight.said}", has_slices=False)
            if self.now() >= until:
                names = ", ".join(worker.name for worker in ready if worker.state == "ready") or "none"
                said = next((answer.said for answer in answers if answer.status != 0), "nothing")
                why = f"of {self.job.hosts} workers only these answer: {names} (said: {said})"
                return Verdict(End.FAILED, why, has_slices=False)
            self.shell.sleep(self.pace.poll)

    def _all_are(self, state: str, workers: Sequence[Worker]) -> bool:
        return sum(worker.state == state for worker in workers) == self.job.hosts

    def _until_ended(self) -> Verdict:
        heard = self.now()
        while True:
            sight = self.look()
            if sight is not None and sight.phase in (Phase.GONE, Phase.DELETING, Phase.ABSENT):
                return Verdict(End.PREEMPTED, sight.said, has_slices=False)
            self.stream()
            is_over = sight is not None and sight.phase is Phase.ENDED
            workers = self.workers() if is_over or not self.backend.starts_by_itself else []
            verdict = self._judge(workers, sight if is_over else None)
            if verdict:
                self.stream()
                return verdict
            if len(workers) == self.job.hosts or self.backend.starts_by_itself or sight is None:
                heard = self.now()  # who cannot ask the platform has no network, and knows nothing of the workers
            elif self.now() - heard >= self.pace.answer:
                why = f"of {self.job.hosts} workers only {len(workers)} have answered for {self.pace.answer:.0f} s"
                return Verdict(End.PREEMPTED, why, has_slices=False)
            spent = self.budget.spent(self.ledger, self.now())
            if spent:
                self.shell.ask_all(self.backend.on_workers(self.job, f"stop {self.pace.grace}"))
                return Verdict(End.SPENT, spent)
            self._keep()
            self.shell.sleep(self.pace.poll)

    def _judge(self, workers: Sequence[Worker], over: Sight | None) -> Verdict | None:
        """What the workers' ends mean together; None while they run."""
        bad = [worker for worker in workers if worker.state == "lost" or worker.status]
        statuses = [worker.status for worker in bad]
        if BAD_INPUT in statuses:
            worker = bad[statuses.index(BAD_INPUT)]
            lost = self._lost_place()  # which looks like a bad path
            if lost:
                return Verdict(End.FAILED, lost)
            return Verdict(End.BAD_INPUT, f"worker {worker.name} ended with status 2, and would again:\n{worker.log}")
        if any(worker.state == "lost" or worker.status in RESUMES for worker in bad):
            named = ", ".join(f"{worker.name} {worker.state} {worker.word}".strip() for worker in bad)
            return Verdict(End.PREEMPTED, f"saved and stopped: {named}")
        if bad:
            return Verdict(End.FAILED, f"worker {bad[0].name} ended with status {bad[0].status}:\n{bad[0].log}")
        if self._all_are("ended", workers):
            return Verdict(End.DONE, f"all {self.job.hosts} workers ended with status 0")
        if over is None:
            return None
        is_good = "fail" not in over.said.lower()
        return Verdict(End.DONE, over.said) if is_good else Verdict(End.FAILED, over.said, has_slices=False)

    def _lost_place(self) -> str | None:
        """Why what the workers share is not there now."""
        lacking = self._lacking(workers_in(self.shell.ask_all(self.backend.on_workers(self.job, "places"))))
        try:
            check_bucket(self.shell, self.job)
        except InputError as error:
            return str(error)
        return lacking

    def _lacking(self, workers: Sequence[Worker]) -> str | None:
        for worker in workers:
            if worker.state == "lacks":
                return f"worker {worker.name} has no folder {worker.word}, which --mounted names"
        return None

    def stream(self) -> None:
        """Print what the first worker's trainer has said since."""
        answer = self.shell.ask(self.backend.logs(self.job, self.logged, int(self.pace.poll) + 1))
        if answer.status == 0 and answer.out:
            self.logged += len(answer.out.encode())
            self.shell.say(answer.out, end="")
            with open(self.folder / "log", "a", encoding="utf-8") as file:
                file.write(answer.out)

    def _keep(self) -> None:
        write_ledger(self.folder, self.ledger)
