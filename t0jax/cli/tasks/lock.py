"""`t0jax tasks lock`: pin datasets of the Hugging Face hub to a commit. Status 0: all are; 1: some cannot be; 2: bad input."""

import argparse
import dataclasses
import sys

from t0jax.cli.flags import add_selection, add_sources, add_tables, names_of, selected_tasks
from t0jax.cli.tasks import print_json
from t0jax.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    add_selection(parser)
    parser.add_argument("--datasets", metavar="D,...", help="instead: these datasets, as glue/mrpc, or repositories of the hub")
    add_tables(parser)
    add_sources(parser)
    parser.add_argument("--hub_lock", required=True, metavar="PATH", help="the lock that is written")
    parser.add_argument(
        "--accept_changes", action="store_true", help="lock what has other rows or fields than the official ones too"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object for each dataset on standard output")


def run(arguments: argparse.Namespace) -> int:
    """Lock, and say what came of each dataset; with `--sources p3` the tasks' configurations of the published P3 instead."""
    if bool(arguments.datasets) == bool(arguments.mixture or arguments.tasks):
        raise InputError("What to lock is not clear: give --datasets D,... or the tasks, by --mixture M or --tasks T,...")
    from t0jax.data.sources import hub
    from t0jax.data.sources.locking import lock_tasks

    how = {"hub_lock": arguments.hub_lock, "accept_changes": arguments.accept_changes}
    if arguments.datasets:
        done = hub.lock_hub([hub.key_of(name, arguments.hub_lock) for name in names_of(arguments.datasets)], **how)
    else:
        done = lock_tasks(selected_tasks(arguments), names_of(arguments.sources) or ["hub"], **how)
    if arguments.json:
        print_json([dataclasses.asdict(one) for one in done])
    for one in done:
        name = f"{one.dataset}/{one.subset}" if one.subset else one.dataset
        rows = ", ".join(f"{split} {count:,}" for split, count in one.rows.items())
        print(f"{name}: {one.problem or f'{one.revision[:12]}, {rows}'}", file=sys.stderr)
    locked = sum(one.problem is None for one in done)
    print(f"{arguments.hub_lock}: {locked} of {len(done)} locked", file=sys.stderr)
    return int(locked < len(done))
