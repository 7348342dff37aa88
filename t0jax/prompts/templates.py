"""promptsource's template files, read as data: none of its code runs."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from t0jax.errors import InputError, did_you_mean

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Template:
    """One wording of a dataset: a Jinja text `input ||| target` and what is known about it."""

    name: str
    jinja: str
    answer_choices: str | None
    """Jinja for the choices, joined by `|||`; None when the answer is open-ended."""
    original_task: bool
    """Whether it asks for the task that the dataset was made for."""
    metrics: tuple[str, ...]
    choices_in_prompt: bool | None


_KEYS = {"name", "jinja", "answer_choices", "original_task", "metrics", "choices_in_prompt", "metadata", "id", "reference"}


class _TemplateLoader(_Loader):
    """Safe YAML plus promptsource's two tags, both read as plain mappings."""


def _mapping(loader: Any, node: Any) -> dict[str, Any]:
    return loader.construct_mapping(node, deep=True)


for _tag in ("!Template", "!TemplateMetadata"):
    _TemplateLoader.add_constructor(_tag, _mapping)


def templates_folder() -> Path:
    """Where promptsource's `<dataset>/[<subset>/]templates.yaml` lie; InputError when it is not installed."""
    spec = importlib.util.find_spec("promptsource")
    if spec is None or not spec.submodule_search_locations:
        raise InputError("The template files of promptsource are not installed: run `make setup`.")
    return Path(spec.submodule_search_locations[0]) / "templates"


def load_templates(dataset: str, subset: str | None = None, folder: Path | None = None) -> dict[str, Template]:
    """The templates of a dataset by name, sorted; InputError when there is no template file for it."""
    folder = folder or templates_folder()
    path = folder / dataset / (subset or "") / "templates.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        known = [str(file.parent.relative_to(folder)) for file in folder.glob("**/templates.yaml")]
        wanted = f"{dataset}/{subset}" if subset else dataset
        raise InputError(f"There are no templates for {wanted} at {path}.{did_you_mean(wanted, known)}") from error
    try:
        entries = yaml.load(text, Loader=_TemplateLoader)["templates"]
        entries = list(entries.values() if isinstance(entries, dict) else entries)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).replace("<unicode string>", path.name).split())
        remedy = "write `templates:` and under it each wording's name, jinja and, if it has choices, answer_choices"
        raise InputError(f"{path} is not a template file ({type(error).__name__}: {reason}): {remedy}.") from error
    templates = [_template(entry, f"{path}, template {number}") for number, entry in enumerate(entries, start=1)]
    names = [template.name for template in templates]
    if again := sorted(name for name in set(names) if names.count(name) > 1):
        raise InputError(f"{path} has two templates named {again[0]!r}: rename one.")
    return {template.name: template for template in sorted(templates, key=lambda template: template.name)}


def _template(entry: Any, place: str) -> Template:
    """A promptsource entry, or a user's, which may write the metadata's fields beside the others and choices as a list."""
    if not isinstance(entry, dict):
        raise InputError(f"{place} is {entry!r}: write name, jinja and, if it has choices, answer_choices under it.")
    place = f"{place} ({entry['name']!r})" if "name" in entry else place
    if unknown := sorted(str(key) for key in entry.keys() - _KEYS):
        raise InputError(f"{place} has the key {unknown[0]!r}, which nothing reads.{did_you_mean(unknown[0], _KEYS)}")
    choices = entry.get("answer_choices")
    if isinstance(choices, list) and all(isinstance(choice, str) for choice in choices):
        choices = " ||| ".join(choices)
    for name, value, is_needed in (
        ("name", entry.get("name"), 1),
        ("jinja", entry.get("jinja"), 1),
        ("answer_choices", choices, 0),
    ):
        if not isinstance(value, str) and (is_needed or value is not None):
            raise InputError(
                f"{place}: {name} is {value!r}; it must be text{'' if is_needed else ', choices with ||| between'}."
            )
    metadata = entry.get("metadata") or entry
    metrics = metadata.get("metrics") or []
    if not isinstance(metrics, list) or not all(isinstance(metric, str) for metric in metrics):
        raise InputError(f"{place}: metrics is {metrics!r}; it must be a list of names, as [ROUGE, BLEU].")
    return Template(
        name=entry["name"],
        jinja=entry["jinja"],
        answer_choices=choices,
        original_task=bool(metadata.get("original_task")),
        metrics=tuple(metrics),
        choices_in_prompt=metadata.get("choices_in_prompt"),
    )
