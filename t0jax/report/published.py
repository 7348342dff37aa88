"""Published numbers beside ours: the difference, and whether it says that they were reproduced."""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import hypot
from typing import Any, Literal

import numpy as np

from t0jax import rank, street
from t0jax.errors import InputError, did_you_mean
from t0jax.report.comparison import percentage
from t0jax.report.completeness import Expected, gap
from t0jax.report.evaluation import Evaluation
from t0jax.report.section import Section, points, points_range

TOLERANCES = {"3B": 0.04, "11B": 0.015}
"""How far two evaluations of one released checkpoint lie apart, by size: at 3B RTE is 60.61 in one paper and 64.6 on another's
model card, at 11B COPA is 90.02 and 91.5. Nobody can ask for more of a reproduction."""
ROUNDS = {"anli": ("anli/r1", "anli/r2", "anli/r3")}
"""Published as one number, evaluated as several datasets."""
Verdict = Literal["reproduced", "not reproduced", "cannot tell"]


@dataclass(frozen=True)
class Published:
    """One number from a paper or a model card."""

    model: str
    size: str
    dataset: str
    split: str
    statistic: str
    """`mean` or `median` over wordings, or `wording`: one wording alone."""
    wording: str
    value: float
    """A share in 0..1."""
    source: str

    @property
    def tolerance(self) -> float:
        """How far from it an evaluation may lie and still be called the same."""
        return TOLERANCES[self.size]


@dataclass(frozen=True)
class Reproduction:
    """A published number, ours with its 95 % interval, and what that says; all shares in 0..1."""

    published: Published
    ours: float
    low: float
    high: float
    lack: str
    """Why the two are not to be compared; empty when they are."""

    @property
    def difference(self) -> float:
        """Ours less the published one."""
        return self.ours - self.published.value

    @property
    def verdict(self) -> Verdict:
        """`reproduced` when the whole interval lies within the tolerance, `not reproduced` when it lies outside."""
        if self.lack:
            return "cannot tell"
        return judge(self.low - self.published.value, self.high - self.published.value, self.published.tolerance)

    @property
    def reason(self) -> str:
        """Why it cannot be told; empty when it can."""
        if self.verdict != "cannot tell" or self.lack:
            return self.lack
        is_wide = (self.high - self.low) / 2 > self.published.tolerance
        return "interval wider than the tolerance" if is_wide else "interval crosses the tolerance"

    def as_json(self) -> dict[str, Any]:
        """As JSON values, what is derived included."""
        fields = {name: value for name, value in vars(self).items() if name not in ("published", "lack")}
        derived = {"difference": self.difference, "tolerance": self.published.tolerance}
        return {**asdict(self.published), **fields, **derived, "verdict": self.verdict, "reason": self.reason}


def judge(low: float, high: float, tolerance: float) -> Verdict:
    """What the interval `low` to `high` of a difference says: the two one-sided tests of equivalence, as an interval."""
    if -tolerance <= low and high <= tolerance:
        return "reproduced"
    return "not reproduced" if low > tolerance or high < -tolerance else "cannot tell"


