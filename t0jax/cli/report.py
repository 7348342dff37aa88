"""`t0jax report`: accuracy per wording, median and spread per dataset, on the terminal, as JSON, HTML or SVG."""

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    parser.add_argument(
        "evaluations",
        nargs="+",
        metavar="[NAME=]E",
        help="EVAL_OUTPUT_DIR of an evaluation; further ones, as of the untrained model, are columns beside the first",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object for each dataset on standard output")
    parser.add_argument("--html", metavar="PATH", help="write a page that needs no other file")
    parser.add_argument("--svg", metavar="PATH", help="write the picture alone")
    parser.add_argument("--title", metavar="TEXT", help="default: the mixture")


def run(arguments: argparse.Namespace) -> int:
    """Report; an InputError when an evaluation is missing, not finished or of other datasets."""
    from t0jax.report.evaluation import compare, read_evaluation
    from t0jax.report.figure import write_svg
    from t0jax.report.page import write_html
    from t0jax.report.table import json_lines, print_table

    evaluations = [read_evaluation(where) for where in arguments.evaluations]
    outcomes, comparisons = evaluations[0].outcomes, compare(evaluations)
    title = arguments.title or evaluations[0].results.get("mixture") or evaluations[0].label
    if arguments.html:
        write_html(Path(arguments.html), title, outcomes, comparisons=comparisons, facts=evaluations[0].facts)
    if arguments.svg:
        write_svg(Path(arguments.svg), outcomes, comparisons=comparisons, title=title)
    notes = [note for evaluation in evaluations for note in evaluation.warnings]
    if arguments.json:
        for note in notes:
            print(f"t0jax: {note}", file=sys.stderr)
        for line in json_lines(outcomes, comparisons=comparisons):
            print(line)
    else:
        print_table(outcomes, comparisons=comparisons, title=title, notes=notes)
    return 0
