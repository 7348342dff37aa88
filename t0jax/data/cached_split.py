"""One split of one task in SeqIO's cache: put there when it is whole, and found again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from t0jax.data.files import locked, put_json, put_link
from t0jax.data.missing import forget_missing
from t0jax.data.parts import Part, Shard
from t0jax.data.records import index_path
from t0jax.data.universe import PromptedTask
from t0jax.errors import InputError

_SEQIO_VERSION = "0.0.20"  # whose layout this is
_INT, _TEXT = {"shape": [None], "dtype": "int32"}, {"shape": [], "dtype": "string"}
_FEATURES = {"inputs": _INT, "inputs_pretokenized": _TEXT, "targets": _INT, "targets_pretokenized": _TEXT}
_RANK_FEATURES = {
    "idx": _INT,
    "is_correct": {"shape": [], "dtype": "bool"},
    "weight": {"shape": [], "dtype": "float32"},
}


@dataclass(frozen=True)
class CachedTask:
    """What the cache holds of a task's split: examples, and how many rows the template does not apply to."""

    task: str
    split: str
    examples: int
    skipped: int
    shards: int
    was_cached: bool


def find_cached(output: Path, task: str, split: str, fingerprint: str | None) -> CachedTask | None:
    """What the cache holds of a split, if it is whole and has this fingerprint (None: whichever)."""
    folder = output / task
    try:
        info, stats = (json.loads((folder / f"{kind}.{split}.json").read_text()) for kind in ("info", "stats"))
        sizes = [shard["bytes"] for shard in info["shards"]]
        paths = [folder / f"{split}.tfrecord-{number:05d}-of-{len(sizes):05d}" for number in range(len(sizes))]
        is_whole = (folder / "COMPLETED").is_file() and [path.stat().st_size for path in paths] == sizes
        if not is_whole or fingerprint not in (None, info["fingerprint"]):
            return None
        return CachedTask(task, split, stats["examples"], stats["skipped"], len(sizes), was_cached=True)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def check_source(cache_dir: str | Path, task: PromptedTask, split: str) -> None:
    """InputError where the cache's split was made of another of the dataset's splits than these tables say.

    A cache that says nothing of it, as SeqIO's own, is taken as it is.
    """
    try:
        info = json.loads((Path(cache_dir) / task.name / f"info.{split}.json").read_text(encoding="utf-8"))
        source = info.get("source", task.source(split))
    except (OSError, ValueError, AttributeError):
        return
    if source != task.source(split):
        raise InputError(
            f"The cache {cache_dir} holds {split} of {task.name} made of the dataset's split {source!r}, these tables take "
            f"{task.source(split)!r}: two tables share it. Give each a cache of its own (--output_cache_dir, --gin.CACHE_DIR), "
            "or make this one anew with `t0jax cache --overwrite`."
        )


def put_in_place(part: Part, shards: Sequence[Shard], *, anew: bool = False) -> CachedTask:
    """Make a split of its finished shards, instead of what the cache held. Killed at any moment, it can be done again.

    What another process has put there meanwhile stays, unless the split is to be made `anew`.
    """
    folder = part.output / part.task.name
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        about = [one for shard in shards if (one := part.find(shard))]
        cached = find_cached(part.output, part.task.name, part.split, part.fingerprint)
        if cached is None or (anew and len(about) == len(shards)):
            if len(about) < len(shards):
                what = f"{len(shards) - len(about)} shards of {part.split} of {part.task.name} have gone while it was cached"
                raise InputError(f"{what}: run the command again, and nothing else that removes files in {part.output}.")
            _put_shards(folder, part, shards)
            cached = _describe(folder, part, about)
    forget_missing(part.output, part.task.name, part.split)
    part.discard(shards)
    return cached


def _put_shards(folder: Path, part: Part, shards: Sequence[Shard]) -> None:
    """Exchange the shards. The old split ends here; the new one begins with its info."""
    (folder / f"info.{part.split}.json").unlink(missing_ok=True)
    for old in folder.glob(f"{part.split}.tfrecord-*"):
        old.unlink()
    for shard in shards:
        target = folder / f"{part.split}.tfrecord-{shard.name}"
        put_link(index_path(part.path(shard)), index_path(target))
        put_link(part.path(shard), target)


def _describe(folder: Path, part: Part, about: Sequence[Mapping[str, Any]]) -> CachedTask:
    """Write what SeqIO writes of a split, and what we add."""
    aside = part.folder / "aside"
    stats = {name: (max if "max" in name else sum)(one[name] for one in about) for name in about[0] if name != "bytes"}
    put_json(folder / f"stats.{part.split}.json", stats, aside)
    (folder / "COMPLETED").touch()
    info = {
        "features": _FEATURES | (_RANK_FEATURES if part.task.is_scored else {}),
        "num_shards": len(about),
        "seqio_version": _SEQIO_VERSION,
        "source": part.task.source(part.split),
        "fingerprint": part.fingerprint,
        "shards": [{name: one[name] for name in ("bytes", "examples")} for one in about],
    }
    put_json(folder / f"info.{part.split}.json", info, aside)
    return CachedTask(part.task.name, part.split, stats["examples"], stats["skipped"], len(about), was_cached=False)
