"""A signal ends a command, wherever it finds it."""

import os
import signal
import subprocess
import sys

import pytest

import t0jax.cli

# JAX hangs a callback on the garbage collector; an exception that a signal raises in there is reported and dropped.
IN_A_CALLBACK = """
import gc, signal, time
from t0jax.cli import leave, listening
with listening({signal.SIGINT: leave, signal.SIGTERM: leave}):
    gc.callbacks.append(lambda *_: print("ready", flush=True) or time.sleep(60))
    gc.collect()
"""

# A trainer's cache is made by a process of its own.
WITH_A_CHILD = """
import sys
from t0jax.cli.prepare import _run
_run([sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"])
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_not_lost_in_a_callback(number: signal.Signals, status: int) -> None:
    child = subprocess.Popen([sys.executable, "-c", IN_A_CALLBACK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    child.send_signal(number)
    assert child.communicate(timeout=30)[1] == f"t0jax: stopped by {number.name}\n"
    assert child.returncode == status


def test_ctrl_c_is_one_line_and_the_handlers_from_before_come_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(arguments: object) -> int:
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(t0jax.cli, "_dispatch", interrupted)
    assert t0jax.cli.main(["tasks"]) == 130
    assert capsys.readouterr().err == "t0jax: stopped by SIGINT\n"
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_process_that_caches_ends_with_the_one_that_trains() -> None:
    parent = subprocess.Popen([sys.executable, "-c", WITH_A_CHILD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGTERM)
    parent.communicate(timeout=30)
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
