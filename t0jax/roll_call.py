"""Before several hosts begin: are they all there, and do they mean the same run? Standard library only.

JAX's own start waits five minutes for a host that does not come, and then ends every process without naming it.
"""

import json
import select
import socket
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from t0jax.errors import InputError, NotNow

PATIENCE = 300.0
"""Seconds to wait for the last host, as long as JAX waits."""
REMINDER = 30.0
"""Seconds between words about who is missing."""
Greeting = dict[str, Any]
"""What a host sends, as a line of JSON: `index`, `name` and what it `says` of the run."""


def call_roll(address: str, count: int, index: int, says: Mapping[str, str], patience: float = PATIENCE) -> None:
    """Return when hosts 0 to count - 1 are there and `says` is the same on all; host 0 listens at `address`, HOST:PORT.

    On every host alike: `NotNow` names the hosts that did not come, an InputError those that say something else.
    """
    greeting = {"index": index, "name": socket.gethostname(), "says": dict(says)}
    host, _, port = address.rpartition(":")
    if index == 0:
        verdict = _Roll(count, {0: greeting}).listen(int(port), time.monotonic() + patience)
    else:
        verdict = _answer(host, int(port), greeting, patience)
    if verdict["missing"]:
        raise NotNow(verdict["words"])
    if verdict["words"]:
        raise InputError(verdict["words"])


@dataclass
class _Roll:
    """Who is there, in host 0's hand."""

    count: int
    there: dict[int, Greeting]
    lines: dict[int, socket.socket] = field(default_factory=dict)

    @property
    def missing(self) -> list[int]:
        return [index for index in range(self.count) if index not in self.there]

    def listen(self, port: int, deadline: float) -> dict[str, Any]:
        """Hear every host, then tell all of them how it stands."""
        with socket.create_server(("", port), backlog=self.count) as server:
            reminder = time.monotonic() + REMINDER
            while self.missing and (now := time.monotonic()) < deadline:
                if now >= reminder:
                    _say(f"waiting for {_hosts(self.missing)} of {self.count}")
                    reminder = now + REMINDER
                if select.select([server], [], [], min(deadline, reminder) - now)[0]:
                    self._hear(server.accept()[0])
            verdict = {"missing": self.missing, "words": self._absent() or self._different()}
            for line in self.lines.values():
                _send(line, verdict)
            for line in self.lines.values():  # they close first, so that the port is free at once for JAX
                line.settimeout(5)
                _receive(line)
                line.close()
        return verdict

    def _hear(self, line: socket.socket) -> None:
        line.settimeout(5)
        greeting = _receive(line)
        if not isinstance(greeting, dict) or greeting.get("index") not in range(self.count):
            line.close()  # a stranger
            return
        before = self.lines.get(greeting["index"])
        if before is not None:  # it was started again
            before.close()
        self.there[greeting["index"]], self.lines[greeting["index"]] = greeting, line

    def _absent(self) -> str:
        if not self.missing:
            return ""
        there = ", ".join(f"{index} ({greeting['name']})" for index, greeting in sorted(self.there.items()))
        return (
            f"Of {self.count} hosts {_hosts(self.missing)} did not come; there were {there}. Start every host, then try again."
        )

    def _different(self) -> str:
        mine = self.there[0]["says"]
        for index, greeting in sorted(self.there.items()):
            differing = [name for name in mine if greeting["says"].get(name) != mine[name]]
            if differing:
                return (
                    f"Host {index} ({greeting['name']}) has another {differing[0]} than host 0 ({self.there[0]['name']}): "
                    "start all hosts with the same code, recipe and flags."
                )
        return ""


def _answer(host: str, port: int, greeting: Greeting, patience: float) -> dict[str, Any]:
    """Greet host 0 until it has said how it stands."""
    deadline = time.monotonic() + patience + REMINDER  # host 0 may have begun later
    while (left := deadline - time.monotonic()) > 0:
        try:
            with socket.create_connection((host, port), timeout=min(left, 10)) as line:
                _send(line, greeting)
                line.settimeout(left)
                verdict = _receive(line)
                if isinstance(verdict, dict) and "words" in verdict:
                    return verdict
        except OSError:
            pass
        time.sleep(0.2)
    words = f"Host 0 did not answer at {host}:{port} for {patience:.0f} seconds: is it started, and is the port open?"
    return {"missing": [0], "words": words}


def _send(line: socket.socket, message: Mapping[str, Any]) -> None:
    with suppress(OSError):  # it went away
        line.sendall(json.dumps(message).encode() + b"\n")


def _receive(line: socket.socket) -> Any:
    """A line of JSON; None where there is none."""
    received = b""
    try:
        while not received.endswith(b"\n"):
            more = line.recv(65536)
            if not more:
                return None
            received += more
        return json.loads(received)
    except (OSError, ValueError):
        return None


def _hosts(indices: list[int]) -> str:
    return ("host " if len(indices) == 1 else "hosts ") + ", ".join(map(str, indices))


def _say(text: str) -> None:
    print(f"t0jax: {text}", file=sys.stderr, flush=True)
