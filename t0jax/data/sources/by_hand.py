"""Datasets that nobody may pass on: what a person does to get them, and their files turned into JSON lines."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from t0jax.data.sources.at_rest import read_table
from t0jax.data.sources.hub_lock import Key
from t0jax.errors import InputError
from t0jax.files import write_whole

_Row = dict[str, str | int]
_STORY = {f"InputSentence{number}": f"input_sentence_{number}" for number in range(1, 5)}
_STORY |= {
    "InputStoryid": "story_id",
    "RandomFifthSentenceQuiz1": "sentence_quiz1",
    "RandomFifthSentenceQuiz2": "sentence_quiz2",
}
_TOXIC = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")


def advice(key: Key) -> str:
    """What to do for a dataset that must be fetched by hand, as sentences with a space before them; else nothing."""
    line = _table().get(key)
    if line is None:
        return ""
    files = " and ".join(name for names in _files(line).values() for name in names)
    command = f"`t0jax tasks convert --dataset {_name(key)} --from FOLDER --data_dir DATA`"
    return f" {line['what']} Put its files ({files}) into a folder and run {command}."


def convert(name: str, folder: str | Path, data_dir: str | Path) -> list[Path]:
    """Write the splits whose files are in `folder` as JSON lines under `data_dir`, each whole or not at all; say which files.

    InputError for a dataset that is not one of these, for files that are not there, and for files that are not its own.
    """
    keys = {_name(key): key for key in _table()}
    if name not in keys:
        raise InputError(f"{name} is not converted from files fetched by hand; these are: {', '.join(keys)}.")
    dataset, subset = key = keys[name]
    written = []
    for split, files in _files(_table()[key]).items():
        paths = [Path(folder) / file for file in files]
        if all(path.is_file() for path in paths):
            target = Path(data_dir) / dataset / (subset or "default") / f"{split}.jsonl"
            rows = _CONVERTERS[dataset](*paths)
            write_whole(target, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
            written.append(target)
    if not written:
        raise InputError(f"{folder} does not hold the files of {name}.{advice(key)}")
    return written


def _story_cloze(path: Path) -> Iterator[_Row]:
    for place, line in _lines(path, (*_STORY, "AnswerRightEnding")):
        row: _Row = {new: line[old] for old, new in _STORY.items()}
        yield row | {"answer_right_ending": _number(place, line["AnswerRightEnding"], (1, 2))}


def _jigsaw(texts: Path, labels: Path | None = None) -> Iterator[_Row]:
    """The test split has its labels in a second file, with -1 for comments that nobody judged."""
    second = {line["id"]: line for _, line in _lines(labels, ("id", *_TOXIC))} if labels else {}
    for place, line in _lines(texts, ("id", "comment_text", *(() if labels else _TOXIC))):
        judged = second.get(line["id"], {}) if labels else line
        numbers = {name: _number(place, judged.get(name, ""), (-1, 0, 1)) for name in _TOXIC}
        if numbers["toxic"] != -1:
            yield {"comment_text": line["comment_text"], **numbers}


_CONVERTERS: Mapping[str, Callable[..., Iterator[_Row]]] = {"story_cloze": _story_cloze, "jigsaw_toxicity_pred": _jigsaw}


def _lines(path: Path, fields: Iterable[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The lines of a CSV file with their places. InputError when it lacks one of the fields."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            for line in reader:
                place = f"{path}, line {reader.line_num}"
                if absent := [name for name in fields if line.get(name) is None]:
                    raise InputError(f"{place} has no {absent[0]}: it is another file, or a damaged one; download it again.")
                yield place, line
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is not CSV in UTF-8 ({error}): download it again.") from error


def _number(place: str, text: str, known: tuple[int, ...]) -> int:
    if text.strip() not in map(str, known):
        raise InputError(f"{place}: {text!r} should be one of {', '.join(map(str, known))}: download the file again.")
    return int(text)


def _table() -> dict[Key, Mapping[str, str]]:
    lines = read_table("by_hand", ("dataset", "subset", "what", "files"))
    return {(line["dataset"], line["subset"] or None): line for line in lines}


def _files(line: Mapping[str, str]) -> dict[str, list[str]]:
    """The files of each split."""
    named = (part.partition("=") for part in line["files"].split(";"))
    return {split: names.split("+") for split, _, names in named}


def _name(key: Key) -> str:
    return "/".join(filter(None, key))
