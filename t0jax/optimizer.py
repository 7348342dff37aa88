"""T5's Adafactor with per-layer statistics for stacked parameters, as an optax transformation; learning rates."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float, Int

from t0jax.config import OptimizerConfig

STACKED = "layers"
"""The logical axis that marks a stacked parameter: its first."""


class AdafactorState(NamedTuple):
    """Second moments, float32, in trees like the parameters'. A leaf that the rule does not use has shape (1,) a layer."""

    step: Any
    """int32 scalar: updates made so far."""
    v_row: Any
    """Of factored matrices: averaged over their largest dimension."""
    v_col: Any
    """Of factored matrices: averaged over the other one."""
    v: Any
    """Of everything else: in full."""


def learning_rate(config: OptimizerConfig) -> Callable[[Int[Array, ""] | int], Float[Array, ""]]:
    """The learning rate at a step: a linear warm-up from 0, then the schedule (see OptimizerConfig.schedule)."""

    def rate(step: Int[Array, ""] | int) -> Float[Array, ""]:
        now, warmup = jnp.asarray(step, jnp.float32), config.warmup_steps
        factor = jnp.minimum(1.0, now / warmup) if warmup else jnp.ones_like(now)
        if config.schedule == "rsqrt":
            factor *= jnp.sqrt(warmup / jnp.maximum(now, warmup))
        elif config.schedule == "linear" and config.decay_steps is not None:
            factor *= jnp.clip((config.decay_steps - now) / (config.decay_steps - warmup), 0.0, 1.0)
        return config.learning_rate * factor

    return rate


def factored_dims(config: OptimizerConfig, shape: tuple[int, ...]) -> tuple[int, int] | None:
    """(smaller, larger) dimension of a matrix whose second moments are factored; None when they are kept in full."""
    if len(shape) != 2 or min(shape) < config.min_dim_to_factor:
        return None
    return (0, 1) if shape[0] <= shape[1] else (1, 0)


def statistics_shapes(config: OptimizerConfig, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Shapes of v_row, v_col and v for one layer's parameter."""
    dims = factored_dims(config, shape)
    return ((1,), (1,), shape) if dims is None else ((shape[dims[0]],), (shape[dims[1]],), (1,))


def _rms(x: Float[Array, "..."]) -> Float[Array, ""]:
    return jnp.sqrt(jnp.mean(jnp.square(x)))


Leaf = Float[Array, "..."]


def _update_one(config: OptimizerConfig, scalars: tuple[Array, Array], leaves: tuple[Leaf, ...]) -> tuple[Leaf, ...]:
    """The rule for one layer's parameter: (gradient, parameter, v_row, v_col, v) -> (update, v_row, v_col, v)."""
    decay, rate = scalars
    gradient, parameter, v_row, v_col, v = (leaf.astype(jnp.float32) for leaf in leaves)
    square = jnp.square(gradient) + config.epsilon_gradient
    dims = factored_dims(config, parameter.shape)
    if dims is None:
        v = decay * v + (1 - decay) * square
        update = gradient * jax.lax.rsqrt(v)
    else:
        smaller, larger = dims
        v_row = decay * v_row + (1 - decay) * jnp.mean(square, axis=larger)
        v_col = decay * v_col + (1 - decay) * jnp.mean(square, axis=smaller)
        row = jnp.expand_dims(jax.lax.rsqrt(v_row / jnp.mean(v_row)), larger)
        update = gradient * row * jnp.expand_dims(jax.lax.rsqrt(v_col), smaller)
    update /= jnp.maximum(1.0, _rms(update) / config.clipping_threshold)
    scale = rate * jnp.maximum(_rms(parameter), config.epsilon_parameter)
    return -scale * update, v_row, v_col, v


def _is_stacked(axes: PartitionSpec) -> bool:
    return len(axes) > 0 and axes[0] == STACKED


def adafactor(config: OptimizerConfig, logical_axes: Any) -> optax.GradientTransformation:
    """Adafactor of Shazeer and Stern (2018) as t5x runs it for T5; its updates include the learning rate.

    `logical_axes` is a tree like the parameters' of PartitionSpecs with logical names: where the first is 'layers',
    statistics, clipping and scaling are of each layer by itself. `optax.adafactor` treats a stack as one tensor, which
    trains another model.
    """
    rate = learning_rate(config)

    def init(params: Any) -> AdafactorState:
        def zeros(which: int) -> Any:
            def leaf(axes: PartitionSpec, parameter: Array) -> Array:
                stack = parameter.shape[:1] if _is_stacked(axes) else ()
                return jnp.zeros((*stack, *statistics_shapes(config, parameter.shape[len(stack) :])[which]), jnp.float32)

            return jax.tree.map(leaf, logical_axes, params)

        return AdafactorState(jnp.zeros((), jnp.int32), zeros(0), zeros(1), zeros(2))

    def update(gradients: Any, state: AdafactorState, params: Any = None) -> tuple[Any, AdafactorState]:
        age = (state.step - config.step_offset + 1).astype(jnp.float32)
        scalars = (1 - age**-config.decay_exponent, rate(state.step))

        def leaf(axes: PartitionSpec, *leaves: Leaf) -> tuple[Leaf, ...]:
            def one(*layer: Leaf) -> tuple[Leaf, ...]:
                return _update_one(config, scalars, layer)

            return (jax.vmap(one) if _is_stacked(axes) else one)(*leaves)

        results = jax.tree.map(leaf, logical_axes, gradients, params, state.v_row, state.v_col, state.v)
        updates, v_row, v_col, v = (jax.tree.map(lambda _, result, at=at: result[at], logical_axes, results) for at in range(4))
        return updates, AdafactorState(state.step + 1, v_row, v_col, v)

    return optax.GradientTransformation(init, update)


def optimizer_logical_axes(config: OptimizerConfig, params: Any, logical_axes: Any) -> AdafactorState:
    """Logical axes of every leaf of the state of `adafactor`, from the parameters' shapes and logical axes."""

    def leaf(axes: PartitionSpec, parameter: Any, which: int) -> PartitionSpec:
        stack = 1 if _is_stacked(axes) else 0
        dims = factored_dims(config, parameter.shape[stack:])
        inner = tuple(axes)[stack:]
        unused = (None,)
        of_one = (unused, unused, inner) if dims is None else ((inner[dims[0]],), (inner[dims[1]],), unused)
        return PartitionSpec(*tuple(axes)[:stack], *of_one[which])

    def tree(which: int) -> Any:
        return jax.tree.map(lambda axes, parameter: leaf(axes, parameter, which), logical_axes, params)

    return AdafactorState(PartitionSpec(), tree(0), tree(1), tree(2))
