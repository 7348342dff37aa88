"""The sources that a user names, tried in order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from t0jax.data.sources import local
from t0jax.data.sources.split import MissingRowsError, SplitRows
from t0jax.data.universe import PromptedTask
from t0jax.errors import InputError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Places:
    """Which sources are tried, in which order, and where each of them lies."""

    order: tuple[str, ...] = ("local",)
    data_dir: str | None = None
    """Of `local`: rows as `<dataset>/<subset or default>/<split>.jsonl`."""

    def __post_init__(self) -> None:
        for name in self.order:
            if name not in OPENERS:
                raise InputError(f"There is no source {name!r}; there are {', '.join(OPENERS)}.{did_you_mean(name, OPENERS)}")


Opener = Callable[[Places, PromptedTask, str, int | None], SplitRows]


def _open_local(places: Places, task: PromptedTask, split: str, limit: int | None) -> SplitRows:
    if places.data_dir is None:
        raise MissingRowsError("local: no --data_dir is given, the folder that holds <dataset>/<subset or default>/.")
    return local.open_local(places.data_dir, task.dataset, task.subset, task.source(split), limit)


OPENERS: Mapping[str, Opener] = {"local": _open_local}


def open_split(places: Places, task: PromptedTask, split: str, limit: int | None = None) -> SplitRows:
    """The rows of a task's split, at most the first `limit`, from the first source that has them.

    InputError for a split that the task does not have; MissingRowsError with what every source said when none has it.
    """
    task.source(split)
    said = []
    for name in places.order:
        try:
            return OPENERS[name](places, task, split, limit)
        except MissingRowsError as error:
            said.append(str(error))
    raise MissingRowsError(" ".join(said))
