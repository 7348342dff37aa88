"""The same numbers as t5x at cc342d4: logits, losses, gradients and ten steps of Adafactor, from its own code.

tests/golden/t5x_numbers.py made the fixture. Errors are float32's: sums of a few hundred products in another order. What they
measure stands in docs/numerics.md; the bounds are a small multiple of it.
"""

import functools
import pathlib
from typing import Any

import golden_inputs as given
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from golden_model import assert_again, batch_of, by_layer, config_of, in_layout, weights_of
from peers import interpreter, run

from t0jax.config import MeshConfig, ModelConfig, OptimizerConfig, TrainConfig
from t0jax.mesh import make_mesh, place_batch
from t0jax.model.attention import relative_position_buckets
from t0jax.model.t5 import T5
from t0jax.optimizer import AdafactorState
from t0jax.training.step import State, gradients, initial_state, loss, make_step

LAYOUTS = pytest.mark.parametrize("scan_layers", [True, False], ids=["scanned", "unscanned"])
LOGITS, LOSS, GRADIENT, STATISTICS, CHANGE, BFLOAT16 = 2e-6, 1e-6, 3e-5, 1e-5, 2e-4, 0.03
"""Of the largest logit; of the loss; of a tensor's root mean square, at its worst entry: gradients, statistics, what ten steps
change; of the logits' root mean square."""


@pytest.fixture(scope="module")
def t5x() -> dict[str, np.ndarray]:
    """What t5x found."""
    return dict(np.load(pathlib.Path(given.__file__).parent / "t5x_numbers.npz"))


@functools.cache
def apply_and_pull(config: ModelConfig) -> Any:
    """(params, batch) -> (logits, pull), compiled once for all losses: pull is the model's backward pass."""
    model = T5(config)

    @jax.jit
    def forward(params: Any, batch: Any) -> Any:
        return model.apply({"params": params}, batch)

    @jax.jit
    def pull(params: Any, batch: Any, cotangent: Any) -> Any:
        return jax.vjp(lambda params: model.apply({"params": params}, batch), params)[1](cotangent)[0]

    return forward, pull


class Given:
    """A model whose logits are its parameters: what the loss adds to any model, and its gradient."""

    @staticmethod
    def apply(variables: Any, *_: Any, **__: Any) -> Any:
        return variables["params"]


def tensor_error(found: dict[str, np.ndarray], expected: np.ndarray) -> float:
    """The largest error of any tensor's digest, as a share of the tensor's root mean square."""
    worst = 0.0
    for row, name in zip(expected, sorted(found), strict=True):
        ours, (*_, norm, _) = given.digest(name, found[name]), row
        size = np.array([*[norm / found[name].size ** 0.5] * given.SAMPLES, norm, norm / found[name].size ** 0.5])
        if norm == 0:
            assert not ours.any(), name
        else:
            worst = max(worst, float((np.abs(ours - row) / size).max()))
    return worst


@LAYOUTS
@pytest.mark.parametrize("name", given.MODELS)
def test_logits_losses_and_gradients_are_t5x_s(name: str, scan_layers: bool, t5x: dict[str, np.ndarray]) -> None:
    config = config_of(name, scan_layers)
    params, (forward, pull) = weights_of(config), apply_and_pull(config)
    for kind in ("packed", "plain"):
        batch = batch_of(kind)
        logits, is_real = forward(params, batch), batch["decoder_loss_weights"] > 0
        expected = t5x[f"{name}/{kind}/logits"]
        assert np.abs(logits - expected)[is_real].max() < LOGITS * np.abs(expected).max()
        for case, settings in given.LOSSES.items():
            train = TrainConfig(**settings)
            objective = functools.partial(loss, Given, train, batch=batch, dropout_key=None)
            (value, _), cotangent = jax.value_and_grad(lambda logits, of=objective: of(params=logits), has_aux=True)(logits)
            assert float(value) == pytest.approx(float(t5x[f"{name}/{kind}/{case}/loss"]), rel=LOSS), (kind, case)
            found = by_layer(pull(params, batch, cotangent))
            assert tensor_error(found, t5x[f"{name}/{kind}/{case}/gradient"]) < GRADIENT, (kind, case)


def test_bfloat16_is_t5x_s_within_its_rounding(t5x: dict[str, np.ndarray]) -> None:
    """bfloat16 has 8 bits: two orders of rounding differ by some of 2^-8, here through two layers of each stack."""
    config = config_of("t5_1_1", scan_layers=True, dtype="bfloat16")
    logits = apply_and_pull(config)[0](weights_of(config), batch_of("packed"))
    exact, theirs = t5x["t5_1_1/packed/logits"], t5x["t5_1_1/packed/bfloat16"]
    is_real, size = batch_of("packed")["decoder_loss_weights"] > 0, np.sqrt((exact**2).mean())
    assert np.sqrt(((logits - theirs)[is_real] ** 2).mean()) < BFLOAT16 * size
    assert np.sqrt(((logits - exact)[is_real] ** 2).mean()) < 1.5 * np.sqrt(((theirs - exact)[is_real] ** 2).mean())


