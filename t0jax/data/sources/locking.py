"""Locking all that a choice of tasks reads from the hub."""

from collections.abc import Sequence
from pathlib import Path

from t0jax.data.sources import hub, p3
from t0jax.data.universe import PromptedTask


def lock_tasks(
    tasks: Sequence[PromptedTask], sources: Sequence[str], hub_lock: str | Path, *, accept_changes: bool = False
) -> list[hub.Locked]:
    """Lock the datasets of the tasks when `hub` is among the sources, and P3's configurations when `p3` is.

    What P3 does not have is left out.
    """
    done = []
    if "hub" in sources:
        datasets = dict.fromkeys((task.dataset, task.subset) for task in tasks)
        done += hub.lock_hub(datasets, hub_lock, accept_changes=accept_changes)
    if "p3" in sources:
        names = dict.fromkeys(name for task in tasks if (name := p3.p3_name(task)))
        done += p3.lock_p3(list(names), hub_lock, accept_changes=accept_changes)
    return done
