"""`t0jax tasks`: list prompted tasks and mixtures, render one on rows, or freeze the table of templates."""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from t0jax.data import universe
from t0jax.data.universe import PromptedTask
from t0jax.errors import InputError, did_you_mean

FIELDS = ("task", "dataset", "subset", "template", "rate", "train_size", "original_task", "has_choices")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    parser.add_argument(
        "action",
        nargs="?",
        choices=["list", "freeze"],
        default="list",
        help="freeze: make mixtures/templates.csv anew after a change of tables or templates (in a checkout)",
    )
    parser.add_argument("--mixture", metavar="M", help="the tasks, rates and splits of this mixture; default: all tasks")
    parser.add_argument("--render", metavar="TASK", help="render rows with this task instead of listing")
    parser.add_argument("--data_dir", metavar="D", help="rows as <dataset>/<subset or default>/<split>.jsonl")
    parser.add_argument("--split", default="train", metavar="S", help="the task's split to render (default: train)")
    parser.add_argument("--num", type=int, default=3, metavar="N", help="how many rows to render (default: 3)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line on standard output")


def run(arguments: argparse.Namespace) -> int:
    """List, render or freeze; InputError for an unknown task or mixture and for missing rows."""
    if arguments.action == "freeze":
        return _freeze()
    if arguments.render:
        return _render(arguments)
    is_mixture = arguments.mixture is not None
    tasks = universe.mixture_tasks(arguments.mixture) if is_mixture else [universe.task(n) for n in universe.task_names()]
    lines = [_line(task) for task in tasks]
    if arguments.json:
        _print_json(lines)
        return 0
    _print_table(lines)
    datasets = {(task.dataset, task.subset) for task in tasks}
    print(f"{len(tasks)} tasks of {len(datasets)} datasets", file=sys.stderr)
    if not is_mixture:
        print(f"Mixtures (--mixture M): {', '.join(universe.mixture_names())}", file=sys.stderr)
    return 0


def _line(task: PromptedTask) -> dict[str, Any]:
    values = (task.name, task.dataset, task.subset, task.template, task.rate, task.train_size)
    return dict(zip(FIELDS, (*values, task.original_task, task.has_choices), strict=True))


def _print_json(lines: Sequence[Mapping[str, Any]]) -> None:
    for line in lines:
        print(json.dumps(line, ensure_ascii=False))


def _print_table(lines: Sequence[Mapping[str, Any]]) -> None:
    """Columns as wide as their widest value; yes and no for flags, a dash for none."""
    shown = {True: "yes", False: "no", None: "-"}
    rows = [FIELDS, *([shown[v] if v is None or isinstance(v, bool) else str(v) for v in line.values()] for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(FIELDS))]
    for row in rows:
        print("  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip())


def _render(arguments: argparse.Namespace) -> int:
    from t0jax.data.prompting import prompts
    from t0jax.data.sources.places import Places

    if not arguments.data_dir:
        raise InputError("--render needs rows: give --data_dir, the folder that holds <dataset>/<subset or default>/.")
    if arguments.num < 1:
        raise InputError(f"--num is {arguments.num}; it must be above 0.")
    task = _rendered_task(arguments.render, arguments.mixture)
    for index, prompted in prompts(task, arguments.split, Places(data_dir=arguments.data_dir), arguments.num):
        if prompted is None:
            line: dict[str, Any] = {"row": index, "skipped": True}
        else:
            choices = prompted.answer_choices
            texts = {"inputs": prompted.inputs, "targets": prompted.targets}
            line = {"row": index, **texts, "answer_choices": None if choices is None else list(choices)}
        if arguments.json:
            _print_json([line])
        else:
            _print_prompted(line)
    return 0


def _rendered_task(name: str, mixture: str | None) -> PromptedTask:
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


def _freeze() -> int:
    from t0jax.data.freeze import frozen_templates

    path = universe.frozen_path()
    text = frozen_templates()
    before = path.read_text(encoding="utf-8") if path.is_file() else None
    if text != before:
        aside = path.with_suffix(".csv.new")
        try:
            aside.write_text(text, encoding="utf-8")
            os.replace(aside, path)
        except OSError as error:
            raise InputError(f"{path} cannot be written ({error.strerror}): freeze in a checkout of t0jax.") from error
    print(f"{path}: {'unchanged' if text == before else 'written'}, {text.count(chr(10)) - 1} templates", file=sys.stderr)
    return 0
