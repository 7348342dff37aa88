"""T5's attention: no 1/sqrt(d), one relative bias table per stack, masks from segment ids. Einsum behind one function."""

from dataclasses import dataclass, field

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from t0jax.model.part import Dense, Part

MASK_BIAS = -1e10
"""Added to the logits of positions that must not be read. Finite: a row that may read nothing averages, and makes no NaN."""


HEADS = ("batch", "length", "heads", None)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Mask:
    """Who may read whom: positions of one segment; id 0 is padding and is never read."""

    query_segment_ids: Int[Array, "B T"]
    key_segment_ids: Int[Array, "B S"]
    is_causal: bool = field(default=False, metadata={"static": True})

    def allowed(self) -> Bool[Array, "B T S"]:
        """True where the query's position may read the key's."""
        queries, keys = self.query_segment_ids[:, :, None], self.key_segment_ids[:, None, :]
        allowed = (queries == keys) & (keys > 0)
        if self.is_causal:
            order = jnp.arange(self.query_segment_ids.shape[1])
            allowed &= (order[:, None] >= order[None, :])[None]
        return allowed


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class KeyValues:
    """What attention reads of a sequence, heads in front; further axes may stand before the heads."""

    keys: Float[Array, "B H S K"]
    values: Float[Array, "B H S K"]


def relative_position_buckets(
    distance: np.ndarray, *, is_bidirectional: bool, num_buckets: int, max_distance: int
) -> np.ndarray:
    """T5's bucket of each distance key - query: exact when near, logarithmic up to max_distance, then one for all.

    In NumPy, at trace time: no accelerator's logarithm may move a boundary.
    """
    start = np.zeros_like(distance)
    if is_bidirectional:
        num_buckets //= 2
        start = np.where(distance > 0, num_buckets, 0)
        distance = np.abs(distance)
    else:
        distance = np.maximum(-distance, 0)
    exact = num_buckets // 2
    # T5 adds this epsilon, which lifts the logarithms of 16, 32 and 64 over the boundary that they stand on.
    ratio = np.maximum(distance, exact).astype(np.float32) / exact + np.finfo(np.float32).eps
    steps = np.log(ratio) / np.log(max_distance / exact) * (num_buckets - exact)
    far = np.minimum(exact + steps.astype(np.int32), num_buckets - 1)
    return start + np.where(distance < exact, distance, far)


class RelativeBias(Part):
    """The stack's table of position biases: computed once, added in every layer."""

    is_bidirectional: bool = True

    @nn.compact
    def __call__(self, length: int) -> Float[Array, "H T T"]:
        """The bias of every query and key position of a sequence."""
        distance = np.arange(-length + 1, length + 1)  # one more than there are: see below
        buckets = relative_position_buckets(
            distance,
            is_bidirectional=self.is_bidirectional,
            num_buckets=self.config.relpos_buckets,
            max_distance=self.config.relpos_max_distance,
        )
        one_hot = jax.nn.one_hot(jnp.asarray(buckets), self.config.relpos_buckets, dtype=self.dtype)
        strip = (self.weight("rel_embedding") @ one_hot.T).astype(jnp.float32)  # so that the gradient is summed in float32
        # bias[q, k] = strip[k - q + length - 1]. Laying the strip out end to end in rows one shorter than itself moves it
        # on by one a row: no gather, and no scatter in the backward pass.
        rows = jnp.tile(strip, (1, length))[:, : length * (2 * length - 1)]
        return rows.reshape(-1, length, 2 * length - 1)[:, :, length - 1 :].astype(self.dtype)


def dot_product_attention(
    query: Float[Array, "B T H K"],
    key: Float[Array, "B S H K"],
    value: Float[Array, "B S H K"],
    *,
    bias: Float[Array, "H T S"] | None,
    mask: Mask,
) -> Float[Array, "B T H K"]:
    """softmax(q k + bias + mask) v with logits and softmax in float32."""
    query, key, value = (array.swapaxes(1, 2) for array in (query, key, value))
    return attend(query, KeyValues(key, value), bias=bias, allowed=mask.allowed()).swapaxes(1, 2)


def attend(
    query: Float[Array, "B H T K"], read: KeyValues, *, bias: Float[Array, "H T S"] | None, allowed: Bool[Array, "B T S"]
) -> Float[Array, "B H T K"]:
    """`dot_product_attention` with the heads in front, as a cache keeps them."""
    logits = jnp.einsum("bhqk,bhsk->bhqs", query, read.keys, preferred_element_type=jnp.float32)
    if bias is not None:
        # An outer product with ones: its gradient is a matmul over the batch, where a plain broadcast's is a sum over the
        # slowest axis, which takes XLA 100 times longer on CPU (59 ms -> 0.5 ms at 16 x 4 x 256 x 256).
        ones = jnp.ones(logits.shape[0], jnp.float32)
        logits += jnp.einsum("b,hqs->bhqs", ones, bias.astype(jnp.float32), precision="highest")
    logits += jnp.where(allowed, 0.0, MASK_BIAS)[:, None]
    weights = jax.nn.softmax(logits, axis=-1).astype(read.values.dtype)
    return jnp.einsum("bhqs,bhsk->bhqk", weights, read.values)


class Heads(Part):
    """The projections around attention."""

    def heads(self, name: str, x: Float[Array, "B N D"]) -> Float[Array, "B N H K"]:
        """A projection, taken apart into heads."""
        projected = Dense(self.config, self.constrain, name=name)(x)
        return self.constrain(projected.reshape(*x.shape[:2], self.config.num_heads, self.config.head_dim), HEADS)

    def joined(self, mixed: Float[Array, "B T H K"]) -> Float[Array, "B T D"]:
        """The heads put together and projected back."""
        return Dense(self.config, self.constrain, name="out")(mixed.reshape(*mixed.shape[:2], -1))


class Attention(Heads):
    """Multi-head attention over `source`, which is the input itself in self-attention."""

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "B T D"],
        source: Float[Array, "B S D"],
        bias: Float[Array, "H T S"] | None,
        mask: Mask,
        *,
        deterministic: bool,
    ) -> Float[Array, "B T D"]:
        """The mixed values, projected back to D."""
        query, key, value = self.heads("query", x), self.heads("key", source), self.heads("value", source)
        # T5 drops attention weights for all queries of a head alike, which is the same as dropping rows of the values.
        value = nn.Dropout(self.config.dropout_rate, broadcast_dims=(3,))(value, deterministic=deterministic)
        return self.joined(self.constrain(dot_product_attention(query, key, value, bias=bias, mask=mask), HEADS))
