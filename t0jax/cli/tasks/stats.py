"""`t0jax tasks --mixture M --stats`: what a mixture draws of each dataset, and how often a run sees each row."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from t0jax.cli.flags import universe_from
from t0jax.cli.tasks import print_json, print_table
from t0jax.data.universe import PromptedTask
from t0jax.errors import InputError

TOKENS_AN_EXAMPLE = 187
"""Input tokens of an average P3 example, taken where no cache says better."""
FILL = 0.98
"""Share of a packed row that is not padding, likewise."""


def add_stats(parser: argparse.ArgumentParser) -> None:
    """Declare what a run of the mixture is like: T0's by default."""
    parser.add_argument("--train_steps", type=int, default=12_200, metavar="N", help="of --stats: steps (default: T0's 12,200)")
    parser.add_argument("--batch_size", type=int, default=1024, metavar="B", help="of --stats: packed rows (default: 1,024)")
    parser.add_argument(
        "--inputs_length", type=int, default=1024, metavar="S", help="of --stats: tokens a row (default: 1,024)"
    )


def stats(arguments: argparse.Namespace) -> int:
    """Print one line a dataset and the sums; InputError without a mixture that trains."""
    if arguments.mixture is None:
        raise InputError("--stats is about a mixture: give --mixture M.")
    for name in ("train_steps", "batch_size", "inputs_length"):
        if getattr(arguments, name) < 1:
            raise InputError(f"--{name} is {getattr(arguments, name)}; it must be above 0.")
    tasks = universe_from(arguments).mixture_tasks(arguments.mixture)
    step = arguments.batch_size * arguments.inputs_length * FILL / TOKENS_AN_EXAMPLE
    lines = by_dataset(tasks, examples=arguments.train_steps * step)
    if arguments.json:
        print_json([*lines, {"mixture": arguments.mixture, **_sums(lines)}])
        return 0
    print_table(lines)
    sums = _sums(lines)
    print(f"{sums['tasks']} tasks of {len(lines)} datasets, total rate {sums['rate']:,.6g}", file=sys.stderr)
    if any(line["repeats"] is not None for line in lines):
        print(
            f"repeats: how often {arguments.train_steps:,} steps of {arguments.batch_size:,} packed rows see each row, under "
            f"any wording, at {TOKENS_AN_EXAMPLE} input tokens an example (assumed) and {FILL:.0%} fill",
            file=sys.stderr,
        )
    return 0


def by_dataset(tasks: Sequence[PromptedTask], *, examples: float) -> list[dict[str, Any]]:
    """For each dataset its tasks, rows, rate, share of the mixture, and expected repeats of a row in `examples` draws."""
    groups: dict[tuple[str, str | None], list[PromptedTask]] = {}
    for task in tasks:
        groups.setdefault((task.dataset, task.subset), []).append(task)
    total = sum(task.rate for task in tasks)
    lines = []
    for (dataset, subset), members in groups.items():
        rate, rows = sum(task.rate for task in members), members[0].train_size
        share = rate / total
        is_scored = all(task.is_scored for task in members)
        lines.append(
            {
                "dataset": dataset,
                "subset": subset,
                "tasks": len(members),
                "train_size": rows,
                "rate": rate,
                "share": round(share, 6),
                "repeats": None if is_scored or not rows else round(examples * share / rows, 3),
            }
        )
    return lines


def _sums(lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {name: sum(line[name] for line in lines) for name in ("tasks", "rate")}
