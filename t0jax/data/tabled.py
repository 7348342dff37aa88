"""A folder of tables: t0jax's own, or a user's `tasks.csv`, `mixtures.csv`, `members.csv` and `templates/`, each optional."""

import functools
from collections.abc import Sequence
from pathlib import Path

from t0jax.data import tables
from t0jax.data.tables import DatasetLine, FrozenTemplate
from t0jax.errors import InputError, did_you_mean

_TASKS = "tasks"  # a user's table of datasets that no mixture need name


class Tabled:
    """What lies in one folder, each table read once and only when it is asked for."""

    def __init__(self, folder: Path, *, is_own: bool) -> None:
        self.folder, self.is_own = folder, is_own
        self.templates_folder = folder / "templates"
        if not folder.is_dir():
            raise InputError(f"There is no folder of tables {folder}: give the folder that holds {_TASKS}.csv or mixtures.csv.")
        if not any(self._has(name) for name in (_TASKS, "mixtures", "members")):
            raise InputError(
                f"The folder {folder} holds none of {_TASKS}.csv, mixtures.csv and members.csv: docs/tasks.md shows them."
            )

    @functools.cached_property
    def mixtures(self) -> tuple[tables.MixtureLine, ...]:
        """The lines of mixtures.csv."""
        return tables.read_mixtures(self._path("mixtures")) if self._has("mixtures") else ()

    @functools.cached_property
    def members(self) -> tuple[tables.MemberLine, ...]:
        """The lines of members.csv."""
        return tables.read_members(self._path("members")) if self._has("members") else ()

    @functools.cached_property
    def exclusions(self) -> tuple[tuple[str, str], ...]:
        """The lines of exclusions.csv as (mixture or *, pattern)."""
        return tables.read_exclusions(self._path("exclusions")) if self._has("exclusions") else ()

    @functools.cached_property
    def trained(self) -> tuple[tuple[str, tuple[str, str | None]], ...]:
        """The lines of trains_held_out.csv as (mixture, (dataset, subset))."""
        return tables.read_trained(self._path("trains_held_out")) if self._has("trains_held_out") else ()

    @functools.cached_property
    def frozen(self) -> dict[tuple[str, str | None], list[FrozenTemplate]]:
        """The lines of templates.csv, which only t0jax's own folder has."""
        return tables.read_frozen(frozen_path(self.folder))

    @functools.cached_property
    def table_names(self) -> tuple[str, ...]:
        """The tables of datasets: those that mixtures.csv names, in its order, and a user's tasks.csv."""
        named = dict.fromkeys(line.table for line in self.mixtures)
        return tuple(named | {_TASKS: None} if self._has(_TASKS) else named)

    def table(self, name: str) -> tuple[DatasetLine, ...]:
        """A table of datasets."""
        if name not in self._tables:
            if not self._has(name):
                near = did_you_mean(name, (path.stem for path in self.folder.glob("*.csv")))
                raise InputError(
                    f"{self._path('mixtures')} names the table {name!r}, but there is no {self._path(name)}.{near}"
                )
            self._tables[name] = tables.read_datasets(self._path(name))
        return self._tables[name]

    @functools.cached_property
    def _tables(self) -> dict[str, tuple[DatasetLine, ...]]:
        return {}

    def template_file(self, line: DatasetLine) -> Path:
        """Where a user's templates of a dataset lie."""
        return self.templates_folder / line.dataset / (line.subset or "") / "templates.yaml"

    def own_templates(self, line: DatasetLine) -> Sequence[FrozenTemplate]:
        """A dataset's templates in this folder; none when it has no file for it."""
        return _listed(line, self.templates_folder) if self.template_file(line).is_file() else ()

    def promptsource_templates(self, line: DatasetLine) -> Sequence[FrozenTemplate]:
        """A dataset's templates in promptsource, for a user's line; t0jax's own tables have theirs frozen."""
        if self.is_own:
            return ()
        from t0jax.prompts.templates import templates_folder

        folder = templates_folder()
        return _listed(line, folder) if (folder / line.dataset / (line.subset or "") / "templates.yaml").is_file() else ()

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.csv"

    def _has(self, name: str) -> bool:
        return self._path(name).is_file()


def frozen_path(folder: Path) -> Path:
    """The table of templates that `t0jax tasks freeze` derives from promptsource's files."""
    return folder / "templates.csv"


def _listed(line: DatasetLine, folder: Path) -> list[FrozenTemplate]:
    from t0jax.prompts.templates import load_templates  # loads YAML, which listing T0's own tasks does not need

    templates = load_templates(line.dataset, line.subset, folder).values()
    return [FrozenTemplate(one.name, one.original_task, bool(one.answer_choices), one.metrics) for one in templates]
