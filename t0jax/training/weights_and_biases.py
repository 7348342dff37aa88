"""The same lines in Weights & Biases, when a run asks for it. Its own settings (WANDB_MODE, WANDB_API_KEY) hold."""

import hashlib
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Self

from t0jax.errors import InputError


class Tracker:
    """One run of a project: that of its MODEL_DIR, so that a resumed run goes on in the same place."""

    def __init__(self, project: str, model_dir: str, config_text: str) -> None:
        try:
            import wandb
        except ImportError as error:
            raise InputError(
                f"WANDB_PROJECT is {project!r}, and the package wandb is not installed ({error}): install t0jax[wandb]."
            ) from error
        name, identity = PurePath(model_dir).name, hashlib.sha256(model_dir.encode()).hexdigest()[:16]
        config = {"model_dir": model_dir, "config.gin": config_text}
        try:
            self._run: Any = wandb.init(project=project, name=name, id=identity, resume="allow", config=config)
        except (wandb.errors.Error, OSError) as error:
            raise InputError(
                f"Weights & Biases does not take the run ({error}): log in with `wandb login`, keep it on this machine with "
                "WANDB_MODE=offline, or leave WANDB_PROJECT out."
            ) from error
        # Steps may come again after a restart; W&B's own counter would drop them.
        self._run.define_metric("*", step_metric="step")

    def write(self, step: int, values: Mapping[str, float | None]) -> None:
        """One line of values after `step` steps."""
        self._run.log({"step": step, **{f"train/{name}": value for name, value in values.items() if value is not None}})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._run.finish(exit_code=0 if kind is None else 1)
