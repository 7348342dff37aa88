"""Flags that several commands share: which tables, which rows."""

import argparse
from typing import TYPE_CHECKING

from t0jax.data.rates import CAP_RULES
from t0jax.data.universe import PromptedTask, Universe, universe_of
from t0jax.errors import InputError

if TYPE_CHECKING:
    from t0jax.data.sources.places import Places


def add_tables(parser: argparse.ArgumentParser) -> None:
    """Which tasks and mixtures there are."""
    parser.add_argument(
        "--tables", action="append", default=[], metavar="DIR", help="a folder of your own tables; may be given again"
    )
    parser.add_argument(
        "--cap_rule", metavar="RULE", help=f"{', '.join(CAP_RULES)}; default: each mixture's own, T0's is released"
    )


def universe_from(arguments: argparse.Namespace) -> Universe:
    """t0jax's own tables and those that the flags name."""
    return universe_of(tuple(arguments.tables), arguments.cap_rule)


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Which of the tasks a command is about."""
    parser.add_argument("--mixture", metavar="M", help="the tasks of this mixture, of a dataset, or one task")
    parser.add_argument("--tasks", metavar="T,...", help="these tasks")


def selected_tasks(arguments: argparse.Namespace) -> tuple[PromptedTask, ...]:
    """The tasks that `--mixture` or `--tasks` names; InputError for both and for neither."""
    if bool(arguments.mixture) == bool(arguments.tasks):
        raise InputError("Which tasks is not clear: give either --mixture M or --tasks T,...")
    universe = universe_from(arguments)
    if arguments.mixture:
        return universe.mixture_tasks(arguments.mixture)
    return tuple(universe.task(name.strip()) for name in arguments.tasks.split(","))


def add_places(parser: argparse.ArgumentParser) -> None:
    """Where rows come from."""
    parser.add_argument("--data_dir", metavar="D", help="rows as <dataset>/<subset or default>/<split>.jsonl")


def places_from(arguments: argparse.Namespace) -> "Places":
    """The sources that the flags name, in their order."""
    from t0jax.data.sources.places import Places

    return Places(data_dir=arguments.data_dir)
