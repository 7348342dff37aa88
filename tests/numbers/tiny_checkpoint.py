"""Checkpoints of seconds: tiny T5s with random parameters and statistics, in t0jax's own form."""

import dataclasses
import pathlib
from typing import Any

import jax
import numpy as np

from t0jax.checkpoints.conversion import convert, destination_of
from t0jax.checkpoints.form import Form, Kind
from t0jax.checkpoints.forms import open_form
from t0jax.checkpoints.orbax import Checkpoints
from t0jax.checkpoints.plan import Plan
from t0jax.config import MeshConfig, ModelConfig, OptimizerConfig
from t0jax.mesh import make_mesh
from t0jax.training.step import State, initial_state

T5_1_1 = ModelConfig(
    vocab_size=160,
    emb_dim=16,
    num_heads=2,
    head_dim=4,
    mlp_dim=24,
    num_encoder_layers=2,
    num_decoder_layers=3,
    dropout_rate=0.0,
)
T5_1_0 = dataclasses.replace(T5_1_1, mlp_activations=("relu",), logits_via_embedding=True)
FACTORED = dataclasses.replace(T5_1_1, emb_dim=128, num_encoder_layers=1, num_decoder_layers=1)
"""Wide enough for one matrix, the embedding, to have its second moments factored."""


class Silent:
    """A progress that nobody sees."""

    def __init__(self, label: str, total: int) -> None:
        self.total = total

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def advance(self, steps: int) -> None:
        pass


def write_own(folder: pathlib.Path, model: ModelConfig = T5_1_1, step: int = 7) -> State:
    """`folder/checkpoint_<step>` with random parameters and random statistics; returns what it holds."""
    state = initial_state(model, OptimizerConfig(), make_mesh(MeshConfig(), jax.devices()[:1]), jax.random.key(0))
    random = np.random.default_rng(1)

    def filled(leaf: Any) -> Any:
        is_number = leaf.dtype == np.int32
        values = np.int32(step) if is_number else random.uniform(0.1, 1.0, leaf.shape).astype(np.float32)
        return jax.device_put(values, leaf.sharding)

    state = jax.tree.map(filled, state)
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(step, state, {}, {"config.gin": "# how it was trained\n"})
        checkpoints.wait()
    return state


def converted(
    source: pathlib.Path, to: pathlib.Path, kind: Kind, *, dtype: str = "float32", scan: bool = True, vocabulary: Any = None
) -> Form:
    """The source in another form."""
    form = open_form(source)
    plan = Plan(
        kind=kind,
        model=dataclasses.replace(form.model, scan_layers=scan),
        dtype=dtype,
        step=form.step or 0,
        slots={} if kind == "hf" else {name: tensor.shape for name, tensor in form.slots.items()},
        vocabulary=vocabulary,
    )
    folder = destination_of(str(to), kind, plan.step)
    convert(form, folder, plan, Silent)
    return open_form(folder)


def assert_same(left: Form, right: Form, *, with_slots: bool = True) -> None:
    """Every tensor of both is equal to the bit."""
    assert left.parameters.keys() == right.parameters.keys()
    pairs = [(name, left.parameters[name], right.parameters[name]) for name in left.parameters]
    if with_slots:
        assert left.slots.keys() == right.slots.keys()
        pairs += [(name, left.slots[name], right.slots[name]) for name in left.slots]
    for name, one, other in pairs:
        assert one.dtype == other.dtype, name
        np.testing.assert_array_equal(one.read(), other.read(), err_msg=name)
