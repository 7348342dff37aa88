"""`t0jax tasks`: list prompted tasks, say what a mixture draws (`--stats`), or render one task on rows (`--render`)."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from t0jax.cli.flags import add_places, add_tables, universe_from
from t0jax.data.universe import PromptedTask

FIELDS = ("task", "dataset", "subset", "template", "rate", "train_size", "original_task", "has_choices", "metrics")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    parser.add_argument("--mixture", metavar="M", help="the tasks, rates and splits of this mixture; default: all tasks")
    parser.add_argument("--stats", action="store_true", help="what the mixture draws of each dataset, instead of its tasks")
    parser.add_argument("--render", metavar="TASK", help="render rows with this task instead of listing")
    parser.add_argument("--split", default="train", metavar="S", help="the task's split to render (default: train)")
    parser.add_argument("--num", type=int, default=3, metavar="N", help="how many rows to render (default: 3)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line on standard output")
    add_tables(parser)
    add_places(parser)
    from t0jax.cli.tasks.stats import add_stats

    add_stats(parser)


def run(arguments: argparse.Namespace) -> int:
    """List, say or render; InputError for an unknown task or mixture and for missing rows."""
    if arguments.render:
        from t0jax.cli.tasks.render import render

        return render(arguments)
    if arguments.stats:
        from t0jax.cli.tasks.stats import stats

        return stats(arguments)
    universe = universe_from(arguments)
    is_mixture = arguments.mixture is not None
    tasks = universe.mixture_tasks(arguments.mixture) if is_mixture else [universe.task(n) for n in universe.task_names()]
    lines = [_line(task) for task in tasks]
    if arguments.json:
        print_json(lines)
        return 0
    print_table(lines)
    datasets = {(task.dataset, task.subset) for task in tasks}
    print(f"{len(tasks)} tasks of {len(datasets)} datasets", file=sys.stderr)
    if not is_mixture:
        print(f"Mixtures (--mixture M): {', '.join(universe.mixture_names())}", file=sys.stderr)
    return 0


def _line(task: PromptedTask) -> dict[str, Any]:
    values = (task.name, task.dataset, task.subset, task.template, task.rate, task.train_size)
    return dict(zip(FIELDS, (*values, task.original_task, task.has_choices, task.metrics), strict=True))


def print_json(lines: Sequence[Mapping[str, Any]]) -> None:
    """One JSON object a line."""
    for line in lines:
        print(json.dumps(line, ensure_ascii=False))


def print_table(lines: Sequence[Mapping[str, Any]]) -> None:
    """Columns as wide as their widest value, under the names of the fields; yes and no for flags, a dash for none."""
    shown = {True: "yes", False: "no", None: "-"}
    rows = [list(lines[0]) if lines else []]
    rows += [[shown[v] if v is None or isinstance(v, bool) else _text(v) for v in line.values()] for line in lines]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip())


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "-"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
