"""The tables at rest, a line at a time: datasets, mixtures, their members, exclusions, and the frozen list of templates."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from t0jax.data.rates import CAP_RULES
from t0jax.errors import InputError, did_you_mean

FROZEN_FIELDS = ("dataset", "subset", "template", "original_task", "has_choices", "metrics")
_DATASET_FIELDS = ("dataset", "subset", "family", "train_in", "eval_in", "train_size", "suffix", "splits")
_SPLITS = {"train": "train", "validation": "validation", "test": "test"}
ROLES = ("train", "train_score_eval", "eval_score_eval")
_PROMPTS = ("all", "original", "one_original")


@dataclass(frozen=True)
class DatasetLine:
    """A dataset in its roles."""

    place: str
    dataset: str
    subset: str | None
    family: str
    train_in: str
    eval_in: str
    train_size: int
    suffix: str
    splits: Mapping[str, str] = field(hash=False)


@dataclass(frozen=True)
class MixtureLine:
    """A mixture by selection: which datasets of which table, which of their templates, and the cap of their rates."""

    place: str
    mixture: str
    table: str
    role: str
    datasets: tuple[str, ...]
    prompts: str
    cap: int
    """0: none is given."""
    rule: str


@dataclass(frozen=True)
class MemberLine:
    """A part of a mixture by combination: another mixture, a dataset or a task."""

    place: str
    mixture: str
    member: str
    rate: float | None
    """What all tasks of the member get together, relative to the other members; None: the sum of their own rates."""
    cap: int | None
    """No task of the member counts for more than this before `rate` is shared out."""


@dataclass(frozen=True)
class FrozenTemplate:
    """What listing tasks needs to know of a template."""

    template: str
    original_task: bool
    has_choices: bool
    metrics: tuple[str, ...]
    """By promptsource's names."""


def read_datasets(path: Path) -> tuple[DatasetLine, ...]:
    """A table of datasets; all but the name may be left out. InputError names the line that is not one."""
    lines = []
    for place, line in _lines(path, ("dataset",), _DATASET_FIELDS[1:]):
        pairs = [pair.split("=") for pair in line.get("splits", "").split()]
        if any(len(pair) != 2 for pair in pairs):
            raise InputError(f"{place}: splits is {line['splits']!r}; write 'train=train validation=dev'.")
        texts = {name: line.get(name, "") for name in ("family", "train_in", "eval_in", "suffix")}
        size = _number(place, "train_size", line.get("train_size", "")) or 0
        subset = line.get("subset") or None
        lines.append(DatasetLine(place, line["dataset"], subset, train_size=size, splits=dict(pairs) or _SPLITS, **texts))
    return tuple(lines)


def read_mixtures(path: Path) -> tuple[MixtureLine, ...]:
    """mixtures.csv: mixtures by selection from a table of datasets."""
    lines = []
    for place, line in _lines(path, ("mixture", "table", "role", "datasets", "prompts"), ("cap", "rule")):
        line["rule"] = line.get("rule") or "released"
        for name, known in (("role", ROLES), ("prompts", _PROMPTS), ("rule", tuple(CAP_RULES))):
            if line[name] not in known:
                raise InputError(f"{place}: {name} is {line[name]!r}; it must be {', '.join(known[:-1])} or {known[-1]}.")
        cap = _number(place, "cap", line.get("cap", "")) or 0
        datasets = tuple(line["datasets"].split())
        names = (line["mixture"], line["table"], line["role"])
        lines.append(MixtureLine(place, *names, datasets, line["prompts"], cap, line["rule"]))
    return tuple(lines)


def read_members(path: Path) -> tuple[MemberLine, ...]:
    """members.csv: mixtures by combination of other mixtures, datasets and tasks."""
    lines = []
    for place, line in _lines(path, ("mixture", "member"), ("rate", "cap")):
        rate, cap = _rate(place, line.get("rate", "")), _number(place, "cap", line.get("cap", ""))
        if cap == 0:
            raise InputError(f"{place}: cap is 0; it must be above 0, or empty for none.")
        lines.append(MemberLine(place, line["mixture"], line["member"], rate, cap))
    return tuple(lines)


def read_exclusions(path: Path) -> tuple[tuple[str, str], ...]:
    """exclusions.csv as (mixture or *, pattern of task names); every line has a reason."""
    return tuple((line["mixture"], line["task"]) for _, line in _lines(path, ("mixture", "task", "reason")))


def read_trained(path: Path) -> tuple[tuple[str, tuple[str, str | None]], ...]:
    """trains_held_out.csv as (mixture, (dataset, subset)): held-out datasets that a mixture trains by design."""
    lines = _lines(path, ("mixture", "dataset", "subset", "reason"))
    return tuple((line["mixture"], (line["dataset"], line["subset"] or None)) for _, line in lines)


def read_frozen(path: Path) -> dict[tuple[str, str | None], list[FrozenTemplate]]:
    """templates.csv by (dataset, subset), in the order of the templates' names."""
    frozen: dict[tuple[str, str | None], list[FrozenTemplate]] = {}
    for _, line in _lines(path, FROZEN_FIELDS):
        metrics = tuple(filter(None, line["metrics"].split("|")))
        entry = FrozenTemplate(line["template"], line["original_task"] == "yes", line["has_choices"] == "yes", metrics)
        frozen.setdefault((line["dataset"], line["subset"] or None), []).append(entry)
    return frozen


def _lines(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> Iterator[tuple[str, dict[str, str]]]:
    """The lines of a CSV file with their places; InputError when it cannot be read or has other fields than these."""
    known = set(required) | set(optional)
    also = f" It must have {', '.join(required)}" + (f", it may have {', '.join(optional)}" if optional else "")
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            for name in reader.fieldnames or ():
                if name not in known:
                    raise InputError(f"{path} has the column {name!r}, which nothing reads.{did_you_mean(name, known)}{also}.")
            for line in reader:
                place = f"{path}, line {reader.line_num}"
                if not set(required) <= set(line) <= known or None in line.values():
                    raise InputError(f"{place} has not as many fields as there are columns, or one is lacking.{also}.")
                yield place, line
    except OSError as error:
        raise InputError(f"The table {path} cannot be read ({error.strerror}).") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"The table {path} is not CSV in UTF-8 ({error}).") from error


def _number(place: str, name: str, text: str) -> int | None:
    if text and not text.isdecimal():
        raise InputError(f"{place}: {name} is {text!r}; it must be a whole number, or empty.")
    return int(text) if text else None


def _rate(place: str, text: str) -> float | None:
    try:
        rate = float(text) if text else None
    except ValueError:
        rate = -1.0
    if rate is not None and not 0 < rate < float("inf"):
        raise InputError(f"{place}: rate is {text!r}; it must be a number above 0, or empty for the sum of the member's own.")
    return rate
