"""Which prompted tasks exist, and which mixtures hold them at what rate: what T0 decided, and what a user adds."""

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from t0jax import street
from t0jax.config import DataConfig
from t0jax.data import combining
from t0jax.data.rates import MAX_EXAMPLES_PER_DATASET, cap_rule
from t0jax.data.tabled import Tabled
from t0jax.data.tables import DatasetLine, FrozenTemplate, MemberLine, MixtureLine
from t0jax.errors import InputError, did_you_mean

SCORE_EVAL = "_score_eval"


@dataclass(frozen=True)
class PromptedTask:
    """One dataset under one wording, as training draws it, or its `_score_eval` twin for rank classification."""

    name: str
    dataset: str
    subset: str | None
    template: str
    family: str
    rate: float
    """How often a mixture draws it, relative to the others. Evaluation does not mix: there it is 1."""
    train_size: int
    """Rows of the training split, as the table has it; 0 where it says nothing."""
    original_task: bool
    has_choices: bool
    metrics: tuple[str, ...]
    """By promptsource's names: how an answer is measured where there are no choices."""
    splits: Mapping[str, str] = field(hash=False)
    """The task's splits, each with the dataset's split whose rows it takes."""
    templates: str | None = None
    """The folder of its template file; None: promptsource's."""

    @property
    def is_scored(self) -> bool:
        """Whether this is a `_score_eval` twin."""
        return self.name.endswith(SCORE_EVAL)

    def source(self, split: str) -> str:
        """The dataset's split whose rows a split of the task takes. InputError when the task has no such split."""
        if split not in self.splits:
            raise InputError(f"The task {self.name} has no split {split!r}; it has {', '.join(self.splits)}.")
        return self.splits[split]


