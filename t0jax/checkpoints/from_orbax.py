"""Reading Orbax's form: t0jax's own checkpoints, and those of t5x's Orbax manager."""

from etils import epath

from t0jax.checkpoints import whole
from t0jax.checkpoints.arrays import orbax_arrays
from t0jax.checkpoints.form import MOMENTUM, Form
from t0jax.checkpoints.names import SLOTS, unscanned
from t0jax.checkpoints.tensor import Tensor
from t0jax.errors import InputError


def _by_layer(arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    """Stacks taken apart: every single layer's tensor by its unscanned name."""
    places = unscanned(arrays, {name: tensor.shape[0] for name, tensor in arrays.items() if tensor.shape})
    return {name: arrays[stored] if layer is None else arrays[stored].layer(layer) for name, (stored, layer) in places.items()}


def own_form(folder: epath.Path) -> Form:
    """A `checkpoint_<step>` of t0jax's; its layers may be stacked or not."""
    whole.check_whole(folder)
    arrays = orbax_arrays(folder / "params")
    slots: dict[str, Tensor] = {}
    if (folder / "optimizer").is_dir():
        state = orbax_arrays(folder / "optimizer")
        for slot in SLOTS:
            prefix = f"opt_state/{slot}/"
            of_slot = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
            slots |= {f"{name}/{slot}": tensor for name, tensor in _by_layer(of_slot).items()}
    is_stacked = any("/layers/" in name for name in arrays)
    layout = f"Orbax, layers {'stacked' if is_stacked else 'one by one'}"
    return Form(folder, "orbax", layout, whole.step_of(folder), _by_layer(arrays), slots, is_stacked)


def t5x_orbax_form(folder: epath.Path) -> Form:
    """A `checkpoint_<step>` of t5x's Orbax manager: one tree in `state/`."""
    arrays = orbax_arrays(folder / "state")
    if "state/step" not in arrays:
        raise InputError(f"{folder} is no t5x checkpoint: its state/ has no step; give a checkpoint_<step> that t5x wrote.")
    params = {name.removeprefix("target/"): one for name, one in arrays.items() if name.startswith("target/")}
    slots = slots_of({name.removeprefix("state/"): one for name, one in arrays.items() if name.startswith("state/")})
    return Form(folder, "t5x", "t5x's Orbax form", int(arrays["state/step"].read()), params, slots)


def slots_of(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Adafactor's statistics out of t5x's `param_states/<parameter>/<slot>`; momentum only where it was kept."""
    prefix = "param_states/"
    found = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    is_unused = {name: name.endswith(MOMENTUM) and tensor.shape == (1,) for name, tensor in found.items()}
    return {name: tensor for name, tensor in found.items() if not is_unused[name]}
