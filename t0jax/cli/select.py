"""`t0jax select`: the checkpoint of a run that is best on the validation rows of its training datasets, as T0 chose it."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from t0jax.errors import InputError

if TYPE_CHECKING:
    from t0jax.report.evaluation import Evaluation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    parser.add_argument(
        "evaluations",
        nargs="+",
        metavar="[NAME=]E",
        help="EVAL_OUTPUT_DIR of an evaluation of t0_train_score_eval, or another of training datasets; one a checkpoint",
    )
    parser.add_argument(
        "--output", metavar="PATH", help="where the choice is written (default selection.json beside the first E)"
    )
    parser.add_argument("--tables", action="append", default=[], metavar="DIR", help="your own tables, if the tasks are yours")


def run(arguments: argparse.Namespace) -> int:
    """Choose, print and write; an InputError for held-out tasks, for two runs, and for evaluations of different rows."""
    from t0jax.files import write_whole
    from t0jax.report.evaluation import read_evaluation
    from t0jax.report.selection import section, select
    from t0jax.report.table import print_sections

    evaluations = [read_evaluation(where) for where in arguments.evaluations]
    for evaluation in evaluations:
        check_not_held_out(evaluation, arguments.tables)
    selection = select(evaluations)
    first = Path(arguments.evaluations[0].rpartition("=")[2])
    path = Path(arguments.output or first.parent / "selection.json")
    write_whole(path, json.dumps(selection.as_json(), indent=1, ensure_ascii=False) + "\n")
    print_sections([section(selection)], notes=[note for evaluation in evaluations for note in _to_be_said(evaluation)])
    print(f"\n{selection.chosen.checkpoint} is chosen; {path} says so.")
    return 0


def check_not_held_out(evaluation: "Evaluation", tables: Sequence[str]) -> None:
    """InputError when an evaluation scored what the tables hold out: who selects by it has no zero-shot score left."""
    from t0jax.data.held_out import held_out
    from t0jax.data.universe import universe_of

    universe, rules = universe_of(tuple(tables)), held_out(tables)
    known = set(universe.task_names())
    for name in evaluation.results["tasks"]:
        if name not in known:
            raise InputError(f"{evaluation.label} scored {name}, which no table has: give the folder of yours, --tables DIR.")
        task = universe.task(name)
        mixture = rules.datasets.get((task.dataset, task.subset)) or rules.families.get(task.family)
        if mixture:
            raise InputError(
                f"{evaluation.label} scored {name}, which is held out ({mixture} scores it zero-shot): select by the training "
                "datasets, as t0_train_score_eval has them (gin/eval/t0_3b_select.gin)."
            )


def _to_be_said(evaluation: "Evaluation") -> list[str]:
    """The warnings of an evaluation but that it was trained on what it scored, which here is the purpose."""
    return [note for note in evaluation.warnings if "not zero-shot" not in note]
