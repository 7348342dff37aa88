"""`t0jax tasks --render TASK`: what a task makes of rows."""

import argparse
from collections.abc import Mapping
from typing import Any

from t0jax.cli.flags import places_from, universe_from
from t0jax.cli.tasks import print_json
from t0jax.data.universe import PromptedTask, Universe
from t0jax.errors import InputError, did_you_mean


def render(arguments: argparse.Namespace) -> int:
    """Print the prompts of the first rows; InputError for an unknown task and for missing or broken rows."""
    from t0jax.data.prompting import prompts

    if arguments.num < 1:
        raise InputError(f"--num is {arguments.num}; it must be above 0.")
    task, places = _task(universe_from(arguments), arguments.render, arguments.mixture), places_from(arguments)
    for index, prompted in prompts(task, arguments.split, places, arguments.num):
        if prompted is None:
            line: dict[str, Any] = {"row": index, "skipped": True}
        else:
            choices = prompted.answer_choices
            texts = {"inputs": prompted.inputs, "targets": prompted.targets}
            line = {"row": index, **texts, "answer_choices": None if choices is None else list(choices)}
        if arguments.json:
            print_json([line])
        else:
            _print_prompted(line)
    return 0


def _task(universe: Universe, name: str, mixture: str | None) -> PromptedTask:
    """The task as its own table has it, or as `mixture` has it, which may take other splits for train."""
    if mixture is None:
        return universe.task(name)
    tasks = {task.name: task for task in universe.mixture_tasks(mixture)}
    if name not in tasks:
        raise InputError(f"The mixture {mixture} has no task {name!r}.{did_you_mean(name, tasks)}")
    return tasks[name]


def _print_prompted(line: Mapping[str, Any]) -> None:
    print(f"--- row {line['row']}" + (": skipped, the template does not apply" if "skipped" in line else ""))
    for name in ("inputs", "targets", "answer_choices"):
        if line.get(name) is not None:
            value = line[name] if isinstance(line[name], str) else " ||| ".join(line[name])
            print(f"{name}: {value}")
