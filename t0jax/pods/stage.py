"""The folder that goes to every worker: the committed tree, the exact configuration, what to install, and what is secret."""

import importlib.resources
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from t0jax.errors import InputError
from t0jax.files import write_whole
from t0jax.pods.job import Job

_SECRETS = "secrets.env"


def make_stage(folder: Path, job: Job, config_text: str, setup: Path | None = None, *, has_values: bool = True) -> Path:
    """Write the folder anew below `folder`, and return it. InputError outside a checkout, or for a secret that is not set.

    The values of secrets lie in it, for nobody else to read, if `has_values`; their names lie beside it, in a file `secrets`.
    """
    stage, root = folder / job.stage, checkout()
    values = secret_values(job)
    if not (root / "requirements" / job.lock).is_file():
        known = ", ".join(path.name for path in sorted((root / "requirements").glob("*.lock")))
        raise InputError(f"--lock is {job.lock!r}, which requirements/ does not have: choose one of {known}.")
    if setup is not None and not setup.is_file():
        raise InputError(f"--setup {setup} is no file: give a shell script that every worker shall run first.")
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True, mode=0o700)
    _git(root, "archive", "--format=tar.gz", f"--output={(stage / 'code.tar.gz').resolve()}", "HEAD")
    write_whole(stage / "commit", _git(root, "rev-parse", "HEAD"))
    write_whole(stage / "config.gin", config_text)
    write_whole(stage / "lock", job.lock + "\n")
    write_whole(stage / "mounted", "".join(f"{place}\n" for place in job.mounted))
    write_whole(stage / "worker.sh", importlib.resources.files("t0jax.pods").joinpath("worker.sh").read_text(encoding="utf-8"))
    if setup is not None:
        shutil.copyfile(setup, stage / "setup.sh")
    write_whole(folder / "secrets", "".join(f"{name}\n" for name in values))
    if values and has_values:
        lines = "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
        with open(os.open(stage / _SECRETS, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(lines)
    return stage


def is_staged(folder: Path, job: Job, config_text: str) -> bool:
    """Whether the folder that was sent last holds this commit and this configuration."""
    stage = folder / job.stage
    sent = [path.read_text(encoding="utf-8") for path in (stage / "config.gin", stage / "commit") if path.is_file()]
    return sent == [config_text, _git(checkout(), "rev-parse", "HEAD")]


def forget_secrets(folder: Path, job: Job) -> None:
    """Delete the file of secrets; the next start would write it again."""
    (folder / job.stage / _SECRETS).unlink(missing_ok=True)


def secret_values(job: Job) -> Mapping[str, str]:
    """The values of its secrets, from the environment. InputError for one that is not set, or of several lines."""
    for name in job.secrets:
        if not os.environ.get(name) or "\n" in os.environ[name]:
            raise InputError(
                f"--secret {name} names an environment variable that is not set, or not one line: export it first."
            )
    return {name: os.environ[name] for name in job.secrets}


def checkout() -> Path:
    """The root of the checkout that t0jax is imported from. InputError where it is installed from a wheel."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        raise InputError(f"t0jax launch sends a commit to the workers, but {root} is no git checkout: run it from one.")
    return root


def uncommitted() -> list[str]:
    """Files of the checkout that differ from its commit: they do not go to the workers."""
    return [line[3:] for line in _git(checkout(), "status", "--porcelain").splitlines()]


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise InputError(f"git {words[0]} failed in {root} ({' '.join(done.stderr.split())}): mend that first.")
    return done.stdout
