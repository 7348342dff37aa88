"""`t0jax tasks overlap`: what training rows have in common with held-out rows.

Status 0: nothing to look at; 1: a pair is to be inspected; 2: bad input.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from t0jax.cli.flags import add_places, add_tables, places_from, universe_from
from t0jax.cli.tasks import print_json
from t0jax.data.universe import PromptedTask
from t0jax.errors import InputError

if TYPE_CHECKING:
    from t0jax.data.overlap.compare import Split
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
    """Compare and say; InputError for unknown names, where a side has no rows at all, and for rows that cannot be read."""
    universe, places = universe_from(arguments), places_from(arguments)
    held_out_splits = [arguments.eval_split] if arguments.eval_split else ["validation", "test"]
    train = _sides(universe.mixture_tasks(arguments.train_mixture), [arguments.train_split], places)
    scored = _sides(universe.mixture_tasks(arguments.eval_mixture), held_out_splits, places)
    lines = list(_lines(train, scored, arguments.tables))
    if arguments.json:
        print_json(lines)
    else:
        for line in lines:
            if line["overlapping"] or line["rule"]:
                print(_sentence(line))
    inspect = sum(line["inspect"] for line in lines)
    counts = [(sum(side.split is not None for side in sides), sum(side.rows for side in sides)) for sides in (train, scored)]
    print(
        f"overlap: {counts[0][1]:,} training rows of {counts[0][0]} splits, {counts[1][1]:,} held-out rows of {counts[1][0]}; "
        f"{inspect} pairs to inspect",
        file=sys.stderr,
    )
    if missing := [f"{side.dataset} {side.name}" for side in (*train, *scored) if side.split is None]:
        print(f"overlap: not compared, for want of rows: {', '.join(missing)}", file=sys.stderr)
    return int(inspect > 0)


@dataclass(frozen=True)
class _Side:
    """One split of a dataset, with the first of its tasks, and its rows where there are any."""

    task: PromptedTask
    dataset: str
    name: str
    split: "Split | None"

    @property
    def rows(self) -> int:
        return self.split.rows.num_rows if self.split else 0


def _sides(tasks: Sequence[PromptedTask], names: Sequence[str], places: "Places") -> list[_Side]:
    """The first of some splits that each task has, each split of a dataset once; InputError where there are rows of none."""
    from t0jax.data.overlap.compare import Split
    from t0jax.data.sources.places import open_split
    from t0jax.data.sources.split import MissingRowsError

    sides: dict[tuple[str, str], _Side] = {}
    reason = ""
    for task in tasks:
        dataset = f"{task.dataset}/{task.subset}" if task.subset else task.dataset
        split = next((name for name in names if name in task.splits), names[0])
        name = task.splits.get(split, split)
        if (dataset, name) in sides:
            continue
        found = None
        try:
            found = Split(dataset, task.source(split), open_split(places, task, split))
        except InputError as error:
            if split in task.splits and not isinstance(error, MissingRowsError):
                raise
            reason = reason or str(error)
        sides[dataset, name] = _Side(task, dataset, name, found)
    if not any(side.split for side in sides.values()):
        raise InputError(f"There are no rows to compare of {', '.join(side.dataset for side in sides.values())}. {reason}")
    return list(sides.values())


def _lines(train: Sequence[_Side], scored: Sequence[_Side], tables: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A line for every pair with rows, and for every other one that T0's rule forbids."""
    from t0jax.data.held_out import held_out, shared_origin
    from t0jax.data.overlap.compare import INSPECT, compare

    pairs = compare([side.split for side in train if side.split], [side.split for side in scored if side.split])
    by_split = {(pair.train, pair.held_out): pair for pair in pairs}
    rules = held_out(tables)
    for one in train:
        for other in scored:
            pair = by_split[one.split, other.split] if one.split and other.split else None
            rule = shared_origin(one.task, other.task, rules)
            if pair or rule:
                yield {
                    "train": one.dataset,
                    "train_split": one.name,
                    "held_out": other.dataset,
                    "held_out_split": other.name,
                    "train_rows": one.rows,
                    "rows": other.rows,
                    "exact": pair.exact if pair else None,
                    "overlapping": pair.overlapping if pair else None,
                    "share": round(pair.share, 6) if pair else None,
                    "train_overlapping": pair.train_overlapping if pair else None,
                    "examples": [{"row": row, "train_row": train_row} for row, train_row in (pair.examples if pair else ())],
                    "rule": rule,
                    "inspect": rule is not None or (pair is not None and pair.share > INSPECT),
                }


def _sentence(line: dict[str, Any]) -> str:
    verdict = "inspect" if line["inspect"] else "seen"
    said = [f"{verdict} {line['train']} {line['train_split']} -> {line['held_out']} {line['held_out_split']}: "]
    if line["overlapping"] is None:
        said.append("there are no rows to compare")
    else:
        said.append(f"{line['overlapping']:,} of {line['rows']:,} held-out rows ({line['share']:.2%}) overlap")
        said.append(f", {line['exact']:,} exactly")
    if line["examples"]:
        said.append(f", with {line['train_overlapping']:,} training rows; ")
        said.append(", ".join(f"row {one['row']} with {one['train_row']}" for one in line["examples"]))
    if line["rule"]:
        said.append(f"; by T0's rule it is not held out: {line['rule']}")
    return "".join(said)
