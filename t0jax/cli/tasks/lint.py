"""`t0jax tasks lint`: what breaks wordings. Status 0: nothing, or warnings; 1: errors were found; 2: bad input."""

import argparse
import dataclasses
import sys
from typing import TYPE_CHECKING

from t0jax.cli.flags import add_places, add_selection, add_tables, places_from, selected_tasks
from t0jax.cli.tasks import print_json
from t0jax.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from t0jax.data.lint.finding import Finding


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    add_selection(parser)
    add_tables(parser)
    add_places(parser)
    parser.add_argument("--split", metavar="S", help="the tasks' split; default: the first of its splits that has rows")
    parser.add_argument(
        "--num", type=int, default=1000, metavar="N", help="rows of each split, evenly over it (default: 1,000)"
    )
    parser.add_argument("--vocabulary", metavar="V", help="a SentencePiece model; without one lengths are estimated")
    parser.add_argument("--inputs_length", type=int, default=1024, metavar="S", help="tokens of an input (default: 1,024)")
    parser.add_argument("--targets_length", type=int, default=256, metavar="T", help="tokens of a target (default: 256)")
    parser.add_argument("--json", action="store_true", help="one JSON object for each finding on standard output")


def run(arguments: argparse.Namespace) -> int:
    """Look and say; InputError for unknown tasks, rows that cannot be read and a vocabulary that is none."""
    for name in ("num", "inputs_length", "targets_length"):
        if getattr(arguments, name) < 1:
            raise InputError(f"--{name} is {getattr(arguments, name)}; it must be above 0.")
    tasks, places = selected_tasks(arguments), places_from(arguments)
    from t0jax.data.lint.linter import LintConfig, lint

    config = LintConfig(
        places=places,
        split=arguments.split,
        num_rows=arguments.num,
        vocabulary=arguments.vocabulary,
        inputs_length=arguments.inputs_length,
        targets_length=arguments.targets_length,
    )
    linted = lint(tasks, config)
    if arguments.data_dir and not any(one.rows for one in linted):
        raise InputError(
            f"{arguments.data_dir} has no rows of these tasks: give the folder of <dataset>/<subset or default>/<split>.jsonl, "
            "or leave --data_dir out to look at the templates alone."
        )
    findings = [finding for one in linted for finding in one.findings]
    if arguments.json:
        print_json([vars(finding) for finding in findings])
    else:
        for severity in ("error", "warning"):
            for one in linted:
                _print([finding for finding in one.findings if finding.severity == severity])
    counts = {severity: sum(f.severity == severity for f in findings) for severity in ("error", "warning")}
    unseen = sum(not one.rows for one in linted)
    print(
        f"lint: {sum(len(one.tasks) for one in linted)} tasks of {len(linted)} datasets on {sum(one.rows for one in linted):,} "
        f"rows, {counts['error']} errors, {counts['warning']} warnings"
        + (f"; of {unseen} datasets there are no rows, so that only the templates were seen" if unseen else ""),
        file=sys.stderr,
    )
    return int(counts["error"] > 0)


def _print(findings: "Sequence[Finding]") -> None:
    """A line for each finding on a dataset; what is true of several wordings on the same rows is said once."""
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for finding in findings:
        said = dataclasses.replace(finding, task="")
        groups.setdefault(dataclasses.astuple(said), []).append(finding)
    for group in groups.values():
        one = group[0]
        where = f", {one.share:.1%} of {one.rows:,} rows of {one.split}" if one.rows else ""
        where += f", the first of them row {one.row}" if one.row is not None else ""
        others = f" and {len(group) - 1} more wordings" if len(group) > 1 else ""
        print(f"{one.severity} {one.task}{others} [{one.check}{where}]: {one.message}")
