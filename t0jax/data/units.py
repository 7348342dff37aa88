"""Work for one process: a range of rows under the wordings of their dataset, from rows to finished shards."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from t0jax.batch import EOS_ID
from t0jax.data.parts import Part, Shard, writing
from t0jax.data.prompting import Wording, task_templates
from t0jax.data.records import RecordWriter, encode_example
from t0jax.data.sources.split import SplitRows
from t0jax.data.universe import PromptedTask
from t0jax.data.vocabulary import Vocabulary
from t0jax.prompts.render import Prompted

_ROWS_AT_A_TIME = 256
_CHARACTERS_AT_A_TIME = 1 << 20  # whichever comes first; and of texts whose tokens are remembered

Row = Mapping[str, Any] | Prompted


@dataclass(frozen=True)
class Unit:
    """The rows of one shard, for tasks that share them."""

    parts: tuple[Part, ...]
    rows: SplitRows
    shard: Shard
    vocabulary: Path

    @property
    def size(self) -> int:
        """Prompted rows."""
        return (self.shard.stop - self.shard.start) * len(self.parts)

    @property
    def is_done(self) -> bool:
        """Whether all its shards are finished."""
        return all(part.find(self.shard) for part in self.parts)


def shares(units: Sequence[Unit], size: int) -> list[Unit]:
    """The units, the largest first; those of many tasks are cut into groups of tasks of about `size` prompted rows."""
    cut = []
    for unit in units:
        each = max(1, size // max(1, unit.shard.stop - unit.shard.start))
        cut += [replace(unit, parts=unit.parts[first : first + each]) for first in range(0, len(unit.parts), each)]
    return sorted(cut, key=lambda unit: -unit.size)


def run_unit(unit: Unit, advance: Callable[[int], None]) -> None:
    """Render, tokenize and write what is not finished; `advance` is told how many prompted rows are done."""
    parts = [part for part in unit.parts if part.find(unit.shard) is None]
    if not parts:
        return
    tokens = Tokens(Vocabulary(unit.vocabulary))
    tasks = [part.task for part in parts]
    wordings = [Wording(task, template) for task, template in zip(tasks, task_templates(tasks), strict=True)]
    with writing(parts[0].output) as folder:
        paths = [folder / task.name for task in tasks]
        with ExitStack() as stack:
            files = [stack.enter_context(RecordWriter(path)) for path in paths]
            writers = [_TaskWriter(task, file, tokens) for task, file in zip(tasks, files, strict=True)]
            for first, chunk in _chunks(unit.rows.read(unit.shard.start, unit.shard.stop), unit.shard.start):
                for part, wording, writer in zip(parts, wordings, writers, strict=True):
                    writer.add(first, [_prompt(wording, row, part.split, first + n) for n, row in enumerate(chunk)])
                    advance(len(chunk))
        for part, path, writer in zip(parts, paths, writers, strict=True):
            part.finish(unit.shard, path, writer.stats)


class Tokens:
    """Token ids of texts. Those of recent texts are remembered: wordings have targets in common, twins their inputs."""

    def __init__(self, vocabulary: Vocabulary):
        self._encode, self._known, self._size = vocabulary.encode, dict[str, list[int]](), 0

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, without EOS."""
        if self._size > _CHARACTERS_AT_A_TIME:
            self._known.clear()
            self._size = 0
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        self._known.update(zip(new, self._encode(new), strict=True))
        self._size += sum(map(len, new))
        return [self._known[text] for text in texts]


class _TaskWriter:
    """Tokenizes and writes the rows of one task, and counts what SeqIO counts."""

    def __init__(self, task: PromptedTask, file: RecordWriter, tokens: Tokens):
        self._is_scored, self._file, self._tokens = task.is_scored, file, tokens
        self.stats = {"examples": 0, "skipped": 0}
        self.stats |= {f"{name}_{what}": 0 for name in ("inputs", "targets") for what in ("tokens", "max_tokens")}

    def add(self, first: int, prompts: Sequence[Prompted | None]) -> None:
        """Write rows, the first one number `first` of its split. A twin's row becomes one record for each choice."""
        rows = [(first + n, prompt) for n, prompt in enumerate(prompts) if prompt is not None]
        self.stats["skipped"] += len(prompts) - len(rows)
        choices = [(prompt.answer_choices or ()) if self._is_scored else (prompt.targets,) for _, prompt in rows]
        inputs = self._tokens([prompt.inputs for _, prompt in rows])
        targets = iter(self._tokens([text for texts in choices for text in texts]))
        for (index, prompt), ids, texts in zip(rows, inputs, choices, strict=True):
            example: dict[str, Any] = {"inputs": ids, "inputs_pretokenized": prompt.inputs}
            for number, text in enumerate(texts):
                answer = next(targets)
                example["targets"], example["targets_pretokenized"] = [*answer, EOS_ID], text
                if self._is_scored:
                    example |= {"idx": [index, number], "is_correct": text == prompt.targets, "weight": 1.0}
                self._file.write(encode_example(example))
                self._count(len(ids), len(answer))

    def _count(self, inputs: int, targets: int) -> None:
        stats = self.stats
        stats["examples"] += 1
        stats["inputs_tokens"] += inputs
        stats["targets_tokens"] += targets
        stats["inputs_max_tokens"] = max(inputs, stats["inputs_max_tokens"])
        stats["targets_max_tokens"] = max(targets, stats["targets_max_tokens"])


def _chunks(rows: Iterator[Row], first: int) -> Iterator[tuple[int, list[Row]]]:
    """Rows a few at a time, each time with the number of the first: what is in memory does not grow with the split."""
    chunk: list[Row] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += _size(row)
        if len(chunk) == _ROWS_AT_A_TIME or size > _CHARACTERS_AT_A_TIME:
            yield first, chunk
            first, chunk, size = first + len(chunk), [], 0
    if chunk:
        yield first, chunk


def _size(value: Any) -> int:
    """About how many characters a row holds."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_size, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_size, value))
    return _size(value.inputs) + _size(value.targets) if isinstance(value, Prompted) else 8


def _prompt(wording: Wording, row: Row, split: str, index: int) -> Prompted | None:
    return row if isinstance(row, Prompted) else wording(row, split, index)
