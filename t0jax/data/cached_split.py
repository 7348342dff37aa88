"""One split of one task on its way into SeqIO's cache: written aside, counted, put in place when it is whole."""

import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from t0jax.batch import EOS_ID
from t0jax.data.records import RecordWriter, encode_example, index_path
from t0jax.data.universe import PromptedTask
from t0jax.data.vocabulary import Vocabulary
from t0jax.prompts.render import Prompted

_SEQIO_VERSION = "0.0.20"  # whose layout this is
_INT, _TEXT = {"shape": [None], "dtype": "int32"}, {"shape": [], "dtype": "string"}
_FEATURES = {"inputs": _INT, "inputs_pretokenized": _TEXT, "targets": _INT, "targets_pretokenized": _TEXT}
_RANK_FEATURES = {
    "idx": _INT,
    "is_correct": {"shape": [], "dtype": "bool"},
    "weight": {"shape": [], "dtype": "float32"},
}
_PARTS = ".incomplete-"


@dataclass(frozen=True)
class CachedTask:
    """What the cache holds of a task's split: examples, and how many rows the template does not apply to."""

    task: str
    split: str
    examples: int
    skipped: int
    was_cached: bool


class SplitWriter:
    """Tokenizes and writes one split of a task. Nothing of it can be seen in the cache before `commit`."""

    def __init__(self, task: PromptedTask, split: str, parts: Path, vocabulary: Vocabulary):
        self.task, self.split, self._vocabulary = task, split, vocabulary
        self._part = parts / f"{task.name}.{split}"
        self._writer = RecordWriter(self._part)
        self._stats = {"examples": 0, "skipped": 0}
        self._stats |= {f"{name}_{what}": 0 for name in ("inputs", "targets") for what in ("tokens", "max_tokens")}

    def add(self, prompted: Sequence[tuple[int, Prompted | None]]) -> None:
        """Write rows as (index in the split, prompt or None). A twin's row becomes one record for each choice."""
        rows = [(index, prompt) for index, prompt in prompted if prompt is not None]
        self._stats["skipped"] += len(prompted) - len(rows)
        inputs = self._vocabulary.encode([prompt.inputs for _, prompt in rows])
        texts = [_targets(prompt, self.task.is_scored) for _, prompt in rows]
        targets = iter(self._vocabulary.encode([text for choices in texts for text in choices]))
        for (index, prompt), tokens, choices in zip(rows, inputs, texts, strict=True):
            for number, text in enumerate(choices):
                example: dict[str, Any] = {
                    "inputs": tokens,
                    "inputs_pretokenized": prompt.inputs,
                    "targets": [*next(targets), EOS_ID],
                    "targets_pretokenized": text,
                }
                if self.task.is_scored:
                    example |= {"idx": [index, number], "is_correct": text == prompt.targets, "weight": 1.0}
                self._write(example)

    def commit(self, output: Path, fingerprint: str) -> CachedTask:
        """Put the whole split into its place in the cache, instead of what was there."""
        self.close()
        folder = output / self.task.name
        folder.mkdir(exist_ok=True)
        info_path = folder / f"info.{self.split}.json"
        info_path.unlink(missing_ok=True)  # from here on the old split does not count, nor the new one before its info is back
        for old in folder.glob(f"{self.split}.tfrecord-*"):
            old.unlink(missing_ok=True)  # another process may be putting the same split in place
        records = folder / f"{self.split}.tfrecord-00000-of-00001"
        os.replace(index_path(self._part), index_path(records))
        os.replace(self._part, records)
        features = _FEATURES | (_RANK_FEATURES if self.task.is_scored else {})
        info = {"features": features, "num_shards": 1, "seqio_version": _SEQIO_VERSION, "fingerprint": fingerprint}
        self._put(folder / f"stats.{self.split}.json", self._stats)
        self._put(info_path, info)
        (folder / "COMPLETED").touch()
        return CachedTask(self.task.name, self.split, self._stats["examples"], self._stats["skipped"], was_cached=False)

    def close(self) -> None:
        """Finish the file; what was not committed goes with its folder of parts."""
        self._writer.close()

    def _write(self, example: dict[str, Any]) -> None:
        self._writer.write(encode_example(example))
        self._stats["examples"] += 1
        for name, length in (("inputs", len(example["inputs"])), ("targets", len(example["targets"]) - 1)):
            self._stats[f"{name}_tokens"] += length
            self._stats[f"{name}_max_tokens"] = max(length, self._stats[f"{name}_max_tokens"])

    def _put(self, path: Path, value: dict[str, Any]) -> None:
        self._part.write_text(json.dumps(value, sort_keys=True, indent=2) + "\n", encoding="utf-8")
        os.replace(self._part, path)


def _targets(prompt: Prompted, is_scored: bool) -> Iterable[str]:
    return prompt.answer_choices or () if is_scored else (prompt.targets,)


def find_cached(output: Path, task: str, split: str, fingerprint: str) -> CachedTask | None:
    """What the cache holds of a split, if it is whole and has this fingerprint."""
    folder = output / task
    is_there = (folder / "COMPLETED").is_file() and (folder / f"{split}.tfrecord-00000-of-00001").is_file()
    try:
        info, stats = (json.loads((folder / f"{kind}.{split}.json").read_text()) for kind in ("info", "stats"))
    except (OSError, ValueError):
        return None
    if not is_there or info.get("fingerprint") != fingerprint:
        return None
    return CachedTask(task, split, stats["examples"], stats["skipped"], was_cached=True)


@contextmanager
def parts_folder(output: Path) -> Iterator[Path]:
    """A folder within the cache for splits that are being written. It goes, and so do those that killed processes left."""
    output.mkdir(parents=True, exist_ok=True)
    mine = f"{_PARTS}{socket.gethostname()}-"
    for left_over in output.glob(f"{mine}*"):
        if not _is_running(left_over.name.removeprefix(mine).split("-")[0]):
            shutil.rmtree(left_over, ignore_errors=True)
    parts = Path(tempfile.mkdtemp(prefix=f"{mine}{os.getpid()}-", dir=output))
    try:
        yield parts
    finally:
        shutil.rmtree(parts, ignore_errors=True)


def _is_running(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
