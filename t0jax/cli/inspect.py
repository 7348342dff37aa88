"""`t0jax inspect`: what a checkpoint holds, in whatever form it is."""

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from etils import epath

    from t0jax.checkpoints.form import Form


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    parser.add_argument("checkpoint", metavar="CKPT", help="a checkpoint_<step>, a MODEL_DIR, or a Hugging Face folder")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def run(arguments: argparse.Namespace) -> int:
    """Describe the checkpoint; an InputError where it is not whole."""
    from t0jax.checkpoints.forms import open_form

    described = describe(open_form(arguments.checkpoint))
    if arguments.json:
        print(json.dumps(described))
        return 0
    model = described.pop("model")
    width = max(map(len, described))
    for name, value in described.items():
        print(f"{name:<{width}}  {f'{value:,}' if isinstance(value, int) else value}")
    print(f"{'model':<{width}}  {', '.join(f'{name} {value}' for name, value in model.items())}")
    return 0


def describe(form: "Form") -> dict[str, Any]:
    """What `t0jax inspect --json` prints. InputError where tensors are missing or have other shapes than the model."""
    from t0jax.checkpoints.form import check_model
    from t0jax.model.parameters import count_parameters

    model = form.model
    check_model(form, model, is_own=True)
    dtypes = sorted({tensor.dtype.name for tensor in form.parameters.values()})
    fields = {field.name: getattr(model, field.name) for field in dataclasses.fields(model)}
    training_only = ("dropout_rate", "dtype", "scan_layers", "remat", "adapter", "adapter_rank")
    return {
        "path": str(form.path),
        "layout": form.layout,
        "step": "not in this form" if form.step is None else form.step,
        "parameters": count_parameters(model),
        "dtype": ", ".join(dtypes),
        "bytes on disk": _bytes(form.path),
        "optimizer": _optimizer(form),
        "provenance": _provenance(form),
        "model": {name: value for name, value in fields.items() if name not in training_only},
    }


def _optimizer(form: "Form") -> str:
    if not form.slots:
        return "none"
    of_whole = [name for name, tensor in form.slots.items() if name.endswith("/v_row") and tensor.shape != (1,)]
    return f"Adafactor's statistics, {len(of_whole)} of {len(form.parameters)} parameters factored"


def _provenance(form: "Form") -> str:
    from t0jax.checkpoints.passport import read_passport

    passport = read_passport(form.path)
    if passport is not None:
        source = passport["source"]
        return f"converted by t0jax {passport['t0jax']} from {source['path']} ({source['layout']}, step {source['step']})"
    if form.kind == "orbax":
        return f"trained by t0jax; its recipe is {form.path / 'config.gin'}"
    return "unknown: no passport.json"


def _bytes(path: "epath.Path") -> int:
    if path.is_file():
        return int(path.stat().length)
    return sum(_bytes(one) for one in path.iterdir())
