"""Other systems under interpreters of their own, where they are installed."""

import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest


def interpreter(variable: str, package: str) -> str:
    """A Python that has the package; skips where there is none."""
    python = os.environ.get(variable, sys.executable)
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if subprocess.run([python, "-c", code], check=False, env=environment).returncode != 0:
        pytest.skip(f"{package} is not installed: set {variable} to a Python that has it")
    return python


def run(python: str, script: pathlib.Path, *arguments: Any) -> None:
    """Run a script of tests/live or tests/golden; its last words when it fails."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "XLA_FLAGS")}
    environment = {name: value for name, value in environment.items() if not name.startswith("JAX_NUMPY")}
    command = [python, str(script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
