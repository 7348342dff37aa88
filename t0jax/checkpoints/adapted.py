"""A checkpoint that holds an adapter only. Its base is read beside it, and both together are one whole model at rest."""

import hashlib
import json
from collections.abc import Mapping

import numpy as np
from etils import epath

from t0jax.checkpoints.form import Form
from t0jax.checkpoints.tensor import Part, Tensor
from t0jax.checkpoints.whole import BASE
from t0jax.errors import InputError


def record(base: Form) -> str:
    """What an adapter's checkpoint says of its base."""
    return json.dumps({"path": str(base.path), "layout": base.layout, "step": base.step, "identity": identity(base)}, indent=1)


def identity(form: Form) -> str:
    """A hash that tells checkpoints apart by little reading: all names, shapes and vectors, the position tables, its adapter.

    Every step of training changes the vectors, the norms' scales. The form and the dtype that they lie in do not matter.
    """
    known = hashlib.sha256()
    for tensors in (form.parameters, form.adapter):
        for name, tensor in sorted(tensors.items()):
            known.update(f"{name} {tensor.shape}\n".encode())
            if len(tensor.shape) == 1 or name.endswith("rel_embedding") or tensors is form.adapter:
                known.update(np.ascontiguousarray(tensor.read(), np.float32).tobytes())
    return known.hexdigest()


def base_path(folder: epath.Path) -> str:
    """Where an adapter's base lies. InputError where its record is damaged."""
    try:
        return str(json.loads((folder / BASE).read_text())["path"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / BASE} cannot be read ({error}): copy the checkpoint again.") from error


def check_base(folder: epath.Path, base: Form) -> None:
    """InputError where `base` is not the checkpoint that the adapter in `folder` was trained on."""
    if json.loads((folder / BASE).read_text()).get("identity") != identity(base):
        raise InputError(
            f"The adapter {folder} was trained on another checkpoint than {base.path}, which lies where its base was: give "
            f"INITIAL_CHECKPOINT_PATH the one that it began with, or write that one's place into {folder / BASE}."
        )


def adapted_form(own: Form, base: Form) -> Form:
    """The model that an adapter makes of its base; merged as it is read. InputError for another base."""
    check_base(own.path, base)
    merged = dict(base.parameters)
    for name, tensor in own.parameters.items():
        prefix, _, leaf = name.rpartition("/")
        target = name if leaf == "scale" else f"{prefix}/kernel"
        if leaf == "ia3":
            merged[target] = _scaled(base.parameters[target], tensor)
        elif leaf == "lora_a":
            merged[target] = _added(base.parameters[target], tensor, own.parameters[f"{prefix}/lora_b"])
        elif leaf == "scale":
            merged[target] = tensor
    layout = f"{own.layout}, an adapter ({_kind(own.parameters)}) on {base.path} ({base.layout}, step {base.step})"
    return Form(own.path, "orbax", layout, own.step, merged, settings=base.settings, adapter=own.parameters)


def _kind(adapter: Mapping[str, Tensor]) -> str:
    return "ia3" if any(name.endswith("/ia3") for name in adapter) else "lora"


def _scaled(kernel: Tensor, factors: Tensor) -> Tensor:
    """IA3: every column of the kernel times its factor."""

    def read(part: Part) -> np.ndarray:
        return kernel.read_part(part).astype(np.float32) * factors.read_part(part[1:]).astype(np.float32)

    return Tensor(kernel.shape, np.dtype(np.float32), read)


def _added(kernel: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """LoRA: the kernel plus the product of two narrow ones over their rank."""
    rank = first.shape[1]

    def read(part: Part) -> np.ndarray:
        a, b = first.read_part((part[0], slice(0, rank))), second.read_part((slice(0, rank), part[1]))
        return kernel.read_part(part).astype(np.float32) + a.astype(np.float32) @ b.astype(np.float32) / np.float32(rank)

    return Tensor(kernel.shape, np.dtype(np.float32), read)
