"""The training loop: it owns files, clocks and signals. Saving and hooks see the state before the step."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import jax
from jax.sharding import Mesh
from jaxtyping import Array

from t0jax.batch import Feed
from t0jax.checkpoints.orbax import Checkpoints
from t0jax.config import Run
from t0jax.errors import InputError
from t0jax.mesh import check_hosts, make_mesh, place_batch
from t0jax.training.interruption import Interruption, Stopped
from t0jax.training.journal import Journal
from t0jax.training.log import Log, Window
from t0jax.training.start import begin, describe, saved_part, texts_beside, with_absolute_steps
from t0jax.training.step import State, make_step
from t0jax.training.throughput import Load, load_of

_AHEAD = 2  # batches that lie on the devices before their step


@dataclass(frozen=True)
class Hook:
    """Something to do every `period` steps and at the end: `call(step, state)`. The state is lent: the next step eats it."""

    period: int
    call: Callable[[int, State], None]

    def is_due(self, step: int, is_last: bool) -> bool:
        """Whether to call before the step after `step`."""
        return is_last or step % self.period == 0


@dataclass(frozen=True)
class _Supply:
    """A batch on the devices, what it holds, and where the feed stood before it."""

    arrays: dict[str, Array]
    load: Load
    position: dict[str, Any]


def train(run: Run, feed: Feed, *, config_text: str, hooks: Sequence[Hook] = ()) -> State:
    """Train until step `train.train_steps` and return the state; resumes where MODEL_DIR has a checkpoint.

    `config_text` is saved as config.gin. An InputError for a run that cannot begin, a disk that is full, or a loss that is
    no number; `Stopped` after a SIGTERM or SIGINT, once the state is saved.
    """
    run = with_absolute_steps(run)
    settings, mesh = run.train, make_mesh(run.mesh)
    last_step = settings.last_step()
    if settings.model_dir is None:
        raise InputError("The run has no MODEL_DIR to save in: give --gin.MODEL_DIR=/where/it/shall/lie.")
    check_hosts(mesh.devices)
    with ExitStack() as stack:
        checkpoints = stack.enter_context(Checkpoints(settings.model_dir, settings.checkpoints_to_keep))
        interruption = stack.enter_context(Interruption())
        texts = texts_beside(run, config_text)
        state, position = begin(run, mesh, checkpoints)
        begun = step = int(state.step)
        if position:
            feed.seek(position["data"])
        is_silent = jax.process_index() > 0
        log = stack.enter_context(Log(settings.model_dir, step=step, last_step=last_step, is_silent=is_silent))
        log.say(describe(run, step, is_resumed=bool(position)))
        journal = Journal(log, mesh, period=settings.stats_period, window=Window(position.get("window")))
        take_step = journal.report_compilation(make_step(run.model, run.optimizer, settings, mesh))
        key = jax.random.fold_in(jax.random.key(settings.random_seed), 1)  # the parameters have the key itself

        for supply in _ahead(feed, run, mesh):
            is_last, is_stopped = step >= last_step, interruption.is_due(step)
            if step > begun and (is_last or is_stopped or step % settings.checkpoint_period == 0):
                with journal.pause():
                    place = {"data": supply.position, "window": dict(journal.window.sums)}
                    checkpoints.save(step, saved_part(run, state), place, texts)
            if is_stopped:
                checkpoints.wait()
                raise Stopped(step, interruption.received)
            for hook in (hook for hook in hooks if hook.is_due(step, is_last)):
                with journal.pause():
                    hook.call(step, state)
            if is_last:
                break
            state, metrics = take_step(state, supply.arrays, key)
            step += 1
            journal.took(step, metrics, supply.load)
            checkpoints.check()
        journal.close(step)
        return state


def _ahead(feed: Feed, run: Run, mesh: Mesh) -> Iterator[_Supply]:
    """Batches on their way to the devices while earlier steps run."""
    waiting: deque[_Supply] = deque()
    while True:
        while len(waiting) < _AHEAD:
            position = feed.position()
            batch = next(feed)
            load = load_of(batch, run.model, jax.process_count())
            waiting.append(_Supply(place_batch(mesh, batch, run.train.microbatches), load, position))
        yield waiting.popleft()
