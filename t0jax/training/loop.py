"""The training loop: it owns files, clocks and signals. Saving and hooks see the state before the step."""

import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import jax
from jax.sharding import Mesh
from jaxtyping import Array

from t0jax.batch import Feed
from t0jax.checkpoints.orbax import Checkpoints
from t0jax.config import Run
from t0jax.errors import InputError
from t0jax.mesh import check_hosts, make_mesh, place_batch
from t0jax.training.goodput import Goodput
from t0jax.training.interruption import Interruption, Stopped
from t0jax.training.journal import Journal, NotFinite
from t0jax.training.log import Log, Window
from t0jax.training.profile import Profile
from t0jax.training.start import begin, describe, saved_part, texts_beside, with_absolute_steps
from t0jax.training.step import State, Step, make_step
from t0jax.training.throughput import Load, load_of
from t0jax.training.weights_and_biases import Tracker

_GOODPUT = "goodput"
_RESTORES = "nan_restores"
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


def train(run: Run, feed: Feed, *, config_text: str, hooks: Sequence[Hook] = (), started: float | None = None) -> State:
    """Train until step `train.train_steps` and return the state; resumes where MODEL_DIR has a checkpoint.

    `config_text` is saved as config.gin; start-up counts from `started` in seconds since the epoch (default: now). An
    InputError for a run that cannot begin, a disk that is full, or a loss that is no number; `Stopped` after a SIGTERM or
    SIGINT, once the state is saved.
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
        if settings.wandb_project is not None and not is_silent:
            log.tracker = stack.enter_context(Tracker(settings.wandb_project, settings.model_dir, config_text))
        log.say(describe(run, step, is_resumed=bool(position)))
        goodput = Goodput(position.get(_GOODPUT), started=time.time() if started is None else started)
        window = Window(position.get("window"))
        journal = Journal(log, mesh, period=settings.stats_period, window=window, goodput=goodput)
        take_step = journal.report_compilation(make_step(run.model, run.optimizer, settings, mesh))
        profile = stack.enter_context(Profile(settings.profile_steps, settings.model_dir, log))
        gone_back = position.get(_RESTORES, 0)
        way = _Way(run, mesh, feed, checkpoints, interruption, journal, profile, texts, hooks, begun, gone_back)
        while True:
            try:
                return way.follow(state, take_step)
            except NotFinite as problem:
                state = way.go_back(problem)


@dataclass
class _Way:
    """From one step to the next, and back to the last checkpoint where a loss is no number."""

    run: Run
    mesh: Mesh
    feed: Feed
    checkpoints: Checkpoints
    interruption: Interruption
    journal: Journal
    profile: Profile
    texts: Mapping[str, str]
    hooks: Sequence[Hook]
    saved: int
    """The step that the last checkpoint has, or that the run began at."""
    restores: int
    """How often it has gone back."""
    place: dict[str, Any] = field(default_factory=dict)
    """Where the feed stood before the batch of the next step."""

    def follow(self, state: State, take_step: Step) -> State:
        """Take steps until the last one is done."""
        settings, step = self.run.train, int(state.step)
        last_step = settings.last_step()
        key = jax.random.fold_in(jax.random.key(settings.random_seed), 1)  # the parameters have the key itself
        for supply in _ahead(self.feed, self.run, self.mesh):
            self.place = supply.position
            is_last, is_stopped = step >= last_step, self.interruption.is_due(step)
            if step > self.saved and (is_last or is_stopped or step % settings.checkpoint_period == 0):
                self.save(step, state)
            if is_stopped:
                self.checkpoints.wait()
                raise Stopped(step, self.interruption.received)
            for hook in (hook for hook in self.hooks if hook.is_due(step, is_last)):
                with self.journal.pause("hooks"):
                    hook.call(step, state)
            if is_last:
                break
            self.profile.before(step + 1)
            state, metrics = take_step(state, supply.arrays, key)
            step += 1
            self.profile.after(step, metrics)
            self.journal.took(step, metrics, supply.load)
            self.checkpoints.check()
        self.journal.close(step)
        return state

    def save(self, step: int, state: State) -> None:
        """Begin to save the state, and all that a run which goes on from it must know."""
        with self.journal.pause("save"):
            gone_back = {_RESTORES: self.restores} if self.restores else {}
            # Hosts must agree on all but dicts, and their clocks do not: the first one's counts.
            goodput = {_GOODPUT: self.journal.goodput.saved()} if jax.process_index() == 0 else {}
            place = {"data": self.place, "window": dict(self.journal.window.sums), **goodput, **gone_back}
            self.checkpoints.save(step, saved_part(self.run, state), place, self.texts)
            self.saved = step

    def go_back(self, problem: NotFinite) -> State:
        """The newest checkpoint's state; the batches since then, with the one that did it, are passed over.

        Raises `problem` where it has happened too often, or nothing is saved. A run that is killed meanwhile and resumed
        comes to the same step, and goes back in the same way.
        """
        limit = self.run.train.nan_restores
        self.checkpoints.wait()  # the newest may still be on its way
        if self.restores >= limit or not self.checkpoints.steps():
            raise problem
        traceback.clear_frames(problem.__traceback__)  # they hold the broken state, and there may be room for one only
        self.restores += 1
        state, position = begin(self.run, self.mesh, self.checkpoints)
        self.saved = int(state.step)
        self.feed.seek(self.place)
        self.journal.go_back(self.saved, Window(position.get("window")))
        if _GOODPUT in position:
            self.journal.goodput.go_back(position[_GOODPUT])
        self.journal.log.say(
            f"{problem.what} in step {problem.step}: went back to step {self.saved}, the batches of steps {self.saved + 1} to "
            f"{problem.step} are passed over ({self.restores} of at most {limit} times)."
        )
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
