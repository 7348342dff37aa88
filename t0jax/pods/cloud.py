"""Commands of other programs: what they are, what they answered, and what kind of answer that was."""

import enum
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from t0jax.errors import InputError

_TIMED_OUT = 124


@dataclass(frozen=True)
class Command:
    """One program with its arguments."""

    argv: tuple[str, ...]
    seconds: float = 180.0
    """After which it is ended."""
    tries: int = 6
    """How often it is given again when the network failed."""

    def __str__(self) -> str:
        return shlex.join(self.argv)


class Kind(enum.Enum):
    """What an answer means."""

    GOOD = "good"
    ABSENT = "absent"
    EXISTS = "exists"
    QUOTA = "quota"
    REFUSED = "refused"
    NETWORK = "network"
    OTHER = "other"


_REFUSED = (
    r"PERMISSION_DENIED|not have permission|UNAUTHENTICATED|active account|reauthenticat|SERVICE_DISABLED|INVALID_ARGUMENT"
)
_NETWORK = r"connection|network|timed out|timeout|UNAVAILABLE|temporar|DEADLINE_EXCEEDED|not resolve|unable to find the server"
_SIGNS = (
    (Kind.NETWORK, r"RATE_LIMIT|per minute|\b429\b"),  # a quota of another kind
    (Kind.EXISTS, r"ALREADY_EXISTS|already exists"),
    (Kind.QUOTA, r"quota"),
    (Kind.REFUSED, _REFUSED),
    (Kind.ABSENT, r"NOT_FOUND|not found"),
    (Kind.NETWORK, rf"{_NETWORK}|\b50[0234]\b"),
)
"""In this order, in what a program that failed has said."""


@dataclass(frozen=True)
class Answer:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str

    @property
    def kind(self) -> Kind:
        """What it means."""
        if self.status == 0:
            return Kind.GOOD
        if self.status == _TIMED_OUT:
            return Kind.NETWORK
        for kind, signs in _SIGNS:
            if re.search(signs, self.err, re.IGNORECASE):
                return kind
        return Kind.OTHER

    @property
    def said(self) -> str:
        """Its last words on one line."""
        lines = [line for line in (self.err or self.out).splitlines() if line.strip()]
        return " ".join(lines[-3:])[-500:] or f"nothing, and ended with {self.status}"


class Shell:
    """Runs commands; no secret value comes through."""

    def __init__(self, secrets: Sequence[str] = (), pause: float = 2.0, sleep: Callable[[float], None] = time.sleep) -> None:
        self._secrets = [value for value in secrets if value]
        self._pause, self.sleep = pause, sleep
        self._lock = threading.Lock()

    def say(self, text: str, end: str = "\n") -> None:
        """A line for the person who watches."""
        with self._lock:
            sys.stdout.write(self.hide(text) + end)
            sys.stdout.flush()

    def hide(self, text: str) -> str:
        """The text without secret values."""
        for value in self._secrets:
            text = text.replace(value, "***")
        return text

    def ask(self, command: Command) -> Answer:
        """Run it, again with growing pauses while the network fails."""
        pause = self._pause
        for left in reversed(range(command.tries)):
            answer = self._run(command)
            if answer.kind is not Kind.NETWORK or not left:
                break
            self.sleep(pause)
            pause = min(2 * pause, 60.0)
        return answer

    def ask_all(self, commands: Sequence[Command]) -> list[Answer]:
        """Run them side by side."""
        if len(commands) < 2:
            return [self.ask(command) for command in commands]
        with ThreadPoolExecutor(min(64, len(commands))) as pool:
            return list(pool.map(self.ask, commands))

    def ask_in_turn(self, commands: Sequence[Command]) -> Answer:
        """Run one after the other up to the first that fails; that one's answer, or the last one's."""
        answer = Answer(0, "", "")
        for command in commands:
            answer = self.ask(command)
            if answer.status != 0:
                break
        return answer

    def _run(self, command: Command) -> Answer:
        try:
            child = subprocess.Popen(
                command.argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except FileNotFoundError as error:
            program = command.argv[0]
            raise InputError(f"There is no program {program!r} on PATH: install it, or choose another --backend.") from error
        try:
            out, err = child.communicate(timeout=command.seconds)
            return Answer(child.returncode, self.hide(out), self.hide(err))
        except subprocess.TimeoutExpired:
            return Answer(_TIMED_OUT, "", f"no answer from {command.argv[0]} in {command.seconds:.0f} s")
        finally:
            if child.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)  # with the ssh that it has begun
                child.wait()
            for pipe in (child.stdout, child.stderr):
                if pipe is not None:
                    pipe.close()
