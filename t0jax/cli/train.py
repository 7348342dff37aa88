"""`t0jax train`: train a T5 on a mixture.

Status 0: done; 2: bad input; 75: preempted (SIGTERM) and saved, or a host was missing: the same command goes on; 130: stopped
by Ctrl-C and saved; 143: ended by SIGTERM before there was anything to save.
"""

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

from t0jax.cli import leave, listening
from t0jax.cli.recipe import add_gin_arguments, run_of, run_text
from t0jax.config import Run
from t0jax.errors import AGAIN, InputError

if TYPE_CHECKING:
    from t0jax.training.loop import Hook
    from t0jax.training.step import State


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    add_gin_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train; a run that has saved resumes from its MODEL_DIR. The status says how it ended."""
    with listening({signal.SIGTERM: leave, signal.SIGINT: leave}):  # until the loop listens: there is nothing to save
        described = run_of(arguments)
        from t0jax.hosts import start_distributed
        from t0jax.training.interruption import Stopped

        start_distributed({"recipe": run_text(described)})
        try:
            run_training(described)
        except Stopped as stopped:
            print(f"t0jax: {stopped}", file=sys.stderr)
            return AGAIN if stopped.signal_number == signal.SIGTERM else 128 + stopped.signal_number
        except Exception as problem:
            leave_others(problem)
            raise
    return 0


def leave_others(problem: Exception) -> None:
    """Of several processes, end this one at once: in order it would wait for the others, and they in a step for it."""
    import jax

    if jax.process_count() > 1:
        if isinstance(problem, InputError):
            print(f"t0jax: {problem}", file=sys.stderr)
        else:
            traceback.print_exception(problem)
        sys.stderr.flush()
        os._exit(2 if isinstance(problem, InputError) else 1)


def run_training(described: Run, hooks: "Sequence[Hook]" = ()) -> "State":
    """Cache what is not cached, train, and return the last state; the checkpoints lie in MODEL_DIR."""
    if described.train.model_dir is None:
        raise InputError("The run has no MODEL_DIR to save in: give --gin.MODEL_DIR=DIR.")
    import jax

    from t0jax.cli.prepare import with_cache, without_missing
    from t0jax.cli.weights import open_vocabulary
    from t0jax.data.feed import open_feed
    from t0jax.data.held_out import check_held_out
    from t0jax.data.universe import tasks_of
    from t0jax.report.evaluation import incomplete
    from t0jax.training.goodput import process_start
    from t0jax.training.loop import train
    from t0jax.training.start import with_absolute_steps

    described = with_absolute_steps(described)  # config.gin says the number
    tasks = tasks_of(described.data)
    if not described.train.allow_held_out:
        check_held_out(tasks, described.data)
    if described.data.vocabulary is not None:
        open_vocabulary(described)
    prepared = with_cache(described, tasks)
    there, missing = without_missing(prepared, tasks)
    note = incomplete(described.data.mixture_or_task_name, missing)
    if note and jax.process_index() == 0:
        print(f"t0jax: {note}", file=sys.stderr, flush=True)
    rates = [(task.name, task.rate) for task in there]
    feed = open_feed(
        prepared.data,
        rates,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        vocab_size=described.model.vocab_size,
    )
    try:
        without = (f"# Without {task}: {' '.join(reason.split())}\n" for task, reason in missing.items())
        text = run_text(described) + "".join(without)
        return train(prepared, feed, config_text=text, hooks=hooks, started=process_start())
    finally:
        feed.close()
