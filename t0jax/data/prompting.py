"""A dataset's rows under its wordings, without a tokenizer."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from t0jax.data.sources.places import Places, open_split
from t0jax.data.universe import SCORE_EVAL, PromptedTask
from t0jax.errors import InputError, did_you_mean
from t0jax.prompts.render import Prompted, Renderer
from t0jax.prompts.templates import Template, load_templates


class Wording:
    """One task's template, ready for rows. The same row of a split is always rendered to the same text."""

    def __init__(self, task: PromptedTask, template: Template):
        self.task = task
        self._render = Renderer(template)

    def __call__(self, row: Mapping[str, Any], split: str, index: int) -> Prompted | None:
        """The prompt of row `index` of a split of the task, or None where the template does not apply to it."""
        base = self.task.name.removesuffix(SCORE_EVAL)
        try:
            return self._render(row, seed=f"{base}/{split}/{index}")
        except InputError as error:
            raise InputError(f"Task {self.task.name}, row {index} of {split}: {error}") from error


def task_templates(tasks: Sequence[PromptedTask]) -> list[Template]:
    """The template of each task; each dataset's file is read once. InputError when a file lacks one."""
    files: dict[tuple[str, str | None, str | None], dict[str, Template]] = {}
    found = []
    for task in tasks:
        key = (task.dataset, task.subset, task.templates)
        if key not in files:
            files[key] = load_templates(task.dataset, task.subset, Path(task.templates) if task.templates else None)
        if task.template not in files[key]:
            near = did_you_mean(task.template, files[key])
            raise InputError(f"The task {task.name} needs a template {task.template!r} that its file lacks.{near}")
        found.append(files[key][task.template])
    return found


def prompts(
    task: PromptedTask, split: str, places: Places, num_examples: int | None = None
) -> Iterator[tuple[int, Prompted | None]]:
    """Each row of a task's split by its number, at most the first `num_examples`; None where the template does not apply."""
    wording = Wording(task, task_templates([task])[0])
    for index, row in enumerate(open_split(places, task, split, num_examples).read()):
        yield index, row if isinstance(row, Prompted) else wording(row, split, index)
