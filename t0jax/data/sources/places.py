"""The sources that a user names, tried in order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from t0jax.data.sources.split import MissingRowsError, SplitRows
from t0jax.data.universe import PromptedTask
from t0jax.errors import InputError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Places:
    """Which sources are tried, in which order, and where each of them lies."""

    order: tuple[str, ...] = ("local",)
    data_dir: str | None = None
    """Of `local`: rows as `<dataset>/<subset or default>/<split>.jsonl`, or Parquet."""
    tfds_data_dir: str | None = None
    """Of `tfds`: a folder or bucket of prepared TensorFlow Datasets."""
    hub_lock: str | None = None
    """Of `hub` and `p3`: the user's own lock, in which what t0jax's does not lock is locked before it is read."""
    p3_dir: str | None = None
    """Of `p3`: a mirror of the published P3; None: the hub."""

    def __post_init__(self) -> None:
        for name in self.order:
            if name not in OPENERS:
                raise InputError(f"There is no source {name!r}; there are {', '.join(OPENERS)}.{did_you_mean(name, OPENERS)}")
        if "://" in (self.data_dir or ""):
            raise InputError(
                f"The data directory {self.data_dir} is no folder of this machine: mount it, or write its rows with "
                "`t0jax tasks prepare --tfds_data_dir` where they are, and read them from there with --sources tfds."
            )


Opener = Callable[[Places, PromptedTask, str, int | None], SplitRows]


def _open_local(places: Places, task: PromptedTask, split: str, limit: int | None) -> SplitRows:
    from t0jax.data.sources import local

    if places.data_dir is None:
        raise MissingRowsError("local: no --data_dir is given, the folder that holds <dataset>/<subset or default>/.")
    return local.open_local(places.data_dir, task.dataset, task.subset, task.source(split), limit)


def _open_tfds(places: Places, task: PromptedTask, split: str, limit: int | None) -> SplitRows:
    from t0jax.data.sources import tfds

    return tfds.open_tfds(places.tfds_data_dir, (task.dataset, task.subset), task.source(split), limit)


def _open_hub(places: Places, task: PromptedTask, split: str, limit: int | None) -> SplitRows:
    from t0jax.data.sources import hub

    return hub.open_hub(places.hub_lock, (task.dataset, task.subset), task.source(split), limit)


def _open_p3(places: Places, task: PromptedTask, split: str, limit: int | None) -> SplitRows:
    from t0jax.data.sources import p3

    return p3.open_p3(places.p3_dir, places.hub_lock, task, split, limit)


OPENERS: Mapping[str, Opener] = {"local": _open_local, "tfds": _open_tfds, "hub": _open_hub, "p3": _open_p3}


def open_split(places: Places, task: PromptedTask, split: str, limit: int | None = None) -> SplitRows:
    """The rows of a task's split, at most the first `limit`, from the first source that has them.

    InputError for a split that the task does not have, and for rows that are there and broken; MissingRowsError with what every
    source said when none has it, and with what to do by hand where only that helps.
    """
    task.source(split)
    said = []
    for name in places.order:
        try:
            return OPENERS[name](places, task, split, limit)
        except MissingRowsError as error:
            said.append(str(error))
    from t0jax.data.sources.by_hand import advice

    raise MissingRowsError(" ".join(said) + advice((task.dataset, task.subset)))