def read_published() -> tuple[Published, ...]:
    """The table `mixtures/published.csv`, in its order."""
    path = street.mixtures_folder() / "published.csv"
    with open(path, encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    return tuple(Published(**{**line, "value": float(line["value"]) / 100}) for line in lines)  # type: ignore[arg-type]


def published_of(model: str) -> tuple[Published, ...]:
    """The published numbers of a model, by its name in the table. InputError when there is none of it."""
    table = read_published()
    names = tuple(dict.fromkeys(line.model for line in table))
    if model not in names:
        near = did_you_mean(model, names)
        raise InputError(f"No numbers of {model!r} are known.{near} Published numbers are there of {', '.join(names)}.")
    return tuple(line for line in table if line.model == model)


def reproductions(
    evaluation: Evaluation, published: Iterable[Published], expected: Mapping[str, Expected] | None = None
) -> tuple[Reproduction, ...]:
    """The published numbers of the datasets that were evaluated, beside ours; `expected` says what a whole dataset is."""
    outcomes = {outcome.dataset: outcome for outcome in evaluation.outcomes}
    found = []
    for line in published:
        members = [outcomes.get(name) for name in ROUNDS.get(line.dataset, (line.dataset,))]
        whole = [outcome for outcome in members if outcome is not None]
        parts = [part for outcome in whole if (part := _ours(evaluation, outcome, line))]
        if len(parts) < len(members):
            continue
        ours = float(np.mean([part[0] for part in parts]))
        down, up = (hypot(*(part[0] - part[1] for part in parts)), hypot(*(part[2] - part[0] for part in parts)))
        lacks = [_lack(evaluation, outcome, line, expected or {}) for outcome in whole]
        lack = next(filter(None, lacks), "")
        found.append(Reproduction(line, ours, ours - down / len(parts), ours + up / len(parts), lack))
    return tuple(found)


def _ours(evaluation: Evaluation, outcome: rank.DatasetOutcome, line: Published) -> tuple[float, float, float] | None:
    """Our value of the statistic with its interval; None for a wording that was not evaluated."""
    if line.statistic == "mean":
        return outcome.mean, outcome.mean_low, outcome.mean_high
    if line.statistic == "median":
        return outcome.median, outcome.low, outcome.high
    names = [wording.name for wording in outcome.wordings]
    if line.wording not in names:
        return None
    number = names.index(line.wording)
    draws = evaluation.hits[outcome.dataset].draws[:, number]
    return outcome.wordings[number].accuracy, *rank.interval(draws[~np.isnan(draws)])


def _lack(evaluation: Evaluation, outcome: rank.DatasetOutcome, line: Published, expected: Mapping[str, Expected]) -> str:
    results, whole = evaluation.results, expected.get(outcome.dataset)
    if any(f"{outcome.dataset}/".startswith(f"{name}/") for name in results.get("trained_on") or []):
        return "trained on it"
    if (split := results.get("split")) not in (None, line.split):
        return f"scored on {split}, published for {line.split}"
    if whole is None:
        return ""
    return gap(outcome, Expected(0, whole.rows) if line.statistic == "wording" else whole)


@dataclass(frozen=True)
class Overall:
    """The mean difference over the datasets of one source and statistic, with its 95 % interval."""

    statistic: str
    source: str
    datasets: int
    difference: float
    low: float
    high: float
    tolerance: float

    @property
    def verdict(self) -> Verdict:
        """As for one dataset."""
        return judge(self.low, self.high, self.tolerance)


def overall(found: Sequence[Reproduction]) -> tuple[Overall, ...]:
    """The mean over all datasets that can be compared, for every source and statistic with at least two of them.

    The datasets' rows are drawn apart, so the interval's arms are the root of the summed squares of theirs, divided by n.
    """
    groups: dict[tuple[str, str], list[Reproduction]] = {}
    for one in found:
        if not one.lack and one.published.statistic != "wording":
            groups.setdefault((one.published.statistic, one.published.source), []).append(one)
    means = []
    for (statistic, source), ones in groups.items():
        if len(ones) < 2:
            continue
        difference, n = float(np.mean([one.difference for one in ones])), len(ones)
        down, up = hypot(*(one.ours - one.low for one in ones)) / n, hypot(*(one.high - one.ours for one in ones)) / n
        arms = difference - down, difference + up
        means.append(Overall(statistic, source, n, difference, *arms, ones[0].published.tolerance))
    return tuple(means)


def sections(found: Sequence[Reproduction], model: str) -> list[Section]:
    """The published numbers beside ours, means and medians first, single wordings as a detail."""
    made = []
    for is_wording in (False, True):
        chosen = [one for one in found if (one.published.statistic == "wording") == is_wording]
        if chosen:
            made.append(_section(chosen, model, is_wording=is_wording))
    return made


def _section(found: Sequence[Reproduction], model: str, *, is_wording: bool) -> Section:
    sources = list(dict.fromkeys(one.published.source for one in found))
    lines = [
        (
            one.published.dataset,
            one.published.wording or one.published.statistic,
            f"[{sources.index(one.published.source) + 1}]",
            percentage(one.published.value),
            percentage(one.ours),
            points(one.difference),
            points_range(one.low - one.published.value, one.high - one.published.value),
            one.verdict + (f": {one.reason}" if one.reason else ""),
        )
        for one in found
    ]
    tolerance = found[0].published.tolerance
    means = overall(found)
    notes = [sentence(one, f"[{sources.index(one.source) + 1}]") for one in means]
    notes += [
        f"Reproduced: the whole 95 % interval of the difference lies within {100 * tolerance:g} points, which is how far two "
        f"evaluations of one checkpoint of this size lie apart. Not reproduced: all of it lies outside. The interval is over "
        "rows of ours; the published number has one of its own that nobody gave.",
        *(("Nobody published one wording of one checkpoint twice: the tolerance is that of means.",) if is_wording else ()),
        *(f"[{number}] {source}" for number, source in enumerate(sources, start=1)),
    ]
    answers = ", ".join(f"[{sources.index(one.source) + 1}] {one.verdict}" for one in means)
    title = f"Beside the published {model}" + (", one wording at a time" if is_wording else f": {answers}" if answers else "")
    columns = ("dataset", "statistic", "source", "published", "ours", "difference", "95 % interval", "verdict")
    return Section(title, columns, tuple(lines), tuple(notes), names=2, is_detail=is_wording)


def sentence(one: Overall, source: str) -> str:
    """The answer in words."""
    said = {"reproduced": "reproduced", "not reproduced": "not reproduced", "cannot tell": "it cannot be told"}[one.verdict]
    return (
        f"The mean difference of the {one.statistic} over {one.datasets} datasets to {source} is {points(one.difference)} "
        f"points ({points_range(one.low, one.high)}): {said}."
    )