class Universe:
    """The tasks and mixtures of t0jax's own tables and of further folders of tables. InputError where two disagree."""

    def __init__(self, folders: Sequence[Path], rule: str | None = None) -> None:
        """Rates by the cap rule `rule`, or by each mixture's own."""
        self._folders = [Tabled(folder, is_own=not number) for number, folder in enumerate(folders)]
        self._rule = rule
        if rule is not None:
            cap_rule(rule)
        self._resolved: dict[str, tuple[PromptedTask, ...]] = {}

    def mixture_names(self) -> tuple[str, ...]:
        """All mixtures, in the order of the tables."""
        return (*self._mixtures, *self._members)

    def task_names(self) -> tuple[str, ...]:
        """All prompted tasks of all tables, `_score_eval` twins included, sorted."""
        return tuple(sorted(self._tasks))

    def task(self, name: str) -> PromptedTask:
        """A task or twin by its name, as T0's own table has it if several tables do. InputError when unknown."""
        if name not in self._tasks:
            near = did_you_mean(name, self._tasks)
            raise InputError(f"There is no task {name!r}.{near} `t0jax tasks` lists them all.")
        return self._tasks[name]

    def mixture_tasks(self, name: str) -> tuple[PromptedTask, ...]:
        """The tasks with their rates of a mixture, of a dataset (`imdb`, `imdb_score_eval`), or the one task of that name.

        InputError when there is none, when mixtures hold each other in a circle, and for a dataset that trains without a size.
        """
        if name not in self._resolved:
            self._resolved[name] = self._resolve(name, ())
        return self._resolved[name]

    def datasets(self) -> tuple[tuple[str, str | None], ...]:
        """Every (dataset, subset) of every table, sorted."""
        keys = {(line.dataset, line.subset) for _, line in self._lines()}
        return tuple(sorted(keys, key=lambda key: (key[0], key[1] or "")))

    def _resolve(self, name: str, above: tuple[str, ...], place: str = "") -> tuple[PromptedTask, ...]:
        """The tasks of `name`, a member of the mixtures `above` by the line at `place`."""
        if name in above:
            circle = " -> ".join((*above[above.index(name) :], name))
            raise InputError(f"{place}: the mixture {name} holds itself ({circle}): take one of these members out.")
        if name in self._members:
            parts = [(line, self._resolve(line.member, (*above, name), line.place)) for line in self._members[name]]
            return combining.combine(name, parts)
        if name in self._mixtures:
            return self._selected(*self._mixtures[name])
        if name in self._tasks:
            return (self._tasks[name],)
        if name in self._by_dataset:
            return tuple(self._by_dataset[name])
        known = (*self.mixture_names(), *self._tasks, *self._by_dataset)
        where = f"{place}: there is" if place else "There is"
        own = "" if len(self._folders) > 1 else " Your own tables need --tables or --gin.TABLES."
        raise InputError(f"{where} no mixture or task {name!r}.{did_you_mean(name, known)} `t0jax tasks` lists the tasks.{own}")

    def _selected(self, folder: Tabled, line: MixtureLine) -> tuple[PromptedTask, ...]:
        is_training, chosen = line.role == "train", []
        for dataset in folder.table(line.table):
            role = dataset.eval_in if line.role == "eval_score_eval" else dataset.train_in
            if role not in line.datasets:
                continue
            if is_training and not dataset.train_size:
                raise InputError(
                    f"{dataset.place}: {line.mixture} trains {dataset.dataset}; give train_size, its number of rows."
                )
            prompted = list(self._prompted(folder, dataset, line.cap, line.rule))
            prompted = [item for item in prompted if item.original_task or line.prompts == "all"]
            if line.prompts == "one_original":
                prompted = prompted[:1]
            chosen += prompted if is_training else [_twin(item) for item in prompted if item.has_choices]
        if not chosen:
            column = "eval_in" if line.role == "eval_score_eval" else "train_in"
            raise InputError(
                f"{line.place}: {line.mixture} has no task: no dataset of {line.table}.csv has {' or '.join(line.datasets)} in "
                f"{column} and templates that it takes."
            )
        return tuple(item for item in chosen if not self._is_excluded(line.mixture, item))

    def _prompted(self, folder: Tabled, line: DatasetLine, cap: int = 0, rule: str = "released") -> Iterator[PromptedTask]:
        """A task per template of a dataset, in the order of their names."""
        frozen, templates = self._templates(folder, line)
        if not frozen and not folder.is_own:
            raise InputError(
                f"{line.place}: there are no templates for {line.dataset}: put them at {folder.template_file(line)}."
            )
        rate = cap_rule(self._rule or rule)(line.train_size, len(frozen), cap or MAX_EXAMPLES_PER_DATASET) if frozen else 0
        for template in frozen:
            yield PromptedTask(
                name=task_name(line.dataset, line.subset, template.template) + line.suffix,
                dataset=line.dataset,
                subset=line.subset,
                template=template.template,
                family=line.family,
                rate=rate,
                train_size=line.train_size,
                original_task=template.original_task,
                has_choices=template.has_choices,
                metrics=template.metrics,
                splits=line.splits,
                templates=templates,
            )

    def _templates(self, folder: Tabled, line: DatasetLine) -> tuple[Sequence[FrozenTemplate], str | None]:
        """The templates of a dataset, and the folder where a user's lie."""
        if own := folder.own_templates(line):
            return own, str(folder.templates_folder)
        return self._folders[0].frozen.get((line.dataset, line.subset)) or folder.promptsource_templates(line), None

    def _lines(self) -> Iterator[tuple[Tabled, DatasetLine]]:
        return ((folder, line) for folder in self._folders for table in folder.table_names for line in folder.table(table))

    @functools.cached_property
    def _tasks(self) -> dict[str, PromptedTask]:
        tasks: dict[str, PromptedTask] = {}
        places: dict[str, str] = {}
        for folder, line in self._lines():
            for item in self._prompted(folder, line):
                for one in (item, _twin(item)) if item.has_choices else (item,):
                    first = tasks.setdefault(one.name, one)
                    place = places.setdefault(one.name, line.place)
                    _check_is_one(first, one, place, line.place)
        return tasks

    @functools.cached_property
    def _by_dataset(self) -> dict[str, list[PromptedTask]]:
        """`imdb` and `super_glue_rte`: the wordings of a dataset; with `_score_eval`, their twins."""
        found: dict[str, list[PromptedTask]] = {}
        for item in self._tasks.values():
            name = f"{item.dataset}_{item.subset}" if item.subset else item.dataset
            if not self._is_excluded("", item):
                found.setdefault(name + SCORE_EVAL * item.is_scored, []).append(item)
        return found

    @functools.cached_property
    def _mixtures(self) -> dict[str, tuple[Tabled, MixtureLine]]:
        mixtures: dict[str, tuple[Tabled, MixtureLine]] = {}
        for folder in self._folders:
            for line in folder.mixtures:
                if line.mixture in mixtures:
                    raise _two("mixtures", line.mixture, mixtures[line.mixture][1].place, line.place)
                mixtures[line.mixture] = (folder, line)
        return mixtures

    @functools.cached_property
    def _members(self) -> dict[str, list[MemberLine]]:
        members: dict[str, list[MemberLine]] = {}
        for folder in self._folders:
            for line in folder.members:
                if line.mixture in self._mixtures:
                    raise _two("mixtures", line.mixture, self._mixtures[line.mixture][1].place, line.place)
                members.setdefault(line.mixture, []).append(line)
        return members

    def _is_excluded(self, mixture: str, item: PromptedTask) -> bool:
        """Whether an exclusions.csv names the task, or the task whose twin it is, for this mixture or for all of them."""
        names = (item.name, item.name.removesuffix(SCORE_EVAL))
        exclusions = (exclusion for folder in self._folders for exclusion in folder.exclusions)
        return any(where in ("*", mixture) and fnmatchcase(name, pattern) for where, pattern in exclusions for name in names)


