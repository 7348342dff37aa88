"""Adafactor is T5's: held against a second writing in NumPy, and layer by layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from t0jax.config import ModelConfig, OptimizerConfig
from t0jax.model.parameters import abstract_parameters, logical_axes
from t0jax.optimizer import adafactor, factored_dims, learning_rate, optimizer_logical_axes

CONFIG = OptimizerConfig(min_dim_to_factor=8)
SHAPES = {"tall": (12, 8), "wide": (8, 16), "square": (9, 9), "thin": (7, 30), "vector": (11,)}


class NumpyAdafactor:
    """Algorithm 4 of Shazeer and Stern with T5's constants, for one parameter in float64."""

    def __init__(self, parameter: np.ndarray, *, is_factored: bool) -> None:
        self.parameter, self.is_factored, self.steps = parameter.astype(np.float64), is_factored, 0
        self.over_rows = self.over_columns = self.full = 0.0

    def update(self, gradient: np.ndarray) -> None:
        gradient = gradient.astype(np.float64)
        self.steps += 1
        decay = 1 - self.steps**-0.8
        square = gradient**2 + 1e-30
        if self.is_factored:
            self.over_rows = decay * self.over_rows + (1 - decay) * square.mean(0)
            self.over_columns = decay * self.over_columns + (1 - decay) * square.mean(1)
            estimate = np.outer(self.over_columns, self.over_rows) / self.over_rows.mean()
        else:
            estimate = self.full = decay * self.full + (1 - decay) * square
        step = gradient / np.sqrt(estimate)
        step /= max(1.0, np.sqrt((step**2).mean()))
        self.parameter -= 1e-3 * max(np.sqrt((self.parameter**2).mean()), 1e-3) * step


def random_tree(seed: int, scale: float = 1.0, stack: tuple[int, ...] = ()) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {name: (scale * random.normal(size=(*stack, *shape))).astype(np.float32) for name, shape in SHAPES.items()}


def axes(stack: bool) -> dict[str, PartitionSpec]:
    front = ("layers",) if stack else ()
    return {name: PartitionSpec(*front, *("embed", "mlp")[: len(shape)]) for name, shape in SHAPES.items()}


def run(optimizer, params, gradients) -> dict[str, jax.Array]:
    @jax.jit
    def step(params, state, gradient):
        updates, state = optimizer.update(gradient, state, params)
        return jax.tree.map(jnp.add, params, updates), state

    state = optimizer.init(params)
    for gradient in gradients:
        params, state = step(params, state, gradient)
    return params


def test_adafactor_equals_an_independent_writing_over_ten_steps() -> None:
    # Gradients that grow and shrink, so that the clipping acts in some steps and not in others; a small parameter, so that
    # the floor of its scale acts.
    start = random_tree(0)
    start["vector"] *= 1e-5
    gradients = [random_tree(seed, scale=3.0 ** ((seed * 7) % 5)) for seed in range(1, 11)]
    found = run(adafactor(CONFIG, axes(stack=False)), start, gradients)
    for name, value in start.items():
        expected = NumpyAdafactor(value, is_factored=name in ("tall", "wide", "square"))
        for gradient in gradients:
            expected.update(gradient[name])
        moved = np.abs(expected.parameter - value).max()
        np.testing.assert_allclose(found[name] - value, expected.parameter - value, atol=2e-4 * moved, err_msg=name)


def test_stacked_adafactor_equals_per_layer() -> None:
    layers = 3
    start, gradients = random_tree(0, stack=(layers,)), [random_tree(seed, stack=(layers,)) for seed in range(1, 5)]
    for tree in (start, *gradients):  # layers of different sizes: a statistic over the stack would show
        for leaf in tree.values():
            leaf[1] *= 100.0
    together = run(adafactor(CONFIG, axes(stack=True)), start, gradients)
    for layer in range(layers):
        alone = run(adafactor(CONFIG, axes(stack=False)), *jax.tree.map(lambda leaf, at=layer: leaf[at], (start, gradients)))
        for name, value in alone.items():
            np.testing.assert_allclose(together[name][layer], value, rtol=1e-6, err_msg=name)  # one rounding of float32


