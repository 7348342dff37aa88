"""What the tables and the template files say of the tasks of an evaluation: how many there should be, what they are like."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from t0jax.errors import InputError

if TYPE_CHECKING:
    from t0jax.data.universe import PromptedTask, Universe
    from t0jax.report.evaluation import Evaluation
    from t0jax.report.whole import Known

MIXTURES = ("t0_eval_score_eval", "bias_fairness_eval_score_eval")
"""What T0 was evaluated on: numbers were published for all of its wordings and rows."""


def known_of(evaluations: Sequence["Evaluation"], tables: tuple[str, ...]) -> "Known":
    """What is expected of the datasets of T0's evaluation, and the properties of the wordings of the first evaluation."""
    from t0jax.data.universe import universe_of
    from t0jax.report.whole import Known

    universe = universe_of(tables)
    split = str(evaluations[0].results.get("split"))
    try:
        return Known(_expected(universe, split), _properties(evaluations[0].results["tasks"], universe))
    except InputError as error:
        return Known(_expected(universe, split), {}, f"The properties of the wordings are not known: {error}")


def _expected(universe: "Universe", split: str) -> dict[str, Any]:
    from t0jax.cli.eval import origins_of
    from t0jax.data.schemas import schema
    from t0jax.report.completeness import Expected

    groups: dict[str, list[PromptedTask]] = {}
    for mixture in MIXTURES:
        scored = universe.mixture_tasks(mixture)
        origins = origins_of(scored)
        for task in scored:
            groups.setdefault(origins[task.name].dataset, []).append(task)
    expected = {}
    for dataset, tasks in groups.items():
        first = tasks[0]
        try:
            rows = schema(first.dataset, first.subset).splits.get(first.splits.get(split, split))
        except InputError:  # a dataset that the hub does not have
            rows = None
        expected[dataset] = Expected(len(tasks), rows)
    return expected


def _properties(names: Iterable[str], universe: "Universe") -> dict[str, Mapping[str, float]]:
    """Of the tasks that the tables know; an InputError when promptsource's files are not there."""
    from pathlib import Path

    from t0jax.prompts.properties import properties
    from t0jax.prompts.templates import load_templates

    known = set(universe.task_names())
    loaded: dict[tuple[str, str | None, str | None], Any] = {}
    found: dict[str, Mapping[str, float]] = {}
    for task in (universe.task(name) for name in names if name in known):
        key = (task.dataset, task.subset, task.templates)
        if key not in loaded:
            loaded[key] = load_templates(task.dataset, task.subset, Path(task.templates) if task.templates else None)
        if task.template in loaded[key]:
            found[task.name] = properties(loaded[key][task.template])
    return found
