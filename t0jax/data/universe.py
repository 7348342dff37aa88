"""What T0 decided, read from the tables in mixtures/: which prompted tasks exist, and which mixtures hold them at what rate."""

import csv
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from t0jax import street
from t0jax.errors import InputError, did_you_mean

SCORE_EVAL = "_score_eval"
MAX_EXAMPLES_PER_DATASET = 500_000
_SPLITS = {"train": "train", "validation": "validation", "test": "test"}
FROZEN_FIELDS = ("dataset", "subset", "template", "original_task", "has_choices")
_DATASET_FIELDS = ("dataset", "subset", "family", "train_in", "eval_in", "train_size", "suffix", "splits")
_MIXTURE_FIELDS = ("mixture", "table", "role", "datasets", "prompts", "cap")
_TEMPLATES, _MIXTURES, _EXCLUSIONS = "templates", "mixtures", "exclusions"


@dataclass(frozen=True)
class PromptedTask:
    """One dataset under one wording, as training draws it, or its `_score_eval` twin for rank classification."""

    name: str
    dataset: str
    subset: str | None
    template: str
    family: str
    rate: int
    """How often a mixture draws it, relative to the others. Evaluation does not mix: there it is 1."""
    train_size: int
    """Rows of the training split, as the table has it; 0 where it says nothing."""
    original_task: bool
    has_choices: bool
    splits: Mapping[str, str] = field(hash=False)
    """The task's splits, each with the dataset's split whose rows it takes."""

    @property
    def is_scored(self) -> bool:
        """Whether this is a `_score_eval` twin."""
        return self.name.endswith(SCORE_EVAL)

    def source(self, split: str) -> str:
        """The dataset's split whose rows a split of the task takes. InputError when the task has no such split."""
        if split not in self.splits:
            raise InputError(f"The task {self.name} has no split {split!r}; it has {', '.join(self.splits)}.")
        return self.splits[split]


@dataclass(frozen=True)
class _Dataset:
    """A line of a table: a dataset in its roles."""

    dataset: str
    subset: str | None
    family: str
    train_in: str
    eval_in: str
    train_size: int
    suffix: str
    splits: Mapping[str, str] = field(hash=False)


@dataclass(frozen=True)
class _Mixture:
    """A line of mixtures.csv: which datasets of which table, and which of their templates."""

    mixture: str
    table: str
    role: str
    datasets: tuple[str, ...]
    prompts: str
    cap: int


@dataclass(frozen=True)
class _Frozen:
    """A line of templates.csv, which is derived from promptsource's files."""

    template: str
    original_task: bool
    has_choices: bool


def mixture_names() -> tuple[str, ...]:
    """All mixtures, in the order of mixtures.csv."""
    return tuple(_mixtures())


def task_names() -> tuple[str, ...]:
    """All prompted tasks of all tables, `_score_eval` twins included, sorted."""
    return tuple(sorted(_tasks()))


def task(name: str) -> PromptedTask:
    """A prompted task or twin by its name. Where several tables have it, T0's own comes first. InputError when unknown."""
    try:
        return _tasks()[name]
    except KeyError:
        raise InputError(f"There is no task {name!r}.{did_you_mean(name, _tasks())} `t0jax tasks` lists them all.") from None


@functools.cache
def mixture_tasks(name: str) -> tuple[PromptedTask, ...]:
    """The tasks of a mixture with their rates, or the one task of that name. InputError when there is neither."""
    mixture = _mixtures().get(name)
    if mixture is None:
        if name in _tasks():
            return (_tasks()[name],)
        known = (*_mixtures(), *_tasks())
        raise InputError(f"There is no mixture or task {name!r}.{did_you_mean(name, known)} `t0jax tasks` lists the tasks.")
    is_training = mixture.role == "train"
    chosen = []
    for dataset in _table(mixture.table):
        role = dataset.eval_in if mixture.role == "eval_score_eval" else dataset.train_in
        if role not in mixture.datasets:
            continue
        prompted = [item for item in _prompted(dataset, mixture.cap) if item.original_task or mixture.prompts == "all"]
        if mixture.prompts == "one_original":
            prompted = prompted[:1]
        chosen += prompted if is_training else [_twin(item) for item in prompted if item.has_choices]
    return tuple(item for item in chosen if not _is_excluded(mixture.mixture, item))


def task_name(dataset: str, subset: str | None, template: str) -> str:
    """T0's name of a prompted task: letters, digits, dots and underscores; runs of others become one underscore."""
    return re.sub(r"[^\w.]+", "_", f"{dataset}_{subset}_{template}" if subset else f"{dataset}_{template}")


def released_rate(train_size: int, templates: int, cap: int) -> int:
    """The rate in T0's released code: a dataset above the cap shares it out among its templates; one below is not divided."""
    return cap // templates if train_size > cap else train_size


def datasets() -> tuple[tuple[str, str | None], ...]:
    """Every (dataset, subset) of every table, sorted: what the frozen table of templates covers."""
    keys = {(dataset.dataset, dataset.subset) for table in _table_names() for dataset in _table(table)}
    return tuple(sorted(keys, key=lambda key: (key[0], key[1] or "")))


