"""Lint: every wording of some tasks against the rows of their datasets, a dataset at a time, over all cores."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from t0jax.data.lint import leaks, syntax, texts
from t0jax.data.lint.answers import AnswerFinder
from t0jax.data.lint.finding import Finding, Said, Tally
from t0jax.data.lint.sight import Row, Sight, look
from t0jax.data.lint.texts import Lengths
from t0jax.data.processes import run_units
from t0jax.data.prompting import task_templates
from t0jax.data.schemas import schema
from t0jax.data.sources.places import Places, open_split
from t0jax.data.sources.split import MissingRowsError
from t0jax.data.universe import SCORE_EVAL, PromptedTask, task_name
from t0jax.data.vocabulary import Vocabulary
from t0jax.errors import InputError
from t0jax.prompts.render import Prompted
from t0jax.prompts.templates import Template, load_templates


@dataclass(frozen=True, kw_only=True)
class LintConfig:
    """Which rows are looked at, and how long texts may be."""

    places: Places
    split: str | None = None
    """None: the first of train, validation and test that has rows."""
    num_rows: int = 1000
    """Of each split at most so many, evenly over it: files are often sorted by label."""
    vocabulary: str | None = None
    """None: lengths are estimated."""
    inputs_length: int = 1024
    targets_length: int = 256


@dataclass(frozen=True)
class Linted:
    """One dataset's findings, and what was seen of it."""

    tasks: tuple[str, ...]
    split: str | None
    rows: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Unit:
    """The tasks of one dataset that take the same rows."""

    tasks: tuple[PromptedTask, ...]
    config: LintConfig
    splits: tuple[str, ...]
    """Which splits to look at; the first that has rows is."""

    @property
    def size(self) -> int:
        """Steps of progress: tasks."""
        return len(self.tasks)


def lint(tasks: Sequence[PromptedTask], config: LintConfig) -> list[Linted]:
    """The findings of each dataset; `_score_eval` twins are looked at as the tasks whose twins they are.

    Where no source has rows the templates alone are looked at. InputError for a split that no task has, and for a row or a
    template file that cannot be read.
    """
    if config.split and not any(config.split in task.splits for task in tasks):
        tasks[0].source(config.split)
    order = ("validation", "test", "train") if all(task.is_scored for task in tasks) else ("train", "validation", "test")
    groups: dict[tuple[Any, ...], dict[str, PromptedTask]] = {}
    for task in tasks:
        base = dataclasses.replace(task, name=task.name.removesuffix(SCORE_EVAL))
        key = (task.dataset, task.subset, task.templates, tuple(task.splits.items()))
        groups.setdefault(key, {})[base.name] = base
    units = []
    for group in groups.values():
        known = next(iter(group.values())).splits
        wanted = (config.split,) if config.split else (*order, *known)
        units.append(Unit(tuple(group.values()), config, tuple(dict.fromkeys(name for name in wanted if name in known))))
    return run_units(_lint, units, "lint: tasks")


def _lint(unit: Unit, advance: Callable[[int], None]) -> Linted:
    first = unit.tasks[0]
    templates = load_templates(first.dataset, first.subset, Path(first.templates) if first.templates else None)
    split, rows = _rows(unit, list(templates.values()))
    lengths, copies = _lengths(unit.config), Copies(list(templates.values()))
    findings: list[Finding] = []
    for template in templates.values():
        name = task_name(first.dataset, first.subset, template.name)
        findings += (said.of(name, None) for said in syntax.check_name(template))
    for task, template in zip(unit.tasks, task_templates(unit.tasks), strict=True):
        findings += _of_task(task, template, split, rows, (lengths, copies))
        advance(1)
    return Linted(tuple(task.name for task in unit.tasks), split, len(rows), tuple(findings))


def _of_task(
    task: PromptedTask, template: Template, split: str | None, rows: Sequence[Row], shared: tuple[Lengths, "Copies"]
) -> Iterator[Finding]:
    lengths, copies = shared
    try:
        read = syntax.read(template)
        fit = [row for row in rows if isinstance(row.values, Prompted) or not syntax.lacks_field(read, row.values)]
        sights = look(task, template, fit, split or "", draws=read.draws)
    except InputError as error:
        yield Said("syntax", "error", Tally(), str(error)).of(task.name, None)
        return
    alone = [*syntax.check_internals(read), *copies.check(template, sights)]
    if not rows and (fields := _fields(task)):
        alone += syntax.check_schema(read, fields)
    yield from (said.of(task.name, None) for said in alone)
    on_rows = [*syntax.check_fields(read, rows)]
    on_rows += [*texts.check_rendering(sights), *texts.check_choices(sights), *texts.check_labels(sights)]
    on_rows += [*texts.check_lengths(sights, lengths), *leaks.check_leaks(sights), *leaks.check_verdicts(sights)]
    on_rows += [*leaks.check_draws(sights), *leaks.check_places(sights)]
    yield from (said.of(task.name, split) for said in on_rows)


class Copies:
    """Wordings that say what another one of the dataset says already."""

    def __init__(self, templates: Sequence[Template]):
        self._texts = syntax.same_texts(templates)
        self._digests: dict[str, str] = {}

    def check(self, template: Template, sights: Sequence[Sight]) -> Iterator[Said]:
        """Whether the template's text is an earlier one's, or all that it renders is."""
        made = [(sight.prompted.inputs, sight.prompted.targets) for sight in sights if sight.prompted]
        digest = hashlib.sha256(json.dumps(made).encode()).hexdigest()
        first = self._texts.get(template.name) or (self._digests.setdefault(digest, template.name) if made else template.name)
        if first != template.name:
            yield Said("duplicate", "warning", Tally(), f"It is the wording {first!r} again: take one of them out.")


def _rows(unit: Unit, templates: Sequence[Template]) -> tuple[str | None, list[Row]]:
    """Rows spread evenly over the first split that has any, with their answers; none where no source has the dataset."""
    for split in unit.splits:
        try:
            found = open_split(unit.config.places, unit.tasks[0], split)
        except MissingRowsError:
            continue
        if count := min(unit.config.num_rows, found.num_rows):
            chosen = {number * found.num_rows // count for number in range(count)}
            find = AnswerFinder(templates)
            taken = ((number, values) for number, values in enumerate(found.read()) if number in chosen)
            return split, [Row(n, values, None if isinstance(values, Prompted) else find(values, n)) for n, values in taken]
    return None, []


def _fields(task: PromptedTask) -> Mapping[str, Any] | None:
    """The fields of a dataset by its schema; None for a user's."""
    try:
        return schema(task.dataset, task.subset).fields
    except InputError:
        return None


def _lengths(config: LintConfig) -> Lengths:
    if config.vocabulary is None:
        return Lengths(config.inputs_length, config.targets_length, texts.estimate, is_estimate=True)
    vocabulary = Vocabulary(config.vocabulary)

    def count(of: Sequence[str]) -> list[int]:
        return [len(tokens) for tokens in vocabulary.encode(of)]

    return Lengths(config.inputs_length, config.targets_length, count, is_estimate=False)
