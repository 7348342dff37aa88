"""All that a report says, worked out once: the terminal, Markdown, JSON and the page then show it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from t0jax.report import agreement, calibration, paired, published, wordings
from t0jax.report.comparison import Comparisons
from t0jax.report.completeness import Expected, gaps
from t0jax.report.evaluation import Evaluation, compare
from t0jax.report.section import Section


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
    comparisons: Comparisons
    sections: tuple[Section, ...]
    further: Mapping[str, Mapping[str, Any]]
    """By dataset, what JSON says besides the outcome."""


def report(evaluations: Sequence[Evaluation], known: Known, model: str | None = None) -> Report:
    """Set the first evaluation beside the others and, if `model` is given, beside its published numbers."""
    first, *others = evaluations
    warnings = [note for evaluation in evaluations for note in evaluation.warnings]
    warnings += [f"{e.label}: {what}" for e in evaluations if (what := gaps(e.outcomes, known.expected))]
    comparisons = compare(evaluations)
    further: dict[str, dict[str, Any]] = defaultdict(dict)
    sections: list[Section] = []
    if model is not None:
        found = published.reproductions(first, published.published_of(model), known.expected)
        sections += published.sections(found, model)
        means = [{**asdict(one), "verdict": one.verdict} for one in published.overall(found)]
        for line in found:
            for dataset in published.ROUNDS.get(line.published.dataset, (line.published.dataset,)):
                further[dataset].setdefault("published", []).append(line.as_json())
                further[dataset]["published_overall"] = means
        if not found:
            warnings.append(f"{first.label}: no dataset of it is among the published numbers of {model}")
    for other in others:
        differences, said = paired.differences(first, other)
        warnings += said
        if differences:
            sections.append(paired.section(differences, (first.label, other.label)))
        for difference in differences:
            row = {**asdict(difference), "difference": difference.difference, "verdict": difference.verdict}
            further[difference.dataset].setdefault("differences", {})[other.label] = row
    sections += _of_wordings(first, known, further)
    for outcome in first.outcomes:
        further[outcome.dataset]["warnings"] = warnings
    return Report(first, tuple(warnings), comparisons, tuple(sections), further)


def _of_wordings(first: Evaluation, known: Known, further: dict[str, dict[str, Any]]) -> list[Section]:
    """What the wording did."""
    effects, agreed = wordings.effects(first), agreement.agreements(first)
    associated = wordings.associations(first, known.properties)
    calibrated, left_out = calibration.calibrations(first)
    for effect in effects:
        row = {**asdict(effect), "verdict": effect.verdict, "properties": dict(known.properties.get(effect.task, {}))}
        further[effect.dataset].setdefault("effects", []).append(row)
    for one in agreed:
        further[one.dataset]["agreement"] = {**asdict(one), "flipping": one.flipping}
    for corrected in calibrated:
        further[corrected.dataset]["calibration"] = {**asdict(corrected), "gain": corrected.gain}
    made = []
    if agreed:
        made.append(agreement.section(agreed))
    if associated:
        made.append(wordings.associations_section(associated))
    elif known.why_no_properties:
        title = "Which properties of wordings go with accuracy"
        made.append(Section(title, ("property of a wording",), (), (known.why_no_properties,)))
    if calibrated:
        made.append(calibration.section(calibrated, left_out))
    if effects:
        made.append(wordings.effects_section(effects))
    return made
