"""Mixtures of mixtures: what each member gives, capped and scaled at its level, as FLAN's are made."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from t0jax.data.tables import MemberLine
from t0jax.errors import InputError

if TYPE_CHECKING:
    from t0jax.data.universe import PromptedTask


def combine(name: str, parts: "Sequence[tuple[MemberLine, tuple[PromptedTask, ...]]]") -> "tuple[PromptedTask, ...]":
    """The tasks of all members. A task that several members hold gets the sum of what they give it.

    InputError when some members train and others are only scored, and when two take other rows for a task.
    """
    tasks: dict[str, PromptedTask] = {}
    rates: dict[str, float] = {}
    for line, members in parts:
        for task, rate in zip(members, _rates(line, members), strict=True):
            if tasks.setdefault(task.name, task).splits != task.splits:
                raise InputError(
                    f"{line.place}: {line.member} and a member before it split the rows of {task.name} differently: "
                    "take one of them out."
                )
            rates[task.name] = rates.get(task.name, 0) + rate
    scored = [task.name for task in tasks.values() if task.is_scored]
    if scored and len(scored) < len(tasks):
        other = next(task.name for task in tasks.values() if not task.is_scored)
        raise InputError(
            f"The mixture {name} holds {scored[0]}, which is scored, and {other}, which trains: make two mixtures."
        )
    return tuple(replace(task, rate=1 if task.is_scored else rates[task.name]) for task in tasks.values())


def _rates(line: MemberLine, tasks: "Sequence[PromptedTask]") -> list[float]:
    """What each task of a member counts for: at most the cap, then in proportion a share of the member's rate."""
    capped = [min(task.rate, line.cap) if line.cap else task.rate for task in tasks]
    if line.rate is None:
        return capped
    total = sum(capped)
    if not total:
        raise InputError(
            f"{line.place}: the tasks of {line.member} have no rate to share {line.rate:g} by: give their train_size."
        )
    return [line.rate * rate / total for rate in capped]
