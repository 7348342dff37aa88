"""`t0jax tasks --mixture M --stats`: what a mixture draws of each dataset, and how often a run sees each row."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from t0jax.cli.flags import universe_from
from t0jax.cli.tasks import print_json, print_table
from t0jax.data.universe import PromptedTask
from t0jax.errors import InputError

if TYPE_CHECKING:
    from t0jax.data.fill import FillReport

TOKENS_AN_EXAMPLE = 187
"""Input tokens of an average P3 example, taken where no cache says better."""
FILL = 0.98
"""Share of a packed row that is not padding, likewise."""


def add_stats(parser: argparse.ArgumentParser) -> None:
    """Declare what a run of the mixture is like: T0's by default."""
    numbers = {"train_steps": (12_200, "steps"), "batch_size": (1024, "packed rows a step")}
    numbers |= {"inputs_length": (1024, "input tokens a row"), "targets_length": (256, "target tokens a row")}
    for name, (default, what) in numbers.items():
        parser.add_argument(
            f"--{name}", type=int, default=default, metavar="N", help=f"of --stats: {what} (default: {default:,})"
        )
    parser.add_argument("--cache_dir", metavar="C", help="of --stats: tokens, truncation and fill of this cache")


def stats(arguments: argparse.Namespace) -> int:
    """Print one line a dataset and the sums; InputError without a mixture, or where the cache lacks a task of it."""
    if arguments.mixture is None:
        raise InputError("--stats is about a mixture: give --mixture M.")
    for name in ("train_steps", "batch_size", "inputs_length", "targets_length"):
        if getattr(arguments, name) < 1:
            raise InputError(f"--{name} is {getattr(arguments, name)}; it must be above 0.")
    tasks = universe_from(arguments).mixture_tasks(arguments.mixture)
    cached = _measure(arguments, tasks) if arguments.cache_dir else None
    tokens, fill = (cached.mean_inputs, cached.encoder_fill) if cached else (TOKENS_AN_EXAMPLE, FILL)
    drawn = arguments.train_steps * arguments.batch_size * arguments.inputs_length * fill / tokens
    lines = by_dataset(tasks, examples=drawn)
    sums = {name: sum(line[name] for line in lines) for name in ("tasks", "rate")}
    if arguments.json:
        measured = {"cached": asdict(cached)} if cached else {}
        print_json([*lines, {"mixture": arguments.mixture, "examples": round(drawn), **sums, **measured}])
        return 0
    print_table(lines)
    print(f"{sums['tasks']} tasks of {len(lines)} datasets, total rate {sums['rate']:,.10g}", file=sys.stderr)
    if not all(task.is_scored for task in tasks):
        run = f"{arguments.train_steps:,} steps of {arguments.batch_size:,} packed rows"
        basis = f"{tokens:.4g} input tokens an example and {fill:.1%} fill, {'measured' if cached else 'assumed'}"
        print(f"repeats: how often {run} see each row, under any wording ({basis})", file=sys.stderr)
    if cached:
        print(_sentence(cached), file=sys.stderr)
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
        is_drawn = rows and not all(task.is_scored for task in members)
        lines.append(
            {
                "dataset": dataset,
                "subset": subset,
                "tasks": len(members),
                "train_size": rows,
                "rate": rate,
                "share": round(share, 6),
                "repeats": round(examples * share / rows, 3) if is_drawn else None,
            }
        )
    return lines


def _measure(arguments: argparse.Namespace, tasks: Sequence[PromptedTask]) -> "FillReport":
    """Tokens, truncation and fill of a sample of the cached mixture, packed as training packs it; without skipped tasks."""
    from t0jax.config import DataConfig
    from t0jax.data.fill import measure
    from t0jax.data.missing import missing_tasks

    if any(task.is_scored for task in tasks):
        raise InputError(f"{arguments.mixture} is scored, not packed for training: leave --cache_dir out.")
    data = DataConfig(
        mixture_or_task_name=arguments.mixture,
        cache_dir=arguments.cache_dir,
        task_feature_lengths={"inputs": arguments.inputs_length, "targets": arguments.targets_length},
    )
    if missing := missing_tasks(arguments.cache_dir, [task.name for task in tasks], "train"):
        print(
            f"{arguments.cache_dir} is incomplete: {len(missing)} tasks were skipped; it is measured without", file=sys.stderr
        )
    there = [(task.name, task.rate) for task in tasks if task.name not in missing]
    if not there:
        raise InputError(f"{arguments.cache_dir} has none of the {len(tasks)} tasks of {arguments.mixture}: cache them first.")
    return measure(data, there)


def _sentence(cached: "FillReport") -> str:
    return (
        f"cached: {cached.examples:,} examples of {cached.mean_inputs:.1f} input and {cached.mean_targets:.1f} target tokens, "
        f"{cached.truncated_inputs:.2%} and {cached.truncated_targets:.2%} of them cut, packed into {cached.rows:,} rows: "
        f"encoder fill {cached.encoder_fill:.1%}, decoder fill {cached.decoder_fill:.1%}"
    )
