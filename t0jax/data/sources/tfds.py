"""Rows from TensorFlow Datasets: what t0jax prepared of another source, or TFDS's own builders. Nothing is downloaded here."""

import functools
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from t0jax.data.sources.at_rest import pairs, read_table
from t0jax.data.sources.extras import need
from t0jax.data.sources.hub_lock import Key
from t0jax.data.sources.split import MissingRowsError
from t0jax.errors import InputError

VERSION = "1.0.0"
ROW = "row"  # the one feature of a dataset that t0jax prepared: a row as JSON, which holds every row exactly
FINGERPRINTS, ORIGINS = "fingerprints", "origins"  # its metadata, by split


@dataclass(frozen=True)
class TfdsRows:
    """A split of a prepared dataset, or the first of its rows, in the order of its files. The directory may be in a bucket."""

    directory: str
    split: str
    num_rows: int
    fingerprint: str
    renames: tuple[tuple[str, str], ...] = ()
    """TFDS's features that templates know by another name."""

    @property
    def origin(self) -> str:
        """Directory and split."""
        return f"tfds: {self.directory} {self.split}"

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[dict[str, Any]]:
        """Rows `start` to `stop` as Python's own values. InputError for files that cannot be read."""
        stop = self.num_rows if stop is None else min(stop, self.num_rows)
        if start >= stop:
            return
        tfds = need("tensorflow_datasets", "tfds")
        with readable(self.directory):
            wanted = tfds.core.ReadInstruction(self.split, from_=start, to=stop, unit="abs")
            config = tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)  # one file after the other
            builder = tfds.builder_from_directory(self.directory)
            examples = tfds.as_numpy(builder.as_dataset(split=wanted, shuffle_files=False, read_config=config))
            for example in examples:
                if set(example) == {ROW}:
                    yield json.loads(example[ROW])
                else:
                    names = dict(self.renames)
                    yield {names.get(name, name): _value(value) for name, value in example.items()}


@dataclass(frozen=True)
class _Line:
    """A builder of TFDS's whose rows are those of a dataset."""

    builder: str
    """With its configuration."""
    version: str
    splits: Mapping[str, str]
    """TFDS's name of each of the dataset's splits."""
    renames: tuple[tuple[str, str], ...]


def open_tfds(tfds_data_dir: str | None, key: Key, split: str, limit: int | None = None) -> TfdsRows:
    """The rows of a split, at most the first `limit`: as `prepare_tfds` left them, else from TFDS's own builder.

    MissingRowsError, with what prepares them, when neither is there.
    """
    if tfds_data_dir is None:
        raise MissingRowsError("tfds: no --tfds_data_dir is given, the folder or bucket of prepared TensorFlow Datasets.")
    own = prepared_directory(tfds_data_dir, key)
    if is_prepared(own):
        return _own_rows(own, split, limit)
    for line in _table().get(key, ()):
        if split in line.splits:
            directory = f"{tfds_data_dir.rstrip('/')}/{line.builder}/{line.version}"
            if is_prepared(directory):
                return _rows(directory, line, line.splits[split], limit)
            raise MissingRowsError(f"tfds: there is no {directory}: {_how_to_prepare(tfds_data_dir, line)}.")
    mixture = "_".join(filter(None, key))
    remedy = f"prepare it from another source: `t0jax tasks prepare --mixture {mixture} ...`"
    raise MissingRowsError(f"tfds: there is no {own}, and no builder of TFDS's has the rows of its {split}: {remedy}.")


def prepared_directory(tfds_data_dir: str, key: Key) -> str:
    """Where `prepare_tfds` leaves a dataset: `<tfds_data_dir>/t0jax_glue/mrpc/1.0.0`."""
    dataset, subset = key
    name, config = re.sub(r"\W", "_", dataset).lower(), re.sub(r"[^\w.-]", "_", subset or "default")
    return f"{tfds_data_dir.rstrip('/')}/t0jax_{name}/{config}/{VERSION}"


def is_prepared(directory: str) -> bool:
    """Whether there is a prepared dataset. InputError when the place cannot be looked at."""
    epath = need("etils.epath", "tfds")
    with readable(directory):
        return bool((epath.Path(directory) / "dataset_info.json").exists())


