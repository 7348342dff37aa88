"""Flags that several commands share: which tables, which rows."""

import argparse
import re
from collections.abc import Sequence
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
    parser.add_argument("--tasks", metavar="T,...", help="these tasks; regular expressions, as seqio_cache_tasks takes them")


def selected_tasks(arguments: argparse.Namespace) -> tuple[PromptedTask, ...]:
    """The tasks that `--mixture` or `--tasks` names; InputError for both and for neither."""
    if bool(arguments.mixture) == bool(arguments.tasks):
        raise InputError("Which tasks is not clear: give either --mixture M or --tasks T,...")
    universe = universe_from(arguments)
    if arguments.mixture:
        return universe.mixture_tasks(arguments.mixture)
    return tuple(task for pattern in names_of(arguments.tasks) for task in _matching(universe, "--tasks", pattern))


def without(tasks: Sequence[PromptedTask], excluded: str | None) -> tuple[PromptedTask, ...]:
    """The tasks but those whose whole name one of the regular expressions `excluded` matches."""
    patterns = [_compiled("--excluded_tasks", pattern) for pattern in names_of(excluded)]
    kept = tuple(task for task in tasks if not any(pattern.fullmatch(task.name) for pattern in patterns))
    if not kept:
        raise InputError(f"--excluded_tasks {excluded!r} leaves none of the {len(tasks)} tasks.")
    return kept


def names_of(flag: str | None) -> list[str]:
    """The values of a flag that takes several, with commas between."""
    return [name.strip() for name in (flag or "").split(",") if name.strip()]


def _matching(universe: Universe, flag: str, pattern: str) -> list[PromptedTask]:
    """The task of this name, or those whose whole names a regular expression matches. InputError when there is none."""
    known = universe.task_names()
    names = [] if pattern in known else [name for name in known if _compiled(flag, pattern).fullmatch(name)]
    return [universe.task(name) for name in names or [pattern]]


def _compiled(flag: str, pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InputError(f"{flag} {pattern!r} is neither a task nor a regular expression ({error}).") from error


def add_places(parser: argparse.ArgumentParser) -> None:
    """Where rows come from."""
    parser.add_argument("--data_dir", metavar="D", help="rows as <dataset>/<subset or default>/<split>.jsonl")


def places_from(arguments: argparse.Namespace) -> "Places":
    """The sources that the flags name, in their order."""
    from t0jax.data.sources.places import Places

    return Places(data_dir=arguments.data_dir)