@functools.cache
def universe_of(tables: tuple[str, ...] = (), rule: str | None = None) -> Universe:
    """t0jax's own tables and those of the user's folders `tables`, with the cap rule `rule` or each mixture's own."""
    return Universe([street.mixtures_folder(), *map(Path, dict.fromkeys(tables))], rule)


def with_splits(tasks: Sequence[PromptedTask], splits: Sequence[str]) -> tuple[tuple[PromptedTask, ...], tuple[str, ...]]:
    """The tasks that have one of these splits, and the names of those that have none: SeqIO passes over them in a mixture."""
    lacking = tuple(task.name for task in tasks if not set(splits) & set(task.splits))
    return tuple(task for task in tasks if task.name not in lacking), lacking


def tasks_of(data: DataConfig) -> tuple[PromptedTask, ...]:
    """The tasks with their rates that a run reads."""
    return universe_of(data.tables, data.cap_rule).mixture_tasks(data.mixture_or_task_name)


def mixture_names() -> tuple[str, ...]:
    """All mixtures of t0jax's own tables."""
    return universe_of().mixture_names()


def task_names() -> tuple[str, ...]:
    """All tasks of t0jax's own tables."""
    return universe_of().task_names()


def task(name: str) -> PromptedTask:
    """A task of t0jax's own tables."""
    return universe_of().task(name)


def mixture_tasks(name: str) -> tuple[PromptedTask, ...]:
    """The tasks of a mixture of t0jax's own tables."""
    return universe_of().mixture_tasks(name)


def task_name(dataset: str, subset: str | None, template: str) -> str:
    """T0's name of a prompted task: letters, digits, dots and underscores; runs of others become one underscore."""
    return re.sub(r"[^\w.]+", "_", f"{dataset}_{subset}_{template}" if subset else f"{dataset}_{template}")


def _twin(item: PromptedTask) -> PromptedTask:
    return replace(item, name=item.name + SCORE_EVAL, rate=1)


def _check_is_one(first: PromptedTask, again: PromptedTask, place: str, other: str) -> None:
    """The same wording of the same dataset may stand in several tables, not twice in one, nor another under its name."""
    if first is again:
        return
    is_same = (first.dataset, first.subset, first.template, first.templates) == (
        again.dataset,
        again.subset,
        again.template,
        again.templates,
    )
    if place == other and first.template != again.template:
        both = f"{first.template!r} and {again.template!r}"
        raise InputError(f"{place}: the templates {both} of {first.dataset} both make the task {first.name}: rename one.")
    if not is_same or place.rpartition(",")[0] == other.rpartition(",")[0]:
        raise _two("tasks", first.name, place, other)


def _two(kind: str, name: str, place: str, other: str) -> InputError:
    return InputError(f"Two {kind} are called {name}: {place} and {other}. Rename one, or give its line a suffix.")
