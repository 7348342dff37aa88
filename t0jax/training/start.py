"""Where a run begins: its own newest checkpoint, another run's, or random parameters."""

import dataclasses
from typing import Any

import jax
from jax.sharding import Mesh

from t0jax.checkpoints import whole
from t0jax.checkpoints.adapted import check_base, record
from t0jax.checkpoints.form import Form
from t0jax.checkpoints.forms import open_form
from t0jax.checkpoints.load import number, restore_parameters, restore_state
from t0jax.checkpoints.orbax import Checkpoints
from t0jax.config import Run
from t0jax.errors import InputError
from t0jax.model.adapters import join, like_leaves, split, without_adapter
from t0jax.model.parameters import init_parameters, logical_axes
from t0jax.training.step import State, abstract_state, initial_state, optimizer_of


def with_absolute_steps(run: Run) -> Run:
    """The run with train_steps as a number: '+N' counts from the initial checkpoint's step, or from 0. Adapters begin at 0."""
    if isinstance(run.train.train_steps, int):
        return run
    path = run.train.initial_checkpoint_path
    begun = 0 if path is None or run.model.adapter != "none" else open_form(path).step or 0
    return dataclasses.replace(run, train=dataclasses.replace(run.train, train_steps=run.train.last_step(begun)))


def begin(run: Run, mesh: Mesh, checkpoints: Checkpoints) -> tuple[State, dict[str, Any]]:
    """The state before the first step to take, and the position saved with it (empty unless the run resumes)."""
    like = abstract_state(run.model, run.optimizer, mesh)
    if run.model.adapter != "none":
        return _adapted(run, like, checkpoints)
    resumed = checkpoints.restore(like)
    if resumed is not None:
        return resumed
    if run.train.initial_checkpoint_path is not None:
        return _from_checkpoint(run, like), {}
    return initial_state(run.model, run.optimizer, mesh, jax.random.key(run.train.random_seed)), {}


def base_of(run: Run) -> Form:
    """The checkpoint whose weights an adapter's run keeps frozen. InputError where none is given."""
    if run.train.initial_checkpoint_path is None:
        raise InputError(
            f"An adapter ({run.model.adapter}) is trained beside the weights of a checkpoint: give INITIAL_CHECKPOINT_PATH."
        )
    return open_form(run.train.initial_checkpoint_path)


def _adapted(run: Run, like: State, checkpoints: Checkpoints) -> tuple[State, dict[str, Any]]:
    """The base's weights with an adapter: the one saved last, or a fresh one at step 0."""
    base, own = base_of(run), without_adapter(run.model)
    of_base, trained = like_leaves(logical_axes(own), like.params), split(run.model, like.params)[0]
    resumed = checkpoints.restore(like.replace(params=trained))
    if resumed is not None:
        check_base(checkpoints.model_dir / f"checkpoint_{int(resumed[0].step)}", base)
    weights = restore_parameters(base, own, of_base)
    if resumed is not None:
        state, position = resumed
        return state.replace(params=join(state.params, weights)), position
    key, shardings = jax.random.key(run.train.random_seed), jax.tree.map(lambda leaf: leaf.sharding, trained)
    fresh = jax.jit(lambda key: split(run.model, init_parameters(run.model, key))[0], out_shardings=shardings)(key)
    params = join(weights, fresh)
    return State(number(0, like.step), params, _fresh_optimizer(run, like, split(run.model, params)[0], 0)), {}


def saved_part(run: Run, state: State) -> State:
    """What of a state is saved: of an adapter's run not what is frozen."""
    return state.replace(params=split(run.model, state.params)[0])


def texts_beside(run: Run, config_text: str) -> dict[str, str]:
    """The files of text that every checkpoint of the run has."""
    base = {} if run.model.adapter == "none" else {whole.BASE: record(base_of(run))}
    return {"config.gin": config_text, **base}


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
    optimizer = optimizer_of(run.model, run.optimizer)
    shardings = jax.tree.map(lambda leaf: leaf.sharding, like.opt_state)
    empty = jax.jit(optimizer.init, out_shardings=shardings)(params)
    return empty._replace(step=number(step, like.opt_state.step))


def describe(run: Run, step: int, is_resumed: bool) -> str:
    """Where the run begins, in a sentence."""
    if is_resumed:
        return f"Resumed from {run.train.model_dir}/checkpoint_{step}."
    if run.model.adapter != "none":
        base = base_of(run)
        return f"Began at step 0 with a fresh adapter ({run.model.adapter}) on {base.path}, {base.layout}, step {base.step}."
    if run.train.initial_checkpoint_path is not None:
        form = open_form(run.train.initial_checkpoint_path)
        statistics = "its statistics" if _takes_statistics(run, form) else "fresh statistics"
        unsaid = "" if form.step is not None else " (its form says no step; `t0jax convert --step` gives it one)"
        return f"Began with {form.path}, {form.layout}, at step {step}{unsaid}, with {statistics} of the optimizer."
    return f"Began with random parameters (seed {run.train.random_seed})."
