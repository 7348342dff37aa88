"""What the walls of the house keep apart, seen from a fresh interpreter."""

import pathlib
import pkgutil
import subprocess
import sys

import pytest

import t0jax
from t0jax.cli import COMMANDS

WORDS_ONLY = ("tensorflow", "seqio", "t5", "datasets", "tensorflow_datasets", "jinja2", "promptsource")
RENDERS = (
    "t0jax.prompts",
    "t0jax.demo",
    "t0jax.tasks",
    *(
        f"t0jax.data.{name}"
        for name in ("beam", "cache", "freeze", "lint", "overlap", "prompting", "sources", "tasks", "units")
    ),
)
NUMBERS = [
    module.name
    for module in pkgutil.walk_packages(t0jax.__path__, "t0jax.")
    if not f"{module.name}.".startswith(tuple(f"{name}." for name in RENDERS))
]
"""Every module but those that render: a new one is in this test without being named."""


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)


def loaded_by(*modules: str) -> set[str]:
    """Top-level names of what a fresh interpreter holds after importing these."""
    done = python(f"import sys, {', '.join(modules)}; print(*{{name.split('.')[0] for name in sys.modules}})")
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_command_line_loads_no_framework() -> None:
    names = loaded_by("t0jax", "t0jax.cli", *(f"t0jax.cli.{command}" for command in COMMANDS))
    assert not names & {"jax", "flax", "optax", "orbax", "grain", "gin", *WORDS_ONLY}


def test_the_numbers_wing_loads_nothing_of_the_words() -> None:
    assert not loaded_by(*NUMBERS) & set(WORDS_ONLY)


def test_importing_touches_no_device() -> None:
    done = python(f"import {', '.join(NUMBERS)}; from jax._src import xla_bridge; print(xla_bridge.backends_are_initialized())")
    assert done.stdout.split() == ["False"], done.stderr


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_is_printed(command: str | None) -> None:
    words = [sys.executable, "-X", "importtime", "-m", "t0jax", *([command] if command else []), "--help"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: t0jax")
    loaded = {line.rpartition("|")[2].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert not loaded & {"jax", "gin", "numpy", *WORDS_ONLY}, "--help answers in half a second"


def test_no_file_is_longer_than_a_reader_s_patience() -> None:
    root = pathlib.Path(t0jax.__file__).parent
    long = [path.name for path in root.rglob("*.py") if len(path.read_text(encoding="utf-8").splitlines()) > 300]
    assert not long
