"""`t0jax report`: what an evaluation came to, beside others and beside what was published; for a person, a page, a program."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from t0jax.errors import InputError

if TYPE_CHECKING:
    from t0jax.rank import DatasetOutcome
    from t0jax.report.comparison import Comparisons
    from t0jax.report.generated import Generated
    from t0jax.report.section import Section
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
    from t0jax.report.published import published_of

    if arguments.published is not None:
        published_of(arguments.published)  # a wrong name is found before the reading
    shown = _shown(arguments)
    _write(shown, arguments)
    _print(shown, arguments)
    return 0


@dataclass(frozen=True)
class _Shown:
    """What is ranked, if anything is, and what is generated, if anything is."""

    title: str
    report: "Report | None"
    generated: "Sequence[Generated]"

    @property
    def outcomes(self) -> "Sequence[DatasetOutcome]":
        return self.report.first.outcomes if self.report else ()

    @property
    def comparisons(self) -> "Comparisons":
        return self.report.comparisons if self.report else {}

    @property
    def warnings(self) -> list[str]:
        """Each once: both kinds of an evaluation may have the same to say."""
        said = [*(self.report.warnings if self.report else ()), *(note for one in self.generated for note in one.warnings)]
        return list(dict.fromkeys(said))

    @property
    def answers(self) -> "Sequence[str]":
        return self.report.answers if self.report else ()

    @property
    def sections(self) -> "list[Section]":
        from t0jax.report.generated import sections

        return [*(self.report.sections if self.report else ()), *sections(self.generated)]


def _shown(arguments: argparse.Namespace) -> _Shown:
    from t0jax.cli.known import known_of
    from t0jax.report.evaluation import read_evaluation
    from t0jax.report.generated import check_same, read_generated
    from t0jax.report.whole import report

    by_place = {where: read_generated(where) for where in arguments.evaluations}
    scored = {where: where.rpartition("=")[2] for where, found in by_place.items()}
    scored = {where: path for where, path in scored.items() if not by_place[where] or (Path(path) / "results.json").is_file()}
    evaluations = [read_evaluation(where) for where in scored]
    generated = [found for found in by_place.values() if found]
    for where, evaluation in zip(scored, evaluations, strict=True):
        if found := by_place[where]:
            check_same(found, evaluation.results)
    made = report(evaluations, known_of(evaluations, tuple(arguments.tables)), arguments.published) if evaluations else None
    first = evaluations[0] if evaluations else generated[0]
    return _Shown(arguments.title or str(first.results.get("mixture") or first.label), made, generated)


def _write(shown: _Shown, arguments: argparse.Namespace) -> None:
    from t0jax.files import write_whole
    from t0jax.report.figure import write_svg
    from t0jax.report.markdown import markdown
    from t0jax.report.page import ANSWER, WARNINGS, page

    outcomes, comparisons, sections = shown.outcomes, shown.comparisons, shown.sections
    if not outcomes and (arguments.html or arguments.svg):
        raise InputError("--html and --svg draw scores of choices, and nothing was ranked here: give --markdown or --json.")
    if arguments.html and shown.report:
        said = {WARNINGS: ". ".join(shown.warnings), ANSWER: " ".join(shown.answers)}
        facts = {**shown.report.first.facts, **{name: words for name, words in said.items() if words}}
        text = page(shown.title, outcomes, comparisons=comparisons, facts=facts, sections=sections)
        write_whole(Path(arguments.html), text)
    if arguments.markdown:
        first = [*shown.warnings, *shown.answers]
        text = markdown(shown.title, outcomes, comparisons=comparisons, sections=sections, first=first)
        write_whole(Path(arguments.markdown), text)
    if arguments.svg:
        write_svg(Path(arguments.svg), outcomes, comparisons=comparisons, title=shown.title)


def _print(shown: _Shown, arguments: argparse.Namespace) -> None:
    from t0jax.report.generated import json_lines as generated_lines
    from t0jax.report.table import json_lines, print_sections, print_table

    notes = [*shown.warnings, *shown.answers]
    if not arguments.json:
        sections = [part for part in shown.sections if arguments.wordings or not part.is_detail]
        if shown.outcomes:
            print_table(shown.outcomes, comparisons=shown.comparisons, title=shown.title, notes=notes, sections=sections)
        else:
            print_sections(sections, notes=notes)
        return
    for note in shown.warnings:
        print(f"t0jax: {note}", file=sys.stderr)
    further = shown.report.further if shown.report else {}
    for line in (
        *json_lines(shown.outcomes, comparisons=shown.comparisons, further=further),
        *generated_lines(shown.generated),
    ):
        print(line)
