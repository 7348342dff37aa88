"""`t0jax tasks overlap`: what training rows have in common with held-out rows.

Status 0: nothing to look at; 1: a pair is to be inspected; 2: bad input.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from t0jax.cli.flags import add_places, add_tables, places_from, universe_from
from t0jax.cli.tasks import print_json
from t0jax.data.universe import PromptedTask
from t0jax.errors import InputError

if TYPE_CHECKING:
    from t0jax.data.overlap.compare import Pair, Split
    from t0jax.data.sources.places import Places


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    parser.add_argument("--train_mixture", required=True, metavar="M", help="whose datasets train: a mixture, dataset or task")
    parser.add_argument("--eval_mixture", required=True, metavar="E", help="whose datasets are held out")
    parser.add_argument("--train_split", default="train", metavar="S", help="split of the tasks that train (default: train)")
    parser.add_argument(
        "--eval_split", metavar="S", help="split of the tasks that are held out (default: validation, else test)"
    )
    add_tables(parser)
    add_places(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object for each pair on standard output")


def run(arguments: argparse.Namespace) -> int:
    """Compare and say; InputError for unknown names, where neither side has rows, and for rows that cannot be read."""
    universe, places = universe_from(arguments), places_from(arguments)
    sides = []
    missing: list[tuple[str, str]] = []
    for mixture, splits in (
        (arguments.train_mixture, [arguments.train_split]),
        (arguments.eval_mixture, [arguments.eval_split] if arguments.eval_split else ["validation", "test"]),
    ):
        found, lacking = _splits(universe.mixture_tasks(mixture), splits, places)
        if not found:
            raise InputError(f"There are no rows of {mixture} to compare. {lacking[0][1]}")
        missing += lacking
        sides.append(found)
    from t0jax.data.held_out import held_out, shared_origin
    from t0jax.data.overlap.compare import INSPECT, compare

    train, scored = sides
    rules = held_out(arguments.tables)
    pairs = compare([split for _, split in train], [split for _, split in scored])
    tasks = [(one, other) for one, _ in train for other, _ in scored]
    lines = [_line(pair, shared_origin(*two, rules), INSPECT) for pair, two in zip(pairs, tasks, strict=True)]
    if arguments.json:
        print_json(lines)
    else:
        for line in lines:
            if line["overlapping"] or line["rule"]:
                print(_sentence(line))
    inspect = sum(line["inspect"] for line in lines)
    rows = [sum(split.rows.num_rows for _, split in side) for side in sides]
    print(
        f"overlap: {rows[0]:,} training rows of {len(train)} splits, {rows[1]:,} held-out rows of {len(scored)}; "
        f"{len(lines)} pairs, {inspect} to inspect",
        file=sys.stderr,
    )
    if missing:
        print(f"overlap: not compared, for want of rows: {', '.join(name for name, _ in missing)}", file=sys.stderr)
    return int(inspect > 0)


def _splits(
    tasks: Sequence[PromptedTask], names: Sequence[str], places: "Places"
) -> "tuple[list[tuple[PromptedTask, Split]], list[tuple[str, str]]]":
    """The first of some splits that each task has, each split of a dataset once; and those without rows, with the reason."""
    from t0jax.data.overlap.compare import Split
    from t0jax.data.sources.places import open_split
    from t0jax.data.sources.split import MissingRowsError

    found, missing = {}, {}
    for task in tasks:
        dataset = f"{task.dataset}/{task.subset}" if task.subset else task.dataset
        split = next((name for name in names if name in task.splits), names[0])
        place = f"{dataset} {task.splits.get(split, split)}"
        if place in found or place in missing:
            continue
        try:
            found[place] = (task, Split(dataset, task.source(split), open_split(places, task, split)))
        except InputError as error:
            if split in task.splits and not isinstance(error, MissingRowsError):
                raise
            missing[place] = str(error)
    return list(found.values()), list(missing.items())


def _line(pair: "Pair", rule: str | None, limit: float) -> dict[str, Any]:
    return {
        "train": pair.train.dataset,
        "train_split": pair.train.split,
        "held_out": pair.held_out.dataset,
        "held_out_split": pair.held_out.split,
        "train_rows": pair.train.rows.num_rows,
        "rows": pair.held_out.rows.num_rows,
        "exact": pair.exact,
        "overlapping": pair.overlapping,
        "share": round(pair.share, 6),
        "train_overlapping": pair.train_overlapping,
        "examples": [{"row": row, "train_row": train_row} for row, train_row in pair.examples],
        "rule": rule,
        "inspect": pair.share > limit or rule is not None,
    }


def _sentence(line: dict[str, Any]) -> str:
    verdict = "inspect" if line["inspect"] else "seen"
    said = f"{verdict} {line['train']} {line['train_split']} -> {line['held_out']} {line['held_out_split']}: "
    said += (
        f"{line['overlapping']:,} of {line['rows']:,} held-out rows ({line['share']:.2%}) overlap, {line['exact']:,} exactly"
    )
    if line["examples"]:
        said += f", with {line['train_overlapping']:,} training rows; " + ", ".join(
            f"row {one['row']} with {one['train_row']}" for one in line["examples"]
        )
    return said + (f"; by T0's rule it is not held out: {line['rule']}" if line["rule"] else "")
