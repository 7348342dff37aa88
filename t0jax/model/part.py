"""What every part of the network shares: its config, its place on the mesh, its weights from the table."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from t0jax.config import ModelConfig
from t0jax.model.parameters import parameter_table

Constrain = Callable[[Array, tuple[str | None, ...]], Array]
"""Lays an array out over the mesh by the logical names of its axes."""


def unconstrained(array: Array, axes: tuple[str | None, ...]) -> Array:
    """One device, or the compiler's choice: the array as it is."""
    return array


class Part(nn.Module):
    """A module of T5 whose parameters stand in `parameters.parameter_table` under the module's own path."""

    config: ModelConfig
    constrain: Constrain = unconstrained

    @property
    def dtype(self) -> jnp.dtype:
        """Of activations."""
        return jnp.dtype(self.config.dtype)

    def weight(self, name: str, dtype: jnp.dtype | None = None) -> Float[Array, "..."]:
        """The parameter `name` of this module in the activations' dtype, whole along `embed`.

        FSDP splits parameters along `embed`; gathering them here, one layer at a time and after the cast, keeps the
        compiler from moving activations instead.
        """
        leaf = parameter_table(self.config)[(*self.path, name)]
        value = self.param(name, leaf.init, leaf.shape).astype(dtype or self.dtype)
        return self.constrain(value, tuple(None if axis == "embed" else axis for axis in leaf.axes))

    def spread(self, name: str, shape: tuple[int, ...]) -> Float[Array, "..."]:
        """The vector `name` for all positions. Cast after spreading: its gradient, a sum over all tokens, is float32's."""
        return jnp.broadcast_to(self.weight(name, jnp.dtype("float32")), shape).astype(self.dtype)


class Dense(Part):
    """A linear map without bias."""

    @nn.compact
    def __call__(self, x: Float[Array, "B S X"]) -> Float[Array, "B S Y"]:
        """x @ kernel in the activations' dtype, with what the model's adapter does to it."""
        y = x @ self.weight("kernel")
        table = parameter_table(self.config)
        if (*self.path, "ia3") in table:
            y *= self.spread("ia3", y.shape)
        if (*self.path, "lora_a") in table:
            y += x @ self.weight("lora_a") @ self.weight("lora_b") / self.config.adapter_rank
        return y


class Norm(Part):
    """T5's layer norm: no mean, no bias; mean square in float32, cast, then scale."""

    @nn.compact
    def __call__(self, x: Float[Array, "B S D"]) -> Float[Array, "B S D"]:
        """x / rms(x) * scale with epsilon 1e-6."""
        wide = x.astype(jnp.float32)
        inverse = jax.lax.rsqrt(jnp.mean(jnp.square(wide), axis=-1, keepdims=True) + 1e-6)
        return (wide * inverse).astype(self.dtype) * self.spread("scale", x.shape)
