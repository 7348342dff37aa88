"""`t0jax convert`: a checkpoint from one form into another, proven equal."""

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from t0jax.errors import InputError

if TYPE_CHECKING:
    from t0jax.checkpoints.form import Form

_FORMATS = ("orbax", "t5x", "hf")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    parser.add_argument(
        "--from", dest="source", required=True, metavar="SRC", help="a checkpoint in any form, here or in a bucket"
    )
    parser.add_argument("--to", required=True, metavar="DST", help="a MODEL_DIR, or for hf the model's folder")
    parser.add_argument("--format", required=True, choices=_FORMATS, help="t0jax's own, t5x's native, or Hugging Face's")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="of the parameters; default: the source's")
    parser.add_argument("--vocabulary", metavar="V", help="spiece.model: for hf the tokenizer's files, for orbax the recipe")
    parser.add_argument(
        "--step", type=int, metavar="N", help="of a source from Hugging Face, which has no place for it; default 0"
    )
    parser.add_argument("--unscanned", action="store_true", help="of orbax: layers one by one, not stacked")
    parser.add_argument("--without_optimizer", action="store_true", help="leave the optimizer's statistics")


def run(arguments: argparse.Namespace) -> int:
    """Convert; what was killed goes on when the same command is given again."""
    from t0jax.checkpoints.conversion import convert, destination_of
    from t0jax.checkpoints.forms import open_form
    from t0jax.checkpoints.plan import Plan
    from t0jax.data.progress import Advance

    source = open_form(arguments.source)
    model = dataclasses.replace(source.model, scan_layers=not arguments.unscanned)
    vocabulary = _vocabulary(arguments, source)
    keeps = not arguments.without_optimizer and arguments.format != "hf"
    plan = Plan(
        kind=arguments.format,
        model=model,
        dtype=arguments.dtype or _dtype(source),
        step=_step(arguments.step, source),
        slots={name: tensor.shape for name, tensor in source.slots.items()} if keeps else {},
        vocabulary=vocabulary,
        config_text=_recipe(source, model, vocabulary),
    )
    folder = destination_of(arguments.to, plan.kind, plan.step)
    passport = convert(source, folder, plan, Advance)
    logits = passport["logits"]
    proof = "the logits of both sides are equal" if logits.get("are_equal") else f"logits: {logits}"
    print(f"{folder}: {len(passport['tensors'])} tensors read back equal; {proof}; optimizer: {passport['statistics']}.")
    return 0


def _dtype(source: "Form") -> str:
    names = {tensor.dtype.name for tensor in source.parameters.values()}
    return "bfloat16" if names == {"bfloat16"} else "float32"


def _step(given: int | None, source: "Form") -> int:
    if given is not None and source.kind != "hf" and given != source.step:
        raise InputError(f"--step is {given}, but {source.path} is at step {source.step}: leave --step.")
    if given is None and source.step is None:
        print(f"t0jax: {source.path} does not say its step, 0 is taken; --step says another.", file=sys.stderr)
    return given if given is not None else source.step or 0


def _vocabulary(arguments: argparse.Namespace, source: "Form") -> Path | None:
    """The vocabulary given, or the one in the source's folder. InputError for one with more pieces than the model has rows."""
    from t0jax.data.vocabulary import Vocabulary

    beside = Path(str(source.path)) / "spiece.model"
    path = Path(arguments.vocabulary) if arguments.vocabulary else beside if beside.is_file() else None
    if path is None:
        return None
    vocabulary, rows = Vocabulary(path), source.model.vocab_size
    if vocabulary.size > rows:
        raise InputError(
            f"The vocabulary {path} has {vocabulary.size} pieces, but the model {rows} rows: give the model's own."
        )
    return path.absolute()


def _recipe(source: "Form", model: Any, vocabulary: Path | None) -> str:
    """A config.gin with which `t0jax infer` opens the checkpoint; training has a recipe of its own."""
    from t0jax.cli.recipe import run_text
    from t0jax.config import DataConfig, EvalConfig, MeshConfig, OptimizerConfig, Run, TrainConfig

    data = DataConfig(mixture_or_task_name="none", vocabulary=None if vocabulary is None else str(vocabulary))
    run = Run(
        model=model,
        optimizer=OptimizerConfig(),
        mesh=MeshConfig(),
        data=data,
        train=TrainConfig(),
        evaluate=EvalConfig(),
    )
    return f"# Converted from {source.path}: the model is its, all else are defaults.\n{run_text(run)}"
