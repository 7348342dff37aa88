"""Control prompts beside the real wordings of the same rows: irrelevant, misleading and empty ones (Webson & Pavlick 2022)."""

from collections.abc import Sequence
from dataclasses import dataclass

from t0jax.report import paired
from t0jax.report.comparison import percentage
from t0jax.report.evaluation import Evaluation
from t0jax.report.section import Section, points, points_range

SUFFIX = "/control"
"""What the dataset of control prompts is called after the real one's name."""


@dataclass(frozen=True)
class Control:
    """The real wordings of a dataset less one kind of control prompts."""

    dataset: str
    kind: str
    difference: paired.Difference


def controls(evaluation: Evaluation) -> tuple[Control, ...]:
    """Every kind of control of every dataset that was evaluated with both; a kind is the first word of a wording's name."""
    names = [outcome.dataset for outcome in evaluation.outcomes]
    found = []
    for dataset in (name for name in names if name + SUFFIX in names):
        kinds: dict[str, paired.Scores] = {}
        for task, scores in evaluation.tasks(dataset + SUFFIX).items():
            kinds.setdefault(evaluation.results["tasks"][task]["wording"].split()[0], {})[task] = scores
        for kind, prompts in kinds.items():
            one = paired.difference(dataset, evaluation.tasks(dataset), prompts)
            if isinstance(one, paired.Difference):
                found.append(Control(dataset, kind, one))
    return tuple(found)


def section(found: Sequence[Control]) -> Section:
    """One line for a dataset and a kind."""
    lines = [
        (
            one.dataset,
            one.kind,
            str(one.difference.wordings[1]),
            percentage(one.difference.other),
            percentage(one.difference.first),
            points(one.difference.difference),
            points_range(one.difference.low, one.difference.high),
        )
        for one in found
    ]
    notes = (
        "The median of the real wordings less that of the control prompts, on the same rows with the same right answers. A "
        "model that follows its instruction loses under a misleading one; where it does not, it answers the form of the input "
        "(Webson & Pavlick 2022, arXiv 2109.01247). The prompts are ours, in their manner.",
    )
    columns = ("dataset", "control", "prompts", "control's median", "real median", "difference", "95 % interval")
    return Section("Control prompts", columns, tuple(lines), notes, names=2)