def first_state(config: ModelConfig, step: int) -> State:
    """The state with the given weights, and at a step beyond 0 with the given statistics."""
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    state = initial_state(config, OptimizerConfig(), mesh, jax.random.key(0))
    slots = {name: getattr(state.opt_state, name) for name in ("v_row", "v_col", "v")}
    if step:
        for slot, tree in slots.items():
            named = {name: f"state/param_states/{name}/{slot}" for name in by_layer(tree)}
            made = {name: given.statistics(named[name], leaf.shape) for name, leaf in by_layer(tree).items()}
            slots[slot] = in_layout(made, config)
    count = jnp.int32(step)
    return jax.tree.map(jnp.array, State(count, weights_of(config), AdafactorState(count, **slots)))


@functools.cache
def step_of(config: ModelConfig, microbatches: int) -> Any:
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    step = make_step(config, OptimizerConfig(), TrainConfig(z_loss=1e-4, microbatches=microbatches), mesh)
    return lambda state, batch: step(state, place_batch(mesh, batch), jax.random.key(0))[0]


@pytest.mark.parametrize(
    ("start", "first", "scan_layers", "microbatches"),
    [
        ("fresh", 0, True, 1),
        ("pretrained", 1_100_000, True, 1),
        ("fresh", 0, False, 1),
        ("pretrained", 1_100_000, False, 1),
        ("fresh", 0, True, 2),
    ],
)
def test_ten_steps_of_adafactor_are_t5x_s(
    start: str, first: int, scan_layers: bool, microbatches: int, t5x: dict[str, np.ndarray]
) -> None:
    """What training has changed, not what it has left: of parameters the error is a share of their change."""
    config = config_of("t5_1_1", scan_layers)
    state, step = first_state(config, first), step_of(config, microbatches)
    for seed in range(10):
        state = step(state, batch_of("packed", seed))
    assert int(state.step) == first + 10
    found, before = by_layer(state.params), by_layer(weights_of(config))
    for name, expected in zip(sorted(found), t5x[f"steps/{start}/{microbatches}/params"], strict=True):
        at_first, change = given.digest(name, before[name]), np.sqrt(((found[name] - before[name]) ** 2).mean())
        difference = np.abs(given.digest(name, found[name]) - expected)
        assert np.delete(difference, given.SAMPLES).max() < CHANGE * change, (name, difference.max() / change)
        assert np.abs(at_first - expected).max() > CHANGE * change, name
    for slot in ("v_row", "v_col", "v"):
        slots = {f"{name}/{slot}": leaf for name, leaf in by_layer(getattr(state.opt_state, slot)).items()}
        assert tensor_error(slots, t5x[f"steps/{start}/{microbatches}/{slot}"]) < STATISTICS, slot


def test_normalizing_factors_of_the_batch_do_not_depend_on_its_parts() -> None:
    """t5x takes each part's own, so that there a batch in parts is another batch."""
    config = config_of("t5_1_1", scan_layers=True)
    batch, model = batch_of("packed"), T5(config)
    for factor in ("NUM_REAL_TARGET_TOKENS", "AVERAGE_PER_SEQUENCE"):
        trains = [TrainConfig(loss_normalizing_factor=factor, microbatches=count) for count in (1, 2)]
        whole, parts = (
            by_layer(jax.jit(functools.partial(gradients, model, train))(weights_of(config), batch, None)[0])
            for train in trains
        )
        assert tensor_error(parts, given.tree_digest(whole)) < GRADIENT


@pytest.mark.parametrize(("stack", "is_bidirectional"), [("encoder", True), ("decoder", False)])
def test_relative_positions_fall_into_t5x_s_buckets(stack: str, is_bidirectional: bool, t5x: dict[str, np.ndarray]) -> None:
    distances = np.arange(-300, 301)
    found = relative_position_buckets(distances, is_bidirectional=is_bidirectional, num_buckets=32, max_distance=128)
    np.testing.assert_array_equal(found, t5x[f"buckets/{stack}"])


@pytest.mark.live
def test_t5x_makes_this_fixture_again(tmp_path: pathlib.Path, t5x: dict[str, np.ndarray]) -> None:
    python = interpreter("T0JAX_T5X_PYTHON", "t5x")
    run(python, pathlib.Path(given.__file__).with_name("t5x_numbers.py"), tmp_path / "again.npz")
    assert_again(tmp_path / "again.npz", t5x)
