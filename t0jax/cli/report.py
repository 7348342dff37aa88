"""`t0jax report`: what an evaluation came to, beside others and beside what was published; for a person, a page, a program."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from t0jax.report.whole import Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    parser.add_argument(
        "evaluations",
        nargs="+",
        metavar="[NAME=]E",
        help="EVAL_OUTPUT_DIR of an evaluation; further ones stand beside the first, with the difference on common rows",
    )
    parser.add_argument(
        "--published", metavar="MODEL", help="beside the published numbers of a model, as T0_3B; says a verdict"
    )
    parser.add_argument("--wordings", action="store_true", help="on the terminal too: every wording, each published one")
    parser.add_argument("--json", action="store_true", help="one JSON object for each dataset on standard output")
    parser.add_argument("--html", metavar="PATH", help="write a page that needs no other file")
    parser.add_argument("--markdown", metavar="PATH", help="write the tables as Markdown")
    parser.add_argument("--svg", metavar="PATH", help="write the picture alone")
    parser.add_argument("--title", metavar="TEXT", help="default: the mixture")
    parser.add_argument("--tables", action="append", default=[], metavar="DIR", help="your own tables, if the tasks are yours")


def run(arguments: argparse.Namespace) -> int:
    """Report; an InputError when an evaluation is missing, not finished or of other datasets, or the model is unknown."""
    from t0jax.cli.known import known_of
    from t0jax.report.evaluation import read_evaluation
    from t0jax.report.published import published_of
    from t0jax.report.whole import report

    if arguments.published is not None:
        published_of(arguments.published)  # a wrong name is found before the reading
    evaluations = [read_evaluation(where) for where in arguments.evaluations]
    made = report(evaluations, known_of(evaluations, tuple(arguments.tables)), arguments.published)
    title = arguments.title or str(evaluations[0].results.get("mixture") or evaluations[0].label)
    _write(made, title, arguments)
    _print(made, title, arguments)
    return 0


def _write(made: "Report", title: str, arguments: argparse.Namespace) -> None:
    from t0jax.files import write_whole
    from t0jax.report.figure import write_svg
    from t0jax.report.markdown import markdown
    from t0jax.report.page import ANSWER, WARNINGS, page

    outcomes, comparisons, sections = made.first.outcomes, made.comparisons, made.sections
    if arguments.html:
        said = {WARNINGS: ". ".join(made.warnings), ANSWER: " ".join(made.answers)}
        facts = {**made.first.facts, **{name: words for name, words in said.items() if words}}
        text = page(title, outcomes, comparisons=comparisons, facts=facts, sections=sections)
        write_whole(Path(arguments.html), text)
    if arguments.markdown:
        text = markdown(title, outcomes, comparisons=comparisons, sections=sections, first=[*made.warnings, *made.answers])
        write_whole(Path(arguments.markdown), text)
    if arguments.svg:
        write_svg(Path(arguments.svg), outcomes, comparisons=comparisons, title=title)


def _print(made: "Report", title: str, arguments: argparse.Namespace) -> None:
    from t0jax.report.table import json_lines, print_table

    if not arguments.json:
        sections = [part for part in made.sections if arguments.wordings or not part.is_detail]
        outcomes = made.first.outcomes
        print_table(
            outcomes, comparisons=made.comparisons, title=title, notes=[*made.warnings, *made.answers], sections=sections
        )
        return
    for note in made.warnings:
        print(f"t0jax: {note}", file=sys.stderr)
    for line in json_lines(made.first.outcomes, comparisons=made.comparisons, further=made.further):
        print(line)
