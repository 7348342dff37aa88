"""What the wording did: how far each lies from its dataset's median, and whether a property of wordings goes with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from t0jax import rank
from t0jax.report.comparison import percentage
from t0jax.report.evaluation import Evaluation
from t0jax.report.section import Section, points, points_range

ASSOCIATIONS = "Which properties of wordings go with accuracy"
PERMUTATIONS = 2000
Properties = Mapping[str, Mapping[str, float]]
"""Task -> name of a property -> its value: 1 or 0 for what a wording does or not, else a number, as of words."""


@dataclass(frozen=True)
class Effect:
    """One wording beside the median of its dataset's wordings; shares in 0..1."""

    dataset: str
    wording: str
    task: str
    accuracy: float
    difference: float
    low: float
    high: float

    @property
    def verdict(self) -> Literal["helps", "hurts", ""]:
        """Whether the 95 % interval of the difference excludes 0, and on which side."""
        if self.low > 0:
            return "helps"
        return "hurts" if self.high < 0 else ""


@dataclass(frozen=True)
class Association:
    """Whether a property goes with accuracy within datasets."""

    name: str
    datasets: int
    """That have wordings which differ in it."""
    effect: float
    """Mean over datasets of Spearman's rank correlation of the property with the accuracy; in -1..1."""
    gain: float | None
    """For what a wording does or not: mean over datasets of the mean accuracy with less that without."""
    p: float
    """Share of permutations of the property within datasets whose effect is at least as large."""


def effects(evaluation: Evaluation) -> tuple[Effect, ...]:
    """Every wording of every dataset; a dataset's only wording has no other to differ from and is left out."""
    found = []
    for outcome in evaluation.outcomes:
        if len(outcome.wordings) < 2:
            continue
        draws = evaluation.hits[outcome.dataset].draws
        apart = draws - np.nanmedian(draws, axis=1)[:, None]
        for number, wording in enumerate(outcome.wordings):
            low, high = rank.interval(apart[~np.isnan(apart[:, number]), number])
            difference = wording.accuracy - outcome.median
            found.append(Effect(outcome.dataset, wording.name, wording.task, wording.accuracy, difference, low, high))
    return tuple(found)


def associations(evaluation: Evaluation, properties: Properties, seed: int = 0) -> tuple[Association, ...]:
    """The association of each property, over the datasets all of whose wordings have it known."""
    names = dict.fromkeys(name for known in properties.values() for name in known)
    return tuple(one for name in names if (one := _association(evaluation, properties, name, seed)))


def _association(evaluation: Evaluation, properties: Properties, name: str, seed: int) -> Association | None:
    groups: list[tuple[np.ndarray, np.ndarray]] = []
    for outcome in evaluation.outcomes:
        values = np.array([properties.get(wording.task, {}).get(name, np.nan) for wording in outcome.wordings], float)
        if not np.isnan(values).any() and len(set(values)) > 1:
            groups.append((values, np.array([wording.accuracy for wording in outcome.wordings])))
    if not groups:
        return None
    random = np.random.default_rng(seed)
    observed, chance = 0.0, np.zeros(PERMUTATIONS)
    for values, accuracies in groups:
        x, y = _unit_ranks(values), _unit_ranks(accuracies)
        observed += float(x @ y)
        chance += random.permuted(np.tile(x, (PERMUTATIONS, 1)), axis=1) @ y
    p = (1 + np.sum(np.abs(chance) >= abs(observed) - 1e-12)) / (1 + PERMUTATIONS)
    is_yes_or_no = all(set(values) <= {0.0, 1.0} for values, _ in groups)
    gains = [accuracies[values == 1].mean() - accuracies[values == 0].mean() for values, accuracies in groups if is_yes_or_no]
    return Association(name, len(groups), observed / len(groups), float(np.mean(gains)) if gains else None, float(p))


def _unit_ranks(values: Float[np.ndarray, "W"]) -> Float[np.ndarray, "W"]:
    """Ranks, the mean one for ties, with mean 0 and length 1: a product of two is Spearman's correlation. 0 where all tie."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    centred = (np.cumsum(counts) - (counts - 1) / 2)[inverse] - (len(values) + 1) / 2
    length = np.linalg.norm(centred)
    return centred / length if length else centred


def effects_section(found: Sequence[Effect]) -> Section:
    """Every wording, datasets in their order, the best first."""
    order = list(dict.fromkeys(one.dataset for one in found))
    ranked = sorted(found, key=lambda one: (order.index(one.dataset), -one.accuracy))
    lines = [
        (
            one.dataset,
            one.wording,
            percentage(one.accuracy),
            points(one.difference),
            points_range(one.low, one.high),
            one.verdict,
        )
        for one in ranked
    ]
    notes = (
        "The difference is to the dataset's median over wordings. A wording helps or hurts when the whole 95 % interval lies "
        "on one side of 0; of wordings that do neither, one in twenty is called so by chance.",
    )
    columns = ("dataset", "wording", "accuracy", "to the median", "95 % interval", "")
    return Section("Which wordings help and hurt", columns, tuple(lines), notes, names=2, is_detail=True)


def associations_section(found: Sequence[Association]) -> Section:
    """One line a property."""
    lines = [
        (one.name, str(one.datasets), f"{one.effect:+.2f}", "" if one.gain is None else points(one.gain), f"{one.p:.3f}")
        for one in found
    ]
    notes = (
        "Within datasets: the mean of Spearman's correlations of the property with the accuracy, and the mean accuracy of "
        "the wordings that have it less that of the others, in points. p: how often chance gives as much when the property is "
        "dealt out anew among the wordings of each dataset. Wordings differ in much else, so this shows no cause.",
    )
    columns = ("property of a wording", "datasets", "correlation", "with less without", "p")
    return Section(ASSOCIATIONS, columns, tuple(lines), notes)
