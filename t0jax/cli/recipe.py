"""Gin files and bindings in, one frozen `Run` out; and back to gin text that is enough to run again."""

import argparse
import ast
import dataclasses
import re
import tempfile
import typing
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from t0jax.checked import Checked
from t0jax.config import SECTIONS, Run
from t0jax.errors import InputError, did_you_mean
from t0jax.street import gin_folder

if TYPE_CHECKING:
    from etils import epath

MACROS: Mapping[str, tuple[tuple[str, str], ...]] = {
    name: tuple(tuple(field.split(".")) for field in fields.split())  # type: ignore[misc]
    for name, fields in {
        "ADAPTER": "model.adapter",
        "ALLOW_HELD_OUT": "train.allow_held_out",
        "BATCH_SIZE": "data.batch_size",
        "CACHE_DIR": "data.cache_dir",
        "CAP_RULE": "data.cap_rule",
        "CHECKPOINT_PATH": "evaluate.checkpoint_path",
        "CHECKPOINT_PERIOD": "train.checkpoint_period",
        "DATA_DIR": "data.data_dir",
        "DROPOUT_RATE": "model.dropout_rate",
        "EVAL_OUTPUT_DIR": "evaluate.eval_output_dir",
        "HUB_LOCK": "data.hub_lock",
        "INITIAL_CHECKPOINT_PATH": "train.initial_checkpoint_path",
        "LABEL_SMOOTHING": "train.label_smoothing",
        "LOSS_NORMALIZING_FACTOR": "train.loss_normalizing_factor",
        "MIXTURE_OR_TASK_NAME": "data.mixture_or_task_name",
        "MODEL_DIR": "train.model_dir",
        "NAN_RESTORES": "train.nan_restores",
        "WANDB_PROJECT": "train.wandb_project",
        "NUM_EXAMPLES": "data.num_examples",
        "P3_DIR": "data.p3_dir",
        "RANDOM_SEED": "train.random_seed data.shuffle_seed",
        "SKIP_MISSING": "data.skip_missing",
        "SOURCES": "data.sources",
        "SPLIT": "data.split",
        "TABLES": "data.tables",
        "TASK_FEATURE_LENGTHS": "data.task_feature_lengths",
        "TFDS_DATA_DIR": "data.tfds_data_dir",
        "TRAIN_STEPS": "train.train_steps",
        "USE_CACHED_TASKS": "data.use_cached_tasks",
        "VOCABULARY": "data.vocabulary",
        "Z_LOSS": "train.z_loss",
    }.items()
}
"""t5x's macros, and ours in their manner: the fields of a Run that each one sets."""


def add_gin_arguments(parser: argparse.ArgumentParser) -> None:
    """Give a command t5x's gin flags; `--gin.NAME=VALUE` is taken by the command line itself."""
    parser.add_argument("--gin_file", action="append", default=[], metavar="FILE", help="a recipe; may be given again")
    parser.add_argument("--gin_search_paths", default="", metavar="DIR,DIR", help="where else gin files are looked for")
    parser.epilog = (
        "--gin.NAME=VALUE overrides the recipe: a macro (" + ", ".join(MACROS) + ") or a field (ModelConfig.emb_dim)."
    )


def run_of(arguments: argparse.Namespace, *, is_sketch: bool = False) -> Run:
    """The Run that a command's gin flags describe; see `read_run`."""
    paths = [path for path in arguments.gin_search_paths.split(",") if path]
    return read_run(arguments.gin_file, arguments.gin_bindings, paths, is_sketch=is_sketch)


def read_run(
    gin_files: Sequence[str], bindings: Sequence[str] = (), search_paths: Sequence[str] = (), *, is_sketch: bool = False
) -> Run:
    """Read gin files, then `NAME=VALUE` bindings over them; an InputError names what is wrong and the nearest names.

    A sketch may lack what the recipe requires of its user (where a checkpoint lies, ...): that keeps its default.
    """
    if not gin_files:
        raise InputError("No recipe: give --gin_file, for example --gin_file=gin/runs/mini_t0.gin.")
    gin = _gin()
    gin.clear_config()
    paths = [_find(name, search_paths) for name in gin_files]
    for folder in search_paths:
        gin.add_config_file_search_path(folder)
    try:
        gin.parse_config_files_and_bindings([str(path) for path in paths], None, finalize_config=False)
        given = [_binding(text) for text in bindings]
        gin.parse_config([f"{name} = {value}" for name, value in given])
        for name in _defined_macros(gin):
            _bind_fields(gin, name, overrides=name in dict(given))
        parts: dict[str, Any] = {section: _section(gin, section, is_sketch) for section in SECTIONS}
        return Run(**parts)
    except InputError:
        raise
    except (ValueError, SyntaxError, OSError, AttributeError) as error:
        raise InputError(_explain(str(error), gin_files)) from error
    finally:
        gin.clear_config()


def run_beside(checkpoint: "epath.Path") -> Run | None:
    """The Run that a checkpoint is of, as its own recipe says; None where it has none."""
    from t0jax.checkpoints.passport import recipe_of

    recipe = recipe_of(checkpoint)
    if recipe is None:
        return None
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".gin") as config:
        config.write(recipe)
        config.flush()
        return read_run([config.name])