def test_rows_average_over_the_larger_dimension() -> None:
    shapes = {"tall": (12, 8), "wide": (8, 16), "square": (9, 9)}
    state = adafactor(CONFIG, axes(stack=True)).init(random_tree(0, stack=(2,)))
    assert {name: state.v_row[name].shape for name in shapes} == {"tall": (2, 8), "wide": (2, 8), "square": (2, 9)}
    assert {name: state.v_col[name].shape for name in shapes} == {"tall": (2, 12), "wide": (2, 16), "square": (2, 9)}
    assert {state.v[name].shape for name in shapes} == {(2, 1)}
    assert state.v["thin"].shape == (2, 7, 30)
    assert state.v_row["thin"].shape == (2, 1)


def test_only_matrices_with_both_sides_of_128_are_factored() -> None:
    config = OptimizerConfig()
    assert factored_dims(config, (128, 4096)) == (0, 1)
    assert factored_dims(config, (4096, 128)) == (1, 0)
    assert factored_dims(config, (127, 4096)) is None
    assert factored_dims(config, (4096,)) is None


def test_statistics_are_split_like_the_parameters() -> None:
    model = ModelConfig(emb_dim=256, num_encoder_layers=2, num_decoder_layers=2)
    params = abstract_parameters(model)
    names = optimizer_logical_axes(OptimizerConfig(), params, logical_axes(model))
    state = jax.eval_shape(adafactor(OptimizerConfig(), logical_axes(model)).init, params)
    jax.tree.map(lambda leaf, axes: len(axes) == len(leaf.shape) or pytest.fail(f"{axes} {leaf}"), state, names)
    kernel = ("encoder", "layers", "mlp", "wi_0", "kernel")  # (2, 256, 1024)

    def at(tree):
        for part in kernel:
            tree = tree[part]
        return tree

    assert at(names.v_row) == PartitionSpec("layers", "embed")
    assert at(names.v_col) == PartitionSpec("layers", "mlp")
    assert at(names.v) == PartitionSpec("layers", None)


@pytest.mark.parametrize(
    ("config", "rates"),
    [
        ({}, {0: 1e-3, 10_000: 1e-3}),
        ({"warmup_steps": 10}, {0: 0.0, 5: 5e-4, 10: 1e-3, 99: 1e-3}),
        ({"schedule": "rsqrt", "warmup_steps": 100}, {50: 5e-4, 100: 1e-3, 400: 5e-4}),
        ({"schedule": "linear", "warmup_steps": 10, "decay_steps": 110}, {5: 5e-4, 10: 1e-3, 60: 5e-4, 110: 0.0, 200: 0.0}),
    ],
)
def test_learning_rates_follow_their_schedule(config: dict, rates: dict[int, float]) -> None:
    rate = learning_rate(OptimizerConfig(**config))
    for step, expected in rates.items():
        np.testing.assert_allclose(rate(jnp.int32(step)), expected, rtol=1e-6)


def test_decay_counts_from_the_step_offset() -> None:
    """At step 1,100,000 the memory is long, unless an offset says that training starts there."""
    gradient = {"vector": np.ones(11, np.float32)}
    names = {"vector": PartitionSpec("embed")}
    for offset, kept in ((0, 1.0), (1_100_000, 0.0)):
        optimizer = adafactor(OptimizerConfig(step_offset=offset), names)
        state = optimizer.init(gradient)._replace(step=jnp.int32(1_100_000), v={"vector": jnp.full(11, 4.0)})
        _, after = optimizer.update(gradient, state, gradient)
        np.testing.assert_allclose(after.v["vector"], 4.0 * kept + 1.0 * (1 - kept), rtol=1e-4)
