"""What the tables hold out from training: the datasets that are scored zero-shot, and their families."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from t0jax import street
from t0jax.config import DataConfig
from t0jax.data.tabled import Tabled
from t0jax.data.tables import DatasetLine
from t0jax.data.universe import PromptedTask
from t0jax.errors import InputError

Dataset = tuple[str, str | None]
"""A dataset and its subset."""


@dataclass(frozen=True)
class HeldOut:
    """What no mixture trains, unless it says so: each dataset and each family with the mixture that scores it."""

    datasets: Mapping[Dataset, str]
    families: Mapping[str, str]
    """Families of held-out datasets of which nothing trains: T0 holds out tasks, not only datasets."""
    declared: Mapping[str, frozenset[Dataset]]
    """Held-out datasets that a mixture trains by design, by mixture."""


@dataclass(frozen=True)
class Conflict:
    """A dataset that a mixture trains although it, or its family, is held out."""

    dataset: str
    subset: str | None
    tasks: tuple[str, ...]
    reason: str

    @property
    def name(self) -> str:
        """`dataset` or `dataset/subset`."""
        return f"{self.dataset}/{self.subset}" if self.subset else self.dataset


def held_out(user_tables: Sequence[str] = ()) -> HeldOut:
    """What t0jax's own tables and the user's hold out: all that a mixture with the role eval_score_eval scores.

    A family is held out where the same table scores it and trains none of it. Lines of `trains_held_out.csv` are by design:
    they make no family one that trains.
    """
    datasets: dict[Dataset, str] = {}
    families: dict[str, str] = {}
    declared: dict[str, set[Dataset]] = {}
    for number, path in enumerate((street.mixtures_folder(), *map(Path, user_tables))):
        folder = Tabled(path, is_own=not number)
        for mixture, dataset in folder.trained:
            declared.setdefault(mixture, set()).add(dataset)
        for table in {line.table: None for line in folder.mixtures}:
            scored, trained = _roles(folder, table, declared)
            for line, mixture in scored:
                datasets.setdefault(_dataset(line), mixture)
                if line.family and line.family not in trained:
                    families.setdefault(line.family, mixture)
    return HeldOut(datasets, families, {mixture: frozenset(known) for mixture, known in declared.items()})


def _roles(folder: Tabled, table: str, declared: Mapping[str, set[Dataset]]) -> tuple[list[tuple[DatasetLine, str]], set[str]]:
    """The lines of a table that are scored zero-shot, each with its mixture, and the families that train."""
    scored, trained = [], set()
    for mixture in (line for line in folder.mixtures if line.table == table):
        by_design = declared.get(mixture.mixture, set())
        for line in folder.table(table):
            if mixture.role == "eval_score_eval" and line.eval_in in mixture.datasets:
                scored.append((line, mixture.mixture))
            elif mixture.role == "train" and line.train_in in mixture.datasets and _dataset(line) not in by_design:
                trained.add(line.family)
    return scored, trained


def held_out_conflicts(tasks: Iterable[PromptedTask], rules: HeldOut, mixture: str) -> tuple[Conflict, ...]:
    """The datasets of a mixture's tasks that its training would take from what is held out; none for tasks that are scored."""
    by_design = rules.declared.get(mixture, frozenset())
    names: dict[Dataset, list[str]] = {}
    reasons: dict[Dataset, str] = {}
    for task in tasks:
        key = _dataset(task)
        if task.is_scored or key in by_design:
            continue
        if key in rules.datasets:
            reasons[key] = f"{rules.datasets[key]} scores it zero-shot"
        elif task.family in rules.families:
            reasons[key] = f"{rules.families[task.family]} scores its family {task.family} zero-shot"
        else:
            continue
        names.setdefault(key, []).append(task.name)
    return tuple(Conflict(*key, tuple(names[key]), reasons[key]) for key in names)


def shared_origin(train: PromptedTask, scored: PromptedTask, rules: HeldOut) -> str | None:
    """Why training on one task makes the other's score not zero-shot by T0's rule; None: it does not."""
    if _dataset(train) == _dataset(scored):
        return "it is the same dataset"
    if train.family == scored.family and train.family in rules.families:
        return f"it is of the same family, {train.family}"
    return None


def check_held_out(tasks: Iterable[PromptedTask], data: DataConfig) -> None:
    """InputError when a run would train on what its tables hold out."""
    conflicts = held_out_conflicts(tasks, held_out(data.tables), data.mixture_or_task_name)
    if conflicts:
        said = "; ".join(f"{conflict.name} ({conflict.reason})" for conflict in conflicts[:3])
        more = f" and {len(conflicts) - 3} more" if len(conflicts) > 3 else ""
        raise InputError(
            f"{data.mixture_or_task_name} trains on what is held out: {said}{more}. Take it out of the mixture, or, if its "
            "scores need not be zero-shot, give --gin.ALLOW_HELD_OUT=True."
        )


def trained_on(scored: Iterable[PromptedTask], trained: Iterable[PromptedTask]) -> tuple[Dataset, ...]:
    """The scored datasets that were trained on, in the order in which they are scored: their scores are not zero-shot."""
    seen = {_dataset(task) for task in trained}
    return tuple(dict.fromkeys(key for task in scored if (key := _dataset(task)) in seen))


def _dataset(one: PromptedTask | DatasetLine) -> Dataset:
    return one.dataset, one.subset