def frozen_path() -> Path:
    """The table of templates that `t0jax tasks freeze` derives from promptsource's files."""
    return street.mixtures_folder() / f"{_TEMPLATES}.csv"


def _prompted(dataset: _Dataset, cap: int) -> list[PromptedTask]:
    """A task per template of a dataset, in the order of their names."""
    frozen = _frozen().get((dataset.dataset, dataset.subset), ())
    return [
        PromptedTask(
            name=task_name(dataset.dataset, dataset.subset, line.template) + dataset.suffix,
            dataset=dataset.dataset,
            subset=dataset.subset,
            template=line.template,
            family=dataset.family,
            rate=released_rate(dataset.train_size, len(frozen), cap),
            train_size=dataset.train_size,
            original_task=line.original_task,
            has_choices=line.has_choices,
            splits=dataset.splits,
        )
        for line in frozen
    ]


def _twin(item: PromptedTask) -> PromptedTask:
    return replace(item, name=item.name + SCORE_EVAL, rate=1)


def _is_excluded(mixture: str, item: PromptedTask) -> bool:
    """Whether exclusions.csv names the task, or the task whose twin it is, for this mixture or for all of them."""
    names = (item.name, item.name.removesuffix(SCORE_EVAL))
    return any(where in ("*", mixture) and fnmatchcase(name, pattern) for where, pattern in _exclusions() for name in names)


@functools.cache
def _tasks() -> dict[str, PromptedTask]:
    tasks: dict[str, PromptedTask] = {}
    for table in _table_names():
        for dataset in _table(table):
            for item in _prompted(dataset, MAX_EXAMPLES_PER_DATASET):
                for one in (item, _twin(item)) if item.has_choices else (item,):
                    tasks.setdefault(one.name, one)
    return tasks


def _lines(path: Path, fields: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The lines of a CSV file with their places; InputError when it cannot be read or has other fields than these."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            for line in reader:
                place = f"{path}, line {reader.line_num}"
                if set(line) != set(fields) or None in line.values():
                    raise InputError(f"{place}: every line must have the fields {', '.join(fields)}.")
                yield place, line
    except OSError as error:
        raise InputError(f"The table {path} cannot be read ({error.strerror}): restore it.") from error


def _number(place: str, name: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]*", text):
        raise InputError(f"{place}: {name} is {text!r}; it must be a number or empty.")
    return int(text or 0)


def _table_names() -> list[str]:
    """The tables of datasets: T0's first, then the others in the order of their names."""
    other = {_TEMPLATES, _MIXTURES, _EXCLUSIONS}
    names = {path.stem for path in street.mixtures_folder().glob("*.csv")} - other
    return sorted(names, key=lambda name: (name != "t0", name))


@functools.cache
def _table(name: str) -> tuple[_Dataset, ...]:
    return tuple(_dataset(place, line) for place, line in _lines(street.mixtures_folder() / f"{name}.csv", _DATASET_FIELDS))


def _dataset(place: str, line: Mapping[str, str]) -> _Dataset:
    pairs = [pair.split("=") for pair in line["splits"].split()]
    if any(len(pair) != 2 for pair in pairs):
        raise InputError(f"{place}: splits is {line['splits']!r}; write 'train=train validation=dev'.")
    size = _number(place, "train_size", line["train_size"])
    return _Dataset(
        dataset=line["dataset"],
        subset=line["subset"] or None,
        family=line["family"],
        train_in=line["train_in"],
        eval_in=line["eval_in"],
        train_size=size,
        suffix=line["suffix"],
        splits=dict(pairs) or _SPLITS,
    )


@functools.cache
def _mixtures() -> dict[str, _Mixture]:
    mixtures = {}
    for place, line in _lines(street.mixtures_folder() / f"{_MIXTURES}.csv", _MIXTURE_FIELDS):
        if line["role"] not in ("train", "train_score_eval", "eval_score_eval"):
            raise InputError(f"{place}: role is {line['role']!r}; it must be train, train_score_eval or eval_score_eval.")
        if line["prompts"] not in ("all", "original", "one_original"):
            raise InputError(f"{place}: prompts is {line['prompts']!r}; it must be all, original or one_original.")
        cap = _number(place, "cap", line["cap"]) or MAX_EXAMPLES_PER_DATASET
        datasets = tuple(line["datasets"].split())
        mixtures[line["mixture"]] = _Mixture(line["mixture"], line["table"], line["role"], datasets, line["prompts"], cap)
    return mixtures


@functools.cache
def _exclusions() -> tuple[tuple[str, str], ...]:
    path = street.mixtures_folder() / f"{_EXCLUSIONS}.csv"
    return tuple((line["mixture"], line["task"]) for _, line in _lines(path, ("mixture", "task", "reason")))


@functools.cache
def _frozen() -> dict[tuple[str, str | None], list[_Frozen]]:
    frozen: dict[tuple[str, str | None], list[_Frozen]] = {}
    for _, line in _lines(frozen_path(), FROZEN_FIELDS):
        entry = _Frozen(line["template"], line["original_task"] == "yes", line["has_choices"] == "yes")
        frozen.setdefault((line["dataset"], line["subset"] or None), []).append(entry)
    return frozen
