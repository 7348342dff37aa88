"""Where a run begins: its own newest checkpoint, another run's, or random parameters."""

import dataclasses
from typing import Any

import jax
from jax.sharding import Mesh

from t0jax.checkpoints.form import Form
from t0jax.checkpoints.forms import open_form
from t0jax.checkpoints.load import number, restore_parameters, restore_state
from t0jax.checkpoints.orbax import Checkpoints
from t0jax.config import Run
from t0jax.errors import InputError
from t0jax.model.parameters import logical_axes
from t0jax.optimizer import adafactor
from t0jax.training.step import State, abstract_state, initial_state


def with_absolute_steps(run: Run) -> Run:
    """The run with train_steps as a number: '+N' counts from the initial checkpoint's step, or from 0."""
    if isinstance(run.train.train_steps, int):
        return run
    path = run.train.initial_checkpoint_path
    begun = 0 if path is None else open_form(path).step or 0
    return dataclasses.replace(run, train=dataclasses.replace(run.train, train_steps=run.train.last_step(begun)))


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
    form = open_form(run.train.initial_checkpoint_path or "")
    step = form.step or 0
    if step >= run.train.last_step(step):
        raise InputError(
            f"TRAIN_STEPS is {run.train.train_steps}, but {form.path} is already at step {step}: TRAIN_STEPS counts from the "
            f"checkpoint's beginning, so write {step} + the steps to train, or +N for N steps more."
        )
    if _takes_statistics(run, form):
        return restore_state(form, run.model, like)
    params = restore_parameters(form, run.model, like.params)
    return State(step=number(step, like.step), params=params, opt_state=_fresh_optimizer(run, like, params, step))


def _takes_statistics(run: Run, form: Form) -> bool:
    return run.train.restore_optimizer and bool(form.slots)


def _fresh_optimizer(run: Run, like: State, params: Any, step: int) -> Any:
    """Empty statistics, but the decay of `step`: T0 went on at 1,100,000 and did not count anew."""
    optimizer = adafactor(run.optimizer, logical_axes(run.model))
    shardings = jax.tree.map(lambda leaf: leaf.sharding, like.opt_state)
    empty = jax.jit(optimizer.init, out_shardings=shardings)(params)
    return empty._replace(step=number(step, like.opt_state.step))


def describe(run: Run, step: int, is_resumed: bool) -> str:
    """Where the run begins, in a sentence."""
    if is_resumed:
        return f"Resumed from {run.train.model_dir}/checkpoint_{step}."
    if run.train.initial_checkpoint_path is not None:
        form = open_form(run.train.initial_checkpoint_path)
        statistics = "its statistics" if _takes_statistics(run, form) else "fresh statistics"
        unsaid = "" if form.step is not None else " (its form says no step; `t0jax convert --step` gives it one)"
        return f"Began with {form.path}, {form.layout}, at step {step}{unsaid}, with {statistics} of the optimizer."
    return f"Began with random parameters (seed {run.train.random_seed})."