def run_text(run: Run) -> str:
    """The whole Run as gin text: `t0jax train --gin_file=THIS` repeats it."""
    macro_of = {field: name for name, fields in MACROS.items() for field in fields}
    macros, fields = [], []
    for section, kind in SECTIONS.items():
        part = getattr(run, section)
        for name in _fields(kind):
            value = getattr(part, name)
            literal = repr(dict(value) if isinstance(value, Mapping) else value)
            macro = macro_of.get((section, name))
            shared = macro is not None and len(MACROS[macro]) > 1
            if macro and not shared:
                macros.append(f"{macro} = {literal}")
            else:
                fields.append(f"{kind.__name__}.{name} = {literal}")
    return "\n".join(["# The whole run, as it was; enough to run it again.", *sorted(macros), "", *fields, ""])


@cache
def _gin() -> Any:
    """gin, knowing our dataclasses and where our recipes lie."""
    import gin

    # gin's second reader looks for files inside installed packages: it logs an error for every file that lies elsewhere.
    del gin.config._FILE_READERS[1:]
    gin.add_config_file_search_path(str(gin_folder()))
    for kind in SECTIONS.values():
        gin.external_configurable(kind, module="t0jax")
    return gin


def _fields(kind: type[Checked]) -> list[str]:
    return list(typing.get_type_hints(kind))


def _find(name: str, search_paths: Sequence[str]) -> Path:
    folders = [Path(), *map(Path, search_paths), gin_folder()]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    known = [str(path.relative_to(gin_folder())) for path in sorted(gin_folder().rglob("*.gin"))]
    where = ", ".join(str(folder.resolve()) for folder in folders)
    raise InputError(f"There is no gin file {name!r} in {where}.{did_you_mean(name.removeprefix('gin/'), known)}")


def _binding(text: str) -> tuple[str, str]:
    """`NAME=VALUE` as gin's two sides; a VALUE that is no Python literal is a bare string."""
    name, equals, value = text.partition("=")
    if not equals:
        raise InputError(f"--gin.{text} has no value: write --gin.{text}=VALUE.")
    kinds = _kinds_of(name)
    try:
        literal = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        if value.startswith(("%", "@")):
            return name, value
        return name, repr(tuple(value.split(",")) if tuple[str, ...] in kinds else value)
    takes = {part for kind in kinds for part in (kind, *typing.get_args(kind))}
    takes_text = str in takes and (int not in takes or value.startswith("+"))
    is_number = isinstance(literal, int | float) and not isinstance(literal, bool)
    return name, repr(value) if takes_text and is_number else value


def _kinds_of(name: str) -> list[Any]:
    """The annotations of the fields that `name` sets; an InputError when it sets none."""
    classes = {kind.__name__: kind for kind in SECTIONS.values()}
    if name in MACROS:
        return [typing.get_type_hints(SECTIONS[section])[field] for section, field in MACROS[name]]
    owner, _, field = name.partition(".")
    if owner in classes and field in _fields(classes[owner]):
        return [typing.get_type_hints(classes[owner])[field]]
    known = [*MACROS, *(f"{title}.{field}" for title, kind in classes.items() for field in _fields(kind))]
    hint = did_you_mean(name, known) or f" Macros are {', '.join(MACROS)}."
    raise InputError(f"No recipe has {name!r} to override.{hint}")


def _defined_macros(gin: Any) -> list[str]:
    """Macros that the files and bindings define; an InputError for one that neither we nor another line reads."""
    text = gin.config_str()
    names = re.findall(r"^([A-Za-z_][\w]*) *= *", text, flags=re.MULTILINE)
    for name in names:
        if name not in MACROS and not re.search(rf"%{name}\b", text):
            raise InputError(f"The recipe sets {name!r}, which nothing reads.{did_you_mean(name, MACROS)}")
    return [name for name in names if name in MACROS]


def _bind_fields(gin: Any, macro: str, *, overrides: bool) -> None:
    """Let `macro` set its fields; a field that the files set by its own name keeps that, unless the command line overrides."""
    for section, field in MACROS[macro]:
        title = SECTIONS[section].__name__
        if overrides or field not in gin.get_bindings(title, resolve_references=False):
            gin.parse_config(f"{title}.{field} = %{macro}")


def _section(gin: Any, section: str, is_sketch: bool) -> Checked:
    kind = SECTIONS[section]
    bound = gin.get_bindings(kind.__name__)
    if is_sketch:
        spared = {one.name for one in dataclasses.fields(kind) if not _has_no_default(one)}  # type: ignore[arg-type]
        bound = {field: value for field, value in bound.items() if value is not gin.REQUIRED or field not in spared}
    required = [field for field, value in bound.items() if value is gin.REQUIRED]
    required += [one.name for one in dataclasses.fields(kind) if _has_no_default(one) and one.name not in bound]  # type: ignore[arg-type]
    if required:
        macros = [name for name, fields in MACROS.items() if any((section, field) in fields for field in required)]
        remedy = ", ".join(f"--gin.{name}=..." for name in macros) or "set it in the recipe"
        raise InputError(f"The recipe leaves {kind.__name__}.{', '.join(required)} to you: give {remedy}.")
    return kind(**bound)


def _has_no_default(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _explain(message: str, gin_files: Sequence[str]) -> str:
    """gin's complaint on one line, with the nearest names of ours."""
    line = " ".join(message.split())
    unknown = re.search(r"doesn't have a parameter named '(\w+)'|No configurable matching '([\w.]+)'", line)
    names = [kind.__name__ for kind in SECTIONS.values()] + [field for kind in SECTIONS.values() for field in _fields(kind)]
    hint = did_you_mean(unknown.group(1) or unknown.group(2), names) if unknown else ""
    return f"The recipe {', '.join(gin_files)} cannot be read: {line.rstrip('.')}.{hint}"
