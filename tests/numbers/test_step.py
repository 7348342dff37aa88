"""One step is the same step however it is split: over devices, over microbatches, over runs."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t0jax.batch import synthetic_batch
from t0jax.config import MeshConfig, ModelConfig, OptimizerConfig, TrainConfig
from t0jax.mesh import make_mesh, place_batch
from t0jax.model.t5 import T5
from t0jax.training.step import State, abstract_state, initial_state, loss, make_step, state_shardings, token_losses

MODEL = ModelConfig(
    vocab_size=64,
    emb_dim=16,
    num_heads=2,
    head_dim=8,
    mlp_dim=24,
    num_encoder_layers=1,
    num_decoder_layers=2,
    dtype="float32",
    dropout_rate=0.0,
)
OPTIMIZER = OptimizerConfig(min_dim_to_factor=16, learning_rate=0.01)
BATCH = synthetic_batch(batch_size=8, inputs_length=12, targets_length=8, vocab_size=64, segments=2)
KEY = jax.random.key(1)


@functools.cache
def start() -> State:
    """The state before the first step, in memory: compiled once for all tests."""
    state = initial_state(MODEL, OPTIMIZER, make_mesh(MeshConfig(), jax.devices()[:1]), jax.random.key(0))
    return jax.tree.map(np.asarray, state)


@functools.cache
def step_on(mesh_config: MeshConfig, devices: int, microbatches: int = 1, model: ModelConfig = MODEL):
    """(mesh, compiled step)."""
    mesh = make_mesh(mesh_config, jax.devices()[:devices])
    return mesh, make_step(model, OPTIMIZER, TrainConfig(microbatches=microbatches), mesh)


def train(mesh_config: MeshConfig, devices: int, steps: int = 2, microbatches: int = 1):
    mesh, step = step_on(mesh_config, devices, microbatches)
    state = jax.device_put(start(), state_shardings(MODEL, OPTIMIZER, mesh))
    for _ in range(steps):
        state, metrics = step(state, place_batch(mesh, BATCH), KEY)
    return state, jax.tree.map(float, metrics)


@pytest.fixture(scope="module")
def single():
    state, metrics = train(MeshConfig(), 1)
    return jax.tree.map(np.asarray, state), metrics


def assert_same(found, expected) -> None:
    """Sums over devices come in another order: float32 rounding, grown by the division by small second moments."""
    (state, metrics), (expected_state, expected_metrics) = found, expected
    for name, value in expected_metrics.items():
        assert metrics[name] == pytest.approx(value, rel=1e-4), name
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), state.params, expected_state.params)


@pytest.mark.parametrize("axes", [{"data": 2, "fsdp": 4}, {"data": 2, "fsdp": 2, "tensor": 2}])
def test_sharded_equals_single_device(axes: dict[str, int], single) -> None:
    found = train(MeshConfig(**axes), 8)
    kernel = found[0].params["decoder"]["layers"]["mlp"]["wo"]["kernel"]
    assert kernel.addressable_shards[0].data.size * axes["fsdp"] * axes.get("tensor", 1) == kernel.size
    assert_same(found, single)


def test_microbatches_equal_one_batch(single) -> None:
    assert_same(train(MeshConfig(), 1, microbatches=4), single)


def test_a_narrow_batch_trains_as_it_does_padded(single) -> None:
    """Sharded and in microbatches; the state goes from a step of one shape into a step of the other."""
    microbatches = 2
    mesh, step = step_on(MeshConfig(data=2, fsdp=2, tensor=2), 8, microbatches)
    padded = {name: np.pad(v, [(0, 0), (0, 4 * name.startswith("decoder"))]) for name, v in BATCH.items()}
    state = jax.device_put(start(), state_shardings(MODEL, OPTIMIZER, mesh))
    for batch in (padded, BATCH):
        state, metrics = step(state, place_batch(mesh, batch, microbatches), KEY)
    assert_same((state, jax.tree.map(float, metrics)), single)


def test_sharded_start_equals_single_device_start() -> None:
    """Every device makes its own part of the same numbers."""
    sharded = initial_state(MODEL, OPTIMIZER, make_mesh(MeshConfig(data=2, fsdp=2, tensor=2)), jax.random.key(0))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), sharded, start())


def test_training_learns_its_batch() -> None:
    _, before = train(MeshConfig(), 1, steps=1)
    _, after = train(MeshConfig(), 1, steps=40)
    assert after["loss"] < 0.7 * before["loss"]
    assert after["accuracy"] > before["accuracy"]


def test_metrics_are_per_target_token(single) -> None:
    _, metrics = single
    weights = BATCH["decoder_loss_weights"]
    assert metrics["target_tokens"] == weights.sum()
    assert metrics["input_tokens"] == (BATCH["encoder_segment_ids"] > 0).sum()
    assert 0.5 * math.log(64) < metrics["loss"] < 2 * math.log(64)
    assert 0 < metrics["z_loss"] < 0.01
    assert metrics["learning_rate"] == pytest.approx(0.01)


def test_state_is_what_a_restore_is_told_to_expect(single) -> None:
    like = abstract_state(MODEL, OPTIMIZER, make_mesh(MeshConfig(), jax.devices()[:1]))
    state, _ = single
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), like) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), state
    )
    assert state.step == state.opt_state.step == 2


def test_dropout_depends_on_the_step_and_repeats() -> None:
    mesh, step = step_on(MeshConfig(), 1, model=dataclasses.replace(MODEL, dropout_rate=0.5, num_decoder_layers=1))
    shapes = abstract_state(dataclasses.replace(MODEL, num_decoder_layers=1), OPTIMIZER, mesh)
    one_layer = jax.tree.map(lambda leaf, like: leaf[:1] if leaf.shape != like.shape else leaf, start(), shapes)

    def loss_at(number: int) -> float:
        return float(step(one_layer.replace(step=np.int32(number)), BATCH, KEY)[1]["loss"])

    assert loss_at(3) == loss_at(3)
    assert loss_at(3) != loss_at(4)


def test_cross_entropy_is_that_of_the_soft_targets() -> None:
    random = np.random.default_rng(0)
    logits, targets = random.normal(size=(2, 3, 10)), random.integers(0, 10, (2, 3))
    log_probabilities = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    for smoothing in (0.0, 0.1):
        soft = np.full((2, 3, 10), smoothing / 9)
        np.put_along_axis(soft, targets[..., None], 1 - smoothing, axis=-1)
        own_entropy = -(soft * np.log(soft, where=soft > 0, out=np.zeros_like(soft))).sum(-1)
        expected = -(soft * log_probabilities).sum(-1) - own_entropy
        found, log_z = token_losses(jnp.asarray(logits, jnp.float32), jnp.asarray(targets), smoothing)
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_allclose(log_z, np.log(np.exp(logits).sum(-1)), atol=1e-5)


def test_loss_is_a_sum_unless_a_factor_divides_it() -> None:
    @functools.partial(jax.jit, static_argnums=0)
    def value(train: TrainConfig):
        return loss(T5(MODEL), train, start().params, BATCH, None)

    total, sums = value(TrainConfig())
    assert total == sums["loss"]
    assert value(TrainConfig(loss_normalizing_factor=50.0))[0] * 50.0 == pytest.approx(float(total), rel=1e-6)
