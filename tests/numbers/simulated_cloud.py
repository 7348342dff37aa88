"""A cloud on this machine: stand-ins for gcloud, xpk and kubectl on PATH, whose workers are processes here.

Requests go through the documented states, each a moment long, and what is asked of the cloud is noted in `calls`. Mishaps are
put in by the test: an answer that fails, a state name of long ago, a worker that no ssh reaches, a deletion that is forgotten,
machines that are taken away.
"""

import contextlib
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

MOMENT = 0.3
"""Seconds that a request spends in each state on its way."""
_FOLDER = "SIMULATED_CLOUD"
_KEPT = re.compile(r"PATH|LANG|TMPDIR|(JAX|XLA|TF|GCSFS|FSSPEC|TENSORSTORE|STORAGE|GCE)_.*")
"""Variables that a worker has too: none of the user's own."""
_HOSTS = {"v4-16": 2, "v5litepod-4": 1}
"""Machines of the slices that tests ask for."""


class Cloud:
    """All that there is, in a folder: the programs and the test look at the same."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def open(self) -> Iterator[dict[str, Any]]:
        """What there is, for changing, by one at a time."""
        with open(self.folder / "lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            path = self.folder / "cloud.json"
            there = json.loads(path.read_text()) if path.exists() else {"requests": {}, "next": {}, "mishaps": []}
            yield there
            path.write_text(json.dumps(there))

    def install(self, python: str = sys.executable) -> dict[str, str]:
        """Write the programs; the environment in which they are found. Trainers run under that Python."""
        programs = self.folder / "bin"
        programs.mkdir(parents=True)
        for name in ("gcloud", "xpk", "kubectl"):
            path = programs / name
            here = pathlib.Path(__file__).parent
            path.write_text(
                f"#!{sys.executable} -SE\nimport sys\nsys.path.insert(0, {str(here)!r})\n"
                f"from simulated_cloud import main\nsys.exit(main({name!r}, sys.argv[1:]))\n"
            )
            path.chmod(0o755)
        (self.folder / "python").write_text(python)
        return {"PATH": f"{programs}:{os.environ['PATH']}", _FOLDER: str(self.folder)}

    def mishap(self, on: str, said: str, times: int = 1, status: int = 1) -> None:
        """The next so many commands with these words fail with these words."""
        with self.open() as there:
            there["mishaps"].append({"on": on, "said": said, "left": times, "status": status})

    def forgive(self) -> None:
        """No more mishaps."""
        with self.open() as there:
            there["mishaps"].clear()

    def is_through(self) -> bool:
        """Whether all mishaps have happened."""
        with self.open() as there:
            return not any(mishap["left"] for mishap in there["mishaps"])

    def next(self, name: str, **fields: Any) -> None:
        """What the next request of that name will be like."""
        with self.open() as there:
            there["next"][name] = fields

    def preempt(self, name: str) -> None:
        """Take the machines away as Google does: a signal, a moment to save, the end."""
        for home in self.homes(name):
            end_with(home, signal.SIGTERM)
        until = time.monotonic() + 30
        while any(_is_running(home) for home in self.homes(name)) and time.monotonic() < until:
            time.sleep(0.05)
        with self.open() as there:
            there["requests"][name]["suspended"] = time.time()
        for home in self.homes(name):
            end_with(home, signal.SIGKILL)

    def homes(self, name: str) -> list[pathlib.Path]:
        """The home folders of the machines of a request."""
        return sorted((self.folder / "machines").glob(f"{name}.*"))

    def state(self, name: str) -> str | None:
        """The state of a request; None where there is none."""
        with self.open() as there:
            request = there["requests"].get(name)
            return _state(request) if request else None

    def calls(self) -> list[str]:
        """Every command that was given, as one line."""
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def close(self) -> None:
        """End what runs."""
        for home in (self.folder / "machines").glob("*"):
            end_with(home, signal.SIGKILL)


def _state(request: dict[str, Any]) -> str:
    now, at = time.time(), request["at"]
    if request.get("deleted"):
        return "DELETING"
    if request.get("suspended"):
        return "SUSPENDING" if now < request["suspended"] + MOMENT else "SUSPENDED"
    if request.get("fails"):
        return "FAILED"
    if now < at + MOMENT:
        return str(request.get("stale_name", "WAITING_FOR_RESOURCES"))
    return "PROVISIONING" if now < at + 2 * MOMENT else "ACTIVE"


def main(program: str, words: list[str]) -> int:
    """One command of one of the programs."""
    cloud = Cloud(pathlib.Path(os.environ[_FOLDER]))
    flags = {word.partition("=")[0]: word.partition("=")[2] for word in words if word.startswith("--")}
    names = [word for word in words if not word.startswith("--") and word != "alpha"]
    line = " ".join([program, *words])
    with cloud.open() as there:
        with open(cloud.folder / "calls", "a") as calls:
            calls.write(line + "\n")
        _settle(cloud, there)
        for mishap in there["mishaps"]:
            if mishap["left"] and mishap["on"] in line:
                mishap["left"] -= 1
                print(f"ERROR: ({program}) {mishap['said']}", file=sys.stderr)
                return int(mishap["status"])
    if program == "gcloud" and names[0] == "storage":
        return 0
    if program == "gcloud":
        return _tpus(cloud, names[2:], flags)
    import simulated_gke

    return simulated_gke.kubectl(cloud, flags) if program == "kubectl" else simulated_gke.xpk(cloud, names[1], flags)


def _settle(cloud: Cloud, there: dict[str, Any]) -> None:
    """What time has brought: deletions come to an end, machines appear."""
    for name, request in list(there["requests"].items()):
        if (
            request.get("deleted")
            and time.time() > request["deleted"] + MOMENT
            and request["orders"] > request.get("forgets", 0)
        ):
            for home in cloud.homes(name):
                end_with(home, signal.SIGKILL)
                shutil.rmtree(home, ignore_errors=True)
            del there["requests"][name]
        elif _state(request) == "ACTIVE":
            for node in request["nodes"]:
                for index in range(request["hosts"]):
                    (cloud.folder / "machines" / f"{name}.{node}-w-{index}").mkdir(parents=True, exist_ok=True)


def _tpus(cloud: Cloud, names: list[str], flags: dict[str, str]) -> int:
    kind, action, *rest = names
    if (kind, action) in (("tpu-vm", "ssh"), ("tpu-vm", "scp")):
        return _reach(cloud, action, rest, flags)
    with cloud.open() as there:
        requests = there["requests"]
        if action == "list":
            print(json.dumps(_nodes(requests) if kind == "tpu-vm" else [{"name": f"projects/p/{name}"} for name in requests]))
            return 0
        name = rest[0]
        if action == "create":
            if name in requests:
                return _fail(f"ALREADY_EXISTS: Resource '{name}' already exists")
            count = int(flags.get("--node-count", "0"))
            nodes = [f"{flags['--node-prefix']}-{index}" for index in range(count)] if count else [flags["--node-id"]]
            news = there["next"].pop(name, {})
            requests[name] = {
                "at": time.time(),
                "nodes": nodes,
                "hosts": _HOSTS[flags["--accelerator-type"]],
                "orders": 0,
                **news,
            }
        elif name not in requests:
            return _fail(f"NOT_FOUND: Resource '{name}' was not found")
        elif action == "delete":
            requests[name]["deleted"] = time.time()
            requests[name]["orders"] += 1
        else:
            error = {"failedData": {"error": {"message": requests[name].get("fails", "")}}}
            print(json.dumps({"name": name, "state": {"state": _state(requests[name]), **error}}))
    return 0


def _nodes(requests: dict[str, Any]) -> list[dict[str, str]]:
    found = []
    for name, request in requests.items():
        state = {"ACTIVE": "READY", "SUSPENDING": "PREEMPTED", "SUSPENDED": "PREEMPTED"}.get(_state(request))
        if state:
            found += [
                {"name": f"projects/p/{node}", "state": state, "queuedResource": f"q/{name}"} for node in request["nodes"]
            ]
    return found


def _reach(cloud: Cloud, action: str, names: list[str], flags: dict[str, str]) -> int:
    """ssh or scp to the workers of a node."""
    node = names[-1].rstrip(":")
    with cloud.open() as there:
        found = [(name, request) for name, request in there["requests"].items() if node in request["nodes"]]
        if not found or _state(found[0][1]) != "ACTIVE":
            return _fail(f"NOT_FOUND: node {node} was not found or is not READY")
        (name, request), port = found[0], free_port()
    homes = [home for home in cloud.homes(name) if home.name.startswith(f"{name}.{node}-w-")]
    chosen = homes if flags["--worker"] == "all" else [homes[int(flags["--worker"])]]
    status = 0
    for home in chosen:
        index = homes.index(home) + request["nodes"].index(node) * len(homes)
        if index == request.get("mute"):
            print(f"ssh: connect to host {home.name} port 22: Connection timed out", file=sys.stderr)
            status = 255
        elif action == "scp":
            source = pathlib.Path(names[0])
            shutil.copytree(source, home / source.name, dirs_exist_ok=True)
        else:
            environment = environment_of(cloud, home, index, len(homes) * len(request["nodes"]), port)
            done = subprocess.run(["bash", "-c", flags["--command"]], cwd=home, env=environment, stdin=subprocess.DEVNULL)
            status = status or done.returncode
    return status


def environment_of(cloud: Cloud, home: pathlib.Path, index: int, count: int, port: int) -> dict[str, str]:
    """Of a machine: its own name, a Python that has everything, and what JAX reads of a TPU's metadata."""
    programs = home / "bin"
    programs.mkdir(exist_ok=True)
    (programs / "hostname").write_text(f"#!/bin/sh\necho {home.name.partition('.')[2]}\n")
    (programs / "hostname").chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if _KEPT.fullmatch(name)}
    environment["PATH"] = f"{programs}:{os.environ['PATH']}"
    return environment | {
        "HOME": str(home),
        "T0JAX_PYTHON": (cloud.folder / "python").read_text(),
        "XLA_FLAGS": "--xla_force_host_platform_device_count=1",
        "JAX_COORDINATOR_ADDRESS": f"127.0.0.1:{port}",
        "JAX_NUM_PROCESSES": str(count),
        "JAX_PROCESS_ID": str(index),
    }


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _pids(home: pathlib.Path) -> list[int]:
    return [int(path.read_text()) for path in home.glob("t0jax-*/pid") if path.read_text().strip()]


def _is_running(home: pathlib.Path) -> bool:
    return bool(_pids(home)) and not any(home.glob("t0jax-*/status"))


def end_with(home: pathlib.Path, number: signal.Signals) -> None:
    """To everything that runs on a machine: each program was begun as a group of its own."""
    for pid in _pids(home):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, number)


def _fail(said: str) -> int:
    print(f"ERROR: (gcloud.compute.tpus) {said}", file=sys.stderr)
    return 1
