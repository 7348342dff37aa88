"""Where a run begins: its own newest checkpoint, another run's, or random parameters."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from t0jax.checkpoints import whole
from t0jax.checkpoints.orbax import Checkpoints, has_optimizer, restore_params, restore_state
from t0jax.config import Run
from t0jax.errors import InputError
from t0jax.model.parameters import logical_axes
from t0jax.optimizer import adafactor
from t0jax.training.step import State, abstract_state, initial_state


def begin(run: Run, mesh: Mesh, checkpoints: Checkpoints) -> tuple[State, dict[str, Any]]:
    """The state before the first step to take, and the position saved with it (empty unless the run resumes)."""
    like = abstract_state(run.model, run.optimizer, mesh)
    resumed = checkpoints.restore(like)
    if resumed is not None:
        return resumed
    if run.train.initial_checkpoint_path is not None:
        return _from_checkpoint(run, like), {}
    return initial_state(run.model, run.optimizer, mesh, jax.random.key(run.train.random_seed)), {}


def _from_checkpoint(run: Run, like: State) -> State:
    path = whole.latest(run.train.initial_checkpoint_path or "")
    step = whole.step_of(path)
    if step >= run.train.train_steps:
        raise InputError(
            f"TRAIN_STEPS is {run.train.train_steps}, but {path} is already at step {step}: TRAIN_STEPS counts from the "
            f"checkpoint's beginning, so write {step} + the steps to train."
        )
    if run.train.restore_optimizer and has_optimizer(path):
        return restore_state(path, like)
    params = restore_params(path, like.params)
    return State(step=_number(step, like.step), params=params, opt_state=_fresh_optimizer(run, like, params, step))


def _number(step: int, like: Any) -> jax.Array:
    return jax.device_put(jnp.asarray(step, like.dtype), like.sharding)


def _fresh_optimizer(run: Run, like: State, params: Any, step: int) -> Any:
    """Empty statistics, but the decay of `step`: T0 went on at 1,100,000 and did not count anew."""
    optimizer = adafactor(run.optimizer, logical_axes(run.model))
    shardings = jax.tree.map(lambda leaf: leaf.sharding, like.opt_state)
    empty = jax.jit(optimizer.init, out_shardings=shardings)(params)
    return empty._replace(step=_number(step, like.opt_state.step))


def describe(run: Run, step: int, is_resumed: bool) -> str:
    """Where the run begins, in a sentence."""
    if is_resumed:
        return f"Resumed from {run.train.model_dir}/checkpoint_{step}."
    if run.train.initial_checkpoint_path is not None:
        return f"Began with {run.train.initial_checkpoint_path} at step {step}."
    return f"Began with random parameters (seed {run.train.random_seed})."
