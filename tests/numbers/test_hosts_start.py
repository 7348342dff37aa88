"""Hosts are counted before they begin: the missing one is named, those that mean another run are refused, on all alike."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import jax
import pytest

from t0jax.errors import AGAIN, InputError, NotNow
from t0jax.hosts import on_first_host, start_distributed
from t0jax.roll_call import call_roll

SAME = {"recipe": "one"}


@pytest.fixture
def address() -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    yield f"127.0.0.1:{port}"


def errors_of(
    address: str, hosts: dict[int, dict[str, str]], count: int, patience: float = 20.0
) -> dict[int, Exception | None]:
    """What every host that is there raises."""

    def call(index: int) -> Exception | None:
        try:
            call_roll(address, count, index, hosts[index], patience)
        except (InputError, NotNow) as error:
            return error
        return None

    with ThreadPoolExecutor(len(hosts)) as threads:
        return dict(zip(hosts, threads.map(call, hosts), strict=True))


def test_hosts_that_are_all_there_begin(address: str) -> None:
    assert errors_of(address, dict.fromkeys(range(5), SAME), 5) == dict.fromkeys(range(5))
    assert errors_of(address, dict.fromkeys(range(5), SAME), 5) == dict.fromkeys(range(5))  # the port is free again


def test_missing_hosts_are_named_on_every_host(address: str) -> None:
    errors = errors_of(address, {0: SAME, 2: SAME}, 4, patience=0.5)
    for error in errors.values():
        assert isinstance(error, NotNow)
        assert str(error).startswith("Of 4 hosts hosts 1, 3 did not come; there were 0 (")


def test_a_first_host_that_never_comes_is_named(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("t0jax.roll_call.REMINDER", 0.1)
    (error,) = errors_of(address, {1: SAME}, 2, patience=0.2).values()
    assert isinstance(error, NotNow)
    assert f"Host 0 did not answer at {address}" in str(error)


def test_a_host_with_another_recipe_is_refused_by_all(address: str) -> None:
    errors = errors_of(address, {0: SAME, 1: SAME, 2: {"recipe": "another"}}, 3)
    for error in errors.values():
        assert isinstance(error, InputError)
        assert "Host 2 (" in str(error)
        assert "has another recipe than host 0" in str(error)


def test_strangers_and_hosts_that_were_started_again_do_not_confuse_the_roll(address: str) -> None:
    host, port = address.split(":")
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(call_roll, address, 2, 0, SAME, 20.0)
        for greeting in (b"GET / HTTP/1.1\n", json.dumps({"index": 7, "name": "x", "says": SAME}).encode() + b"\n"):
            with connected(host, int(port)) as line:
                line.sendall(greeting)
        with connected(host, int(port)) as died:  # host 1, before it was started again
            died.sendall(json.dumps({"index": 1, "name": "x", "says": {"recipe": "old"}}).encode()[:20])
        second = threads.submit(call_roll, address, 2, 1, SAME, 20.0)
        assert (first.result(), second.result()) == (None, None)


def connected(host: str, port: int) -> socket.socket:
    for _ in range(200):
        try:
            return socket.create_connection((host, port))
        except OSError:
            time.sleep(0.02)
    raise AssertionError("nobody listens")


def test_one_process_needs_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JAX_COORDINATOR_ADDRESS", "T0JAX_DISTRIBUTED"):
        monkeypatch.delenv(name, raising=False)
    start_distributed()
    assert jax.process_count() == 1


def test_a_half_described_cluster_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAX_COORDINATOR_ADDRESS", "localhost:1234")
    monkeypatch.delenv("JAX_NUM_PROCESSES", raising=False)
    with pytest.raises(InputError, match="JAX_NUM_PROCESSES"):
        start_distributed()


def test_a_machine_that_is_no_pod_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAX_COORDINATOR_ADDRESS", raising=False)
    monkeypatch.setenv("T0JAX_DISTRIBUTED", "1")
    with pytest.raises(InputError, match="no platform that JAX knows"):
        start_distributed()


def test_train_names_the_missing_host_and_may_be_tried_again(address: str, tmp_path: pathlib.Path) -> None:
    children = []
    for index in (0, 2):
        environment = os.environ | {
            "JAX_COORDINATOR_ADDRESS": address,
            "JAX_NUM_PROCESSES": "3",
            "JAX_PROCESS_ID": str(index),
            "T0JAX_START_SECONDS": "8",
        }
        command = [sys.executable, "-m", "t0jax", "train", "--gin_file=runs/demo.gin", f"--gin.MODEL_DIR={tmp_path}"]
        command += [f"--gin.CACHE_DIR={tmp_path}"]
        children.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    said = [child.communicate(timeout=120)[1] for child in children]
    assert [child.returncode for child in children] == [AGAIN, AGAIN], said
    assert all("Of 3 hosts host 1 did not come" in words for words in said)
    assert not list(tmp_path.iterdir())


FIRST = """
    import sys
    from t0jax.hosts import on_first_host, start_distributed
    start_distributed()
    def work():
        raise SystemExit(7)
    on_first_host("cache the tasks", work)
"""


def test_what_fails_on_the_first_host_ends_the_others(address: str) -> None:
    import textwrap

    children = []
    for index in range(2):
        environment = os.environ | {
            "JAX_COORDINATOR_ADDRESS": address,
            "JAX_NUM_PROCESSES": "2",
            "JAX_PROCESS_ID": str(index),
        }
        command = [sys.executable, "-c", textwrap.dedent(FIRST)]
        children.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    said = [child.communicate(timeout=120)[1] for child in children]
    assert children[0].returncode == 7
    assert "Host 0 could not cache the tasks; its own log says why." in said[1]


def test_alone_the_first_host_s_failure_is_its_own() -> None:
    with pytest.raises(ZeroDivisionError):
        on_first_host("divide", lambda: 1 / 0)
