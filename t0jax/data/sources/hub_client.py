"""Speaking with the Hugging Face hub, through its own library: what a repository holds, and whole, verified files of it."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from t0jax.data.sources import memory
from t0jax.data.sources.extras import need
from t0jax.data.sources.features import fields_of
from t0jax.data.sources.hub_lock import P3_REPO, HubFile, HubLine
from t0jax.data.sources.parquet import parquet_file
from t0jax.data.sources.split import MissingRowsError
from t0jax.errors import InputError

if TYPE_CHECKING:
    from t0jax.data.schemas import FieldType

_CONVERTED = "refs/convert/parquet"  # where the hub keeps its own conversion of other formats
_FILE = re.compile(
    r"(?:(?P<folder>.+?)/)?(?P<split>[\w.]+)(?:-(?P<number>\d{5})-of-(?P<count>\d{5})(?:-[0-9a-f]+)?|/\d{4,})?\.parquet"
)


@dataclass(frozen=True)
class Found:
    """The Parquet files of a dataset at one commit."""

    revision: str
    splits: Mapping[str, tuple[HubFile, ...]]


def find(line: HubLine) -> Found:
    """The files of a dataset's splits on the hub today: of the main branch, or of the hub's conversion to Parquet.

    MissingRowsError when there is no such repository or it may not be read; InputError when it has no such files.
    """
    api = need("huggingface_hub", "hub").HfApi(endpoint=endpoint(), library_name="t0jax")
    seen: list[str] = []
    with _answers(line):
        for branch in ("main", _CONVERTED):
            try:
                revision = api.dataset_info(line.repo, revision=branch).sha
            except need("huggingface_hub", "hub").errors.RevisionNotFoundError:
                continue
            folders = _folders(list(api.list_repo_tree(line.repo, revision=revision, recursive=True, repo_type="dataset")))
            for folder in (line.config, "data", "default", ""):
                if folder in folders and set(line.splits) <= set(folders[folder]):
                    splits = {split: folders[folder][split] for split in line.splits or sorted(folders[folder])}
                    return Found(revision, splits)
            seen += [f"{folder or '.'}: {', '.join(splits)}" for folder, splits in folders.items()]
    what = f"hub: {line.name}: {line.repo} has no Parquet files of {line.config!r} for {', '.join(line.splits) or 'any split'}"
    raise InputError(f"{what} (it has {'; '.join(sorted(set(seen))[:8]) or 'none at all'}): put the rows into --data_dir.")


def look_into(line: HubLine, revision: str, files: Iterable[HubFile]) -> list[tuple[int, "dict[str, FieldType]"]]:
    """How many rows each file has and which fields, for which only its end is read."""
    system, looks = need("huggingface_hub", "hub").HfFileSystem(endpoint=endpoint(), skip_instance_cache=True), []
    for file in files:
        with _answers(line, file.path):
            remote = system.open(f"datasets/{line.repo}@{revision}/{file.path}", block_size=1 << 18)
            with remote, parquet_file(remote) as parquet:
                looks.append((parquet.metadata.num_rows, fields_of(parquet.schema_arrow, line.renames)))
    return looks


def fetch(line: HubLine, file: HubFile) -> Path:
    """A file of a locked dataset, from the hub's cache or downloaded into it, with the size and the hash of the lock.

    An interrupted download goes on where it was. MissingRowsError when it may not be read, InputError for all else.
    """
    with _answers(line, file.path):
        path = Path(
            need("huggingface_hub", "hub").hf_hub_download(
                line.repo, file.path, repo_type="dataset", revision=line.revision, endpoint=endpoint(), library_name="t0jax"
            )
        )
    what, remedy = f"hub: {line.name}: {file.path} of {line.repo}", f"remove {path.resolve()} and run again"
    if f"/snapshots/{line.revision}/" not in path.as_posix():
        raise InputError(f"{what} came from another commit than {line.revision}, which the lock has: {remedy}.")
    if (size := path.stat().st_size) != file.size:
        raise InputError(f"{what} has {size} bytes, the lock has {file.size}: {remedy}.")
    if (digest := memory.sha256_of(path)) != file.sha256:
        raise InputError(f"{what} has the SHA-256 {digest}, the lock has {file.sha256}: {remedy}.")
    return path


def endpoint() -> str | None:
    """HF_ENDPOINT as it is now; the library reads it only once."""
    return os.environ.get("HF_ENDPOINT")


def _folders(files: Sequence[Any]) -> dict[str, dict[str, tuple[HubFile, ...]]]:
    """The Parquet files of a repository by folder and split. Splits of which a file is absent are left out."""
    found: dict[str, dict[str, list[tuple[HubFile, int]]]] = {}
    for file in files:
        match = _FILE.fullmatch(file.path)
        if match and getattr(file, "lfs", None):
            known = HubFile(file.path, file.lfs.size, file.lfs.sha256)
            splits = found.setdefault(match["folder"] or "", {})
            splits.setdefault(match["split"], []).append((known, int(match["count"] or 0)))
    return {
        folder: {
            split: tuple(file for file, _ in sorted(parts, key=lambda part: (len(part[0].path), part[0].path)))
            for split, parts in splits.items()
            if all(count in (0, len(parts)) for _, count in parts)
        }
        for folder, splits in found.items()
    }


@contextmanager
def _answers(line: HubLine, file: str = "") -> Iterator[None]:
    """Say what the hub answers in one sentence."""
    errors = need("huggingface_hub", "hub").errors
    what = f"hub: {line.name}: {file} of {line.repo}" if file else f"hub: {line.name}: {line.repo}"
    page = f"{endpoint() or 'https://huggingface.co'}/datasets/{line.repo}"
    try:
        yield
    except errors.GatedRepoError as error:
        remedy = f"accept its terms at {page} and run `hf auth login`"
        raise MissingRowsError(f"{what} is gated: {remedy}, or put the rows into --data_dir.") from error
    except (errors.RepositoryNotFoundError, errors.DisabledRepoError) as error:
        remedy = "if it is private, run `hf auth login`; else put the rows into --data_dir"
        raise MissingRowsError(f"{what} is not on the hub, or not for you ({page}): {remedy}.") from error
    except errors.RevisionNotFoundError as error:
        raise InputError(f"{what} has no commit {line.revision} any more: {relock(line)}.") from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        remedy = "go online (unset HF_HUB_OFFLINE), or copy the hub's cache (HF_HOME) from a machine that has it"
        reason = str(error.__cause__ or error).splitlines()[0].rstrip(".")
        raise InputError(f"{what} is not in the hub's cache, and the hub cannot be reached ({reason}): {remedy}.") from error
    except errors.EntryNotFoundError as error:
        raise InputError(f"{what} is not in the commit {line.revision}: {relock(line)}.") from error
    except errors.HTTPError as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        reason = f"status {status}" if status else f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"{what} could not be read from the hub ({reason}): try again later.") from error
    except OSError as error:
        raise InputError(f"{what} could not be stored ({str(error).splitlines()[0]}): make room, or run again.") from error


def relock(line: HubLine) -> str:
    """What locks a dataset."""
    what = f"--sources p3 --tasks {line.subset}" if line.dataset == P3_REPO else f"--datasets {line.name}"
    return f"run `t0jax tasks lock {what} --hub_lock PATH` and give --hub_lock PATH"
