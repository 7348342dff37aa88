"""Rows of any source written as a TensorFlow Datasets directory, so that machines of a pod read them from a bucket."""

import itertools
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from t0jax.data.sources import tfds as door
from t0jax.data.sources.extras import need
from t0jax.data.sources.hub_lock import Key
from t0jax.data.sources.places import Places, open_split
from t0jax.data.sources.split import MissingRowsError, SplitRows
from t0jax.data.universe import PromptedTask
from t0jax.errors import InputError
from t0jax.prompts.render import Prompted

_ROWS_A_FILE = 25_000
_ROWS_AT_A_TIME = 5_000


@dataclass(frozen=True)
class Prepared:
    """A dataset's directory, and those of its splits that no source has."""

    directory: str
    lacking: tuple[str, ...]


def prepare_tasks(tasks: Iterable[PromptedTask], places: Places, tfds_data_dir: str) -> list[Prepared]:
    """Prepare the datasets of the tasks with all splits that the sources have.

    MissingRowsError when no source has any split of a dataset.
    """
    wanted: dict[Key, dict[str, tuple[PromptedTask, str]]] = {}
    for task in tasks:
        for split in task.splits:
            wanted.setdefault((task.dataset, task.subset), {}).setdefault(task.source(split), (task, split))
    prepared = []
    for (dataset, subset), splits in wanted.items():
        found, missing = dict[str, SplitRows](), None
        for name, (task, split) in splits.items():
            try:
                found[name] = open_split(places, task, split)
            except MissingRowsError as error:
                missing = error
        if missing and not found:
            raise missing
        directory = prepare_tfds(found, dataset, subset, tfds_data_dir)
        prepared.append(Prepared(directory, tuple(split for split in splits if split not in found)))
    return prepared


def prepare_tfds(rows: Mapping[str, SplitRows], dataset: str, subset: str | None, tfds_data_dir: str) -> str:
    """Write the splits of a dataset under `tfds_data_dir`, a folder or a bucket, and return the directory.

    `tfds.builder_from_directory` reads it: one feature, `row`, is the row as JSON, so that rows come back as they are. It is
    written aside and renamed. What is there already from the same rows stays; InputError when it is from others.
    """
    directory = door.prepared_directory(tfds_data_dir, (dataset, subset))
    fingerprints = {split: source.fingerprint for split, source in rows.items()}
    if not rows:
        raise InputError(f"tfds: there are no rows of {dataset} to prepare: give a source that has them.")
    if door.is_prepared(directory):
        if door.fingerprints_of(directory) != fingerprints:
            raise InputError(f"tfds: {directory} holds other rows: remove it, or give another --tfds_data_dir.")
        return directory
    epath = need("etils.epath", "tfds")
    final = epath.Path(directory)
    aside = epath.Path(f"{tfds_data_dir.rstrip('/')}/.incomplete-{secrets.token_hex(4)}")
    with door.readable(directory):
        try:
            part = aside / door.VERSION
            part.mkdir(parents=True)
            _write(rows, part, directory, fingerprints)
            final.parent.mkdir(parents=True, exist_ok=True)
            part.rename(final)
        finally:
            if aside.exists():
                aside.rmtree()
    return directory


def _write(rows: Mapping[str, SplitRows], part: Any, directory: str, fingerprints: Mapping[str, str]) -> None:
    tfds = need("tensorflow_datasets", "tfds")
    name, config, _ = directory.split("/")[-3:]
    identity = tfds.core.dataset_info.DatasetIdentity(
        name=name, config_name=config, version=door.VERSION, data_dir=str(part), module_name="t0jax"
    )
    origins = {split: source.origin for split, source in rows.items()}
    info = tfds.core.DatasetInfo(
        builder=identity,
        description="Rows of another source as JSON, in their order.",
        features=tfds.features.FeaturesDict({door.ROW: tfds.features.Text()}),
        metadata=tfds.core.MetadataDict({door.FINGERPRINTS: dict(fingerprints), door.ORIGINS: origins}),
        disable_shuffling=True,
    )
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=_ROWS_A_FILE)
    writer.initialize_splits(list(rows))
    for split, source in rows.items():
        texts = _texts(source)
        while chunk := list(itertools.islice(texts, _ROWS_AT_A_TIME)):
            writer.add_examples({split: [{door.ROW: text} for text in chunk]})
        writer.close_splits([split])


def _texts(source: SplitRows) -> Iterator[str]:
    for number, row in enumerate(source.read()):
        if isinstance(row, Prompted):
            raise InputError(f"{source.origin} has prompted examples, not rows: give the source of a dataset's rows.")
        try:
            yield json.dumps(row, ensure_ascii=False)
        except (TypeError, ValueError) as error:
            raise InputError(f"{source.origin}, row {number} is not JSON ({error}): convert its values first.") from error
