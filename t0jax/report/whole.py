"""All that a report says, worked out once: the terminal, Markdown, JSON and the page then show it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from t0jax.report import agreement, calibration, controls, paired, published, wordings
from t0jax.report.comparison import Comparisons, Mark
from t0jax.report.completeness import Expected, gaps
from t0jax.report.evaluation import Evaluation, compare
from t0jax.report.section import Section

Further = dict[str, dict[str, Any]]
"""By dataset, what JSON says besides the outcome."""


@dataclass(frozen=True)
class Known:
    """What the tables and templates say of what was evaluated, as far as they are there."""

    expected: Mapping[str, Expected]
    properties: wordings.Properties
    why_no_properties: str = ""


@dataclass(frozen=True)
class Report:
    """The first evaluation beside the others and beside what was published."""

    first: Evaluation
    warnings: tuple[str, ...]
    answers: tuple[str, ...]
    """For each source of published numbers, whether they were reproduced."""
    comparisons: Comparisons
    sections: tuple[Section, ...]
    further: Further


def report(evaluations: Sequence[Evaluation], known: Known, model: str | None = None) -> Report:
    """Set the first evaluation beside the others and, if `model` is given, beside its published numbers."""
    first, *others = evaluations
    warnings = [note for evaluation in evaluations for note in evaluation.warnings]
    warnings += [f"{e.label}: {what}" for e in evaluations if (what := gaps(e.outcomes, known.expected))]
    comparisons = compare(evaluations)
    further: Further = defaultdict(dict)
    sections: list[Section] = []
    answers: list[str] = []
    if model is not None:
        found = published.reproductions(first, published.published_of(model), known.expected)
        answers = [published.sentence(one, f"the published {model} ({one.source})") for one in published.overall(found)]
        sections += _published(found, model, further)
        comparisons = {**comparisons, **_marks(first, model)}
        warnings += _not_evaluated(first, model)
    for other in others:
        differences, said = paired.differences(first, other)
        warnings += said
        sections += _differences(differences, (first.label, other.label), further)
    sections += [*_controls(first, further), *_agreement(first, further), *_properties(first, known)]
    sections += [*_calibration(first, further), *_effects(first, known, further)]
    for outcome in first.outcomes:
        further[outcome.dataset]["warnings"] = warnings
    return Report(first, tuple(warnings), tuple(answers), comparisons, tuple(sections), further)


def _published(found: Sequence[published.Reproduction], model: str, further: Further) -> list[Section]:
    means = [{**asdict(one), "verdict": one.verdict} for one in published.overall(found)]
    for line in found:
        for dataset in published.ROUNDS.get(line.published.dataset, (line.published.dataset,)):
            further[dataset].setdefault("published", []).append(line.as_json())
            further[dataset]["published_overall"] = means
    return published.sections(found, model)


def _marks(first: Evaluation, model: str) -> Comparisons:
    """The published medians, or means where no medians are known, for the picture and the first table."""
    lines = published.published_of(model)
    there = {outcome.dataset for outcome in first.outcomes}
    for statistic in ("median", "mean"):
        chosen = [line for line in reversed(lines) if line.statistic == statistic and line.dataset in there]
        if chosen:
            return {f"published {statistic}": {line.dataset: Mark(line.value) for line in chosen}}
    return {}


def _not_evaluated(first: Evaluation, model: str) -> list[str]:
    """That published numbers have no counterpart, of the evaluations that T0 made: held out, and bias."""
    lines = published.published_of(model)
    there = {outcome.dataset for outcome in first.outcomes}
    splits = {line.split for line in lines if there & set(published.ROUNDS.get(line.dataset, (line.dataset,)))}
    if not splits:
        return [f"{first.label}: no dataset of it is among the published numbers of {model}"]
    wanted = dict.fromkeys(line.dataset for line in lines if line.split in splits and line.dataset not in published.ROUNDS)
    lacking = [name for name in wanted if name not in there]
    return [f"{first.label}: published for {model}, but not evaluated: {', '.join(lacking)}"] if lacking else []


def _differences(found: Sequence[paired.Difference], labels: tuple[str, str], further: Further) -> list[Section]:
    for one in found:
        row = {**asdict(one), "difference": one.difference, "verdict": one.verdict}
        further[one.dataset].setdefault("differences", {})[labels[1]] = row
    return [paired.section(found, labels)] if found else []


def _controls(first: Evaluation, further: Further) -> list[Section]:
    found = controls.controls(first)
    for one in found:
        row = {**asdict(one.difference), "difference": one.difference.difference, "verdict": one.difference.verdict}
        further[one.dataset].setdefault("controls", {})[one.kind] = row
    return [controls.section(found)] if found else []


def _agreement(first: Evaluation, further: Further) -> list[Section]:
    found = agreement.agreements(first)
    for one in found:
        further[one.dataset]["agreement"] = {**asdict(one), "flipping": one.flipping}
    return [agreement.section(found)] if found else []


def _properties(first: Evaluation, known: Known) -> list[Section]:
    if found := wordings.associations(first, known.properties):
        return [wordings.associations_section(found)]
    notes = (known.why_no_properties,)
    return [Section(wordings.ASSOCIATIONS, ("property of a wording",), (), notes)] if known.why_no_properties else []


def _calibration(first: Evaluation, further: Further) -> list[Section]:
    found, left_out = calibration.calibrations(first)
    for one in found:
        further[one.dataset]["calibration"] = {**asdict(one), "gain": one.gain}
    return [calibration.section(found, left_out)] if found else []


def _effects(first: Evaluation, known: Known, further: Further) -> list[Section]:
    found = wordings.effects(first)
    for one in found:
        row = {**asdict(one), "verdict": one.verdict, "properties": dict(known.properties.get(one.task, {}))}
        further[one.dataset].setdefault("effects", []).append(row)
    return [wordings.effects_section(found)] if found else []