def fingerprints_of(directory: str) -> dict[str, str]:
    """The fingerprint of the rows from which `prepare_tfds` made each split of a dataset."""
    try:
        return dict(_info(directory).metadata[FINGERPRINTS])
    except (KeyError, TypeError) as error:
        raise InputError(f"tfds: {directory} does not say what it was made of: remove it and prepare it again.") from error


@contextmanager
def readable(directory: str) -> Iterator[None]:
    """InputError for whatever TensorFlow says of files that it cannot read."""
    try:
        yield
    except (InputError, ImportError):
        raise
    except Exception as error:  # TensorFlow's, TFDS's and each bucket's own
        reason = " ".join(str(error).split())[:200].rstrip(".")
        remedy = "check its name, and that this machine may read it (for a bucket: network and credentials)"
        raise InputError(f"tfds: {directory} cannot be read ({type(error).__name__}: {reason}): {remedy}.") from error


def _own_rows(directory: str, split: str, limit: int | None) -> TfdsRows:
    info = _info(directory)
    _check_split(directory, info, split)
    return _limited(directory, split, info.splits[split].num_examples, fingerprints_of(directory)[split], limit)


def _rows(directory: str, line: _Line, split: str, limit: int | None) -> TfdsRows:
    """A version of TFDS's never changes, so what it says of itself and the sizes of its files tell which rows it has."""
    info = _info(directory)
    _check_split(directory, info, split)
    epath = need("etils.epath", "tfds")
    with readable(directory):
        parts = [(epath.Path(directory) / name).read_text() for name in ("dataset_info.json", "features.json")]
        sizes = [epath.Path(path).stat().length for path in info.splits[split].filepaths]
    fingerprint = hashlib.sha256(json.dumps([*parts, sizes, line.renames]).encode()).hexdigest()
    return _limited(directory, split, info.splits[split].num_examples, fingerprint, limit, line.renames)


def _check_split(directory: str, info: Any, split: str) -> None:
    if split not in info.splits:
        raise MissingRowsError(f"tfds: {directory} has no split {split!r}; it has {', '.join(info.splits) or 'none'}.")


def _limited(
    directory: str, split: str, count: int, fingerprint: str, limit: int | None, renames: tuple[tuple[str, str], ...] = ()
) -> TfdsRows:
    if limit is not None and limit < count:
        count, fingerprint = limit, hashlib.sha256(f"{limit} of {fingerprint}".encode()).hexdigest()
    return TfdsRows(directory, split, count, fingerprint, renames)


def _info(directory: str) -> Any:
    tfds = need("tensorflow_datasets", "tfds")
    with readable(directory):
        return tfds.builder_from_directory(directory).info


def _how_to_prepare(tfds_data_dir: str, line: _Line) -> str:
    call = f"tfds.builder('{line.builder}:{line.version}', data_dir='{tfds_data_dir}').download_and_prepare()"
    return f'prepare it once with `python -c "import tensorflow_datasets as tfds; {call}"`'


@functools.cache
def _table() -> dict[Key, list[_Line]]:
    """The lines of mixtures/sources/tfds.csv by dataset and subset."""
    found: dict[Key, list[_Line]] = {}
    for row in read_table("tfds", _COLUMNS):
        builder, _, version = row["tfds"].partition(":")
        line = _Line(builder, version, pairs(row["splits"]), tuple((new, old) for new, old in pairs(row["renames"]).items()))
        found.setdefault((row["dataset"], row["subset"] or None), []).append(line)
    return found


_COLUMNS = ("dataset", "subset", "tfds", "splits", "renames", "note")


def _value(value: Any) -> Any:
    """A NumPy value of TFDS's as the row of the hub has it: str, int, float, bool, and lists and dictionaries of them."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, Mapping):
        return {name: _value(inner) for name, inner in value.items()}
    if hasattr(value, "to_list"):  # a ragged tensor
        return _value(value.to_list())
    if hasattr(value, "tolist"):
        return _value(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_value(inner) for inner in value]
    return value
