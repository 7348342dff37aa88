"""What a job may use up, what it has used up, and how long to wait before the next attempt."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from t0jax.errors import InputError
from t0jax.files import write_whole

_HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Budget:
    """After which a job is stopped."""

    max_attempts: int = 10
    """Failures: attempts that ended otherwise than by a preemption, which cost nothing here."""
    max_dollars: float | None = None
    dollars_per_hour: float | None = None
    """Of all chips together."""

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise InputError(f"--max_attempts is {self.max_attempts}; it must be at least 1.")
        if self.max_dollars is not None and (self.max_dollars <= 0 or not self.dollars_per_hour):
            raise InputError("--max_dollars must be above 0 and needs a price above 0: give --price.")

    def spent(self, ledger: "Ledger", now: float) -> str | None:
        """Why the job has to stop; None while it may go on."""
        dollars = self.dollars(ledger, now)
        if self.max_dollars is not None and dollars is not None and dollars >= self.max_dollars:
            return f"${dollars:.2f} of --max_dollars={self.max_dollars:g} are spent ({ledger.hours(now):.2f} h)"
        if ledger.failures >= self.max_attempts:
            return f"{ledger.failures} attempts have failed, and --max_attempts is {self.max_attempts}"
        return None

    def dollars(self, ledger: "Ledger", now: float) -> float | None:
        """What the job has cost by our own clock; None without a price."""
        return None if self.dollars_per_hour is None else ledger.hours(now) * self.dollars_per_hour


@dataclass
class Ledger:
    """What a job has used up; it outlives the process that watches."""

    failures: int = 0
    preemptions: int = 0
    starts: int = 0
    seconds: float = 0.0
    """That slices were held, but for those that are held now."""
    held_since: float | None = None
    """When the slices that are held now were first seen active."""

    def hours(self, now: float) -> float:
        """Hours that slices were held."""
        return (self.seconds + (now - self.held_since if self.held_since is not None else 0.0)) / _HOUR

    def hold(self, now: float) -> None:
        """The slices are active."""
        if self.held_since is None:
            self.held_since = now

    def release(self, now: float) -> None:
        """The slices are gone."""
        if self.held_since is not None:
            self.seconds += now - self.held_since
            self.held_since = None


def read_ledger(folder: Path) -> Ledger:
    """What was written there; a fresh one where nothing was."""
    path = folder / "ledger.json"
    try:
        return Ledger(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else Ledger()
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} cannot be read ({error}): delete it, and what was spent is counted anew.") from error


def write_ledger(folder: Path, ledger: Ledger) -> None:
    """Keep it."""
    write_whole(folder / "ledger.json", json.dumps(asdict(ledger)) + "\n")


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long to wait for what, in seconds."""

    poll: float = 30.0
    backoff: float = 30.0
    """Before the second attempt; doubled before each further one that follows quickly, up to `longest`."""
    longest: float = 900.0
    steady: float = 1800.0
    """An attempt that lived so long was a good one: the doubling begins anew."""
    answer: float = 900.0
    """For every worker to answer before training begins, and for a silent one to speak again."""
    delete: float = 900.0
    """For a deletion to be finished before it is ordered again."""
    delete_tries: int = 4
    grace: int = 120
    """For a trainer to save after SIGTERM."""

    def __post_init__(self) -> None:
        if min(self.poll, self.backoff, self.longest, self.answer, self.delete, self.delete_tries, self.grace) <= 0:
            raise InputError(
                "Waiting times must be above 0 seconds: mend --poll_seconds, --backoff_seconds or --answer_seconds."
            )

    def wait_before(self, quick: int) -> float:
        """After so many attempts in a row that did not live long."""
        return min(self.backoff * 2.0 ** min(quick, 30), self.longest)
