"""Where `t0jax launch` is used: a simulated cloud, and trainers that only end as they are told."""

import contextlib
import pathlib
from collections.abc import Iterator

import pytest
from simulated_cloud import Cloud

from t0jax.cli import main

ROOT = pathlib.Path(__file__).parents[2]
SECRET = "the-key-that-nobody-may-see"
PACE = ["--poll_seconds=0.1", "--backoff_seconds=0.1", "--answer_seconds=3", "--grace_seconds=2"]
PLACE = ["--project=p", "--zone=us-central2-b", "--accelerator=v4-16"]
IS_CHECKOUT = (ROOT / ".git").exists()


class Desk:
    """Where `t0jax launch` is used."""

    def __init__(self, folder: pathlib.Path, said: pytest.CaptureFixture[str]) -> None:
        self.folder, self._said = folder, said
        self.cloud = Cloud(folder / "cloud")
        self.trainer = folder / "trainer"
        self.environment = self.cloud.install(python=str(self.trainer))
        self.trains("exit 0")

    def trains(self, script: str) -> None:
        """What a trainer does: bash, in the folder of its worker; WORKER is its number and SHARED a folder of all."""
        shared = self.folder / "shared"
        shared.mkdir(exist_ok=True)
        self.trainer.write_text(f"#!/bin/bash\nSHARED={shared}\nWORKER=$JAX_PROCESS_ID\n{script}\n")
        self.trainer.chmod(0o755)

    def recipe(self, *bindings: str) -> list[str]:
        shared = f"{self.folder}/shared"
        places = [f"--gin.MODEL_DIR={shared}/run", f"--gin.CACHE_DIR={shared}/cache", f"--mounted={shared}"]
        data = ["--gin.DataConfig.num_streams=2", "--gin.MIXTURE_OR_TASK_NAME=rotten_tomatoes"]
        return ["--gin_file=models/tiny.gin", *places, *data, *bindings]

    def launch(self, action: str, *flags: str) -> tuple[int, str]:
        """The status, and all that was said."""
        status = main(["launch", action, "--name=t0", f"--state_dir={self.folder}/jobs", *flags])
        out, err = self._said.readouterr()
        return status, out + err

    def run(self, *flags: str) -> tuple[int, str]:
        return self.launch("run", *self.recipe(), *PLACE, *PACE, *flags)

    def count(self, words: str) -> int:
        return sum(words in call for call in self.cloud.calls())


@contextlib.contextmanager
def desk_in(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, said: pytest.CaptureFixture[str]) -> Iterator[Desk]:
    """A desk, in whose environment the cloud's programs are found and a key is set."""
    made = Desk(folder, said)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("CLOUDSDK_CORE_PROJECT", "CLOUDSDK_COMPUTE_ZONE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    yield made
    made.cloud.close()
