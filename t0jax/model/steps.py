"""T5's decoder a position at a time: what it has read and written is kept as keys and values, projected once.

Every input has N answers in the making. They are N queries to one set of the input's keys and values, which are never repeated.
"""

from dataclasses import dataclass
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from t0jax.model.attention import Heads, KeyValues, RelativeBias, attend
from t0jax.model.part import Norm, Part
from t0jax.model.t5 import HIDDEN, T5, Embedder, Layer, Stack

WRITTEN = ("layers", "batch", None, "heads", None, None)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Source:
    """What every step of the decoder reads and none changes."""

    read: KeyValues
    """Of the encoded inputs in every layer: L B H S K."""
    is_input: Bool[Array, "B S"]
    bias: Float[Array, "H T T"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Around:
    """What every layer sees of one step."""

    number: Int[Array, ""]
    is_input: Bool[Array, "B S"]
    bias: Float[Array, "H T T"]


def read_inputs(model: T5, params: Any, tokens: Int[Array, "B S"], segments: Int[Array, "B S"], length: int) -> Source:
    """Encode the inputs, and project them for every layer of a decoder of at most `length` steps."""
    encoded = model.apply({"params": params}, tokens, segments, method="encode")
    read, bias = _Reader(model.config, model.constrain).apply({"params": params}, encoded, length)
    return Source(read, segments > 0, bias)


def nothing_written(model: T5, batch_size: int, answers: int, length: int) -> KeyValues:
    """Keys and values of no position yet, with room for `length`: L B N H T K."""
    config = model.config
    shape = (config.num_decoder_layers, batch_size, answers, config.num_heads, length, config.head_dim)
    empty = model.constrain(jnp.zeros(shape, config.dtype), WRITTEN)
    return KeyValues(empty, empty)


def next_logits(
    model: T5, params: Any, tokens: Int[Array, "B N"], source: Source, written: KeyValues, number: Int[Array, ""]
) -> tuple[Float[Array, "B N V"], KeyValues]:
    """float32 logits of what follows `tokens`, which stand at position `number` of every answer, and what is written then."""
    step = _Step(model.config, model.constrain)
    hidden, new = step.apply({"params": params}, tokens, source, written, number)

    def put(held: Array, one: Array) -> Array:
        return model.constrain(jax.lax.dynamic_update_slice_in_dim(held, one[..., None, :], number, axis=-2), WRITTEN)

    return model.apply({"params": params}, hidden, method="logits"), jax.tree.map(put, written, new)


class _Reading(Heads):
    """The half of attention that does not depend on the query."""

    @nn.compact
    def __call__(self, source: Float[Array, "B S D"]) -> KeyValues:
        """Keys and values, heads in front."""
        return KeyValues(self.heads("key", source).swapaxes(1, 2), self.heads("value", source).swapaxes(1, 2))


class _Asking(Heads):
    """The other half."""

    @nn.compact
    def __call__(self, x: Float[Array, "B N D"], read: KeyValues, allowed: Bool[Array, "B N S"]) -> Float[Array, "B N D"]:
        """N queries to the same keys."""
        mixed = attend(self.heads("query", x).swapaxes(1, 2), read, bias=None, allowed=allowed)
        return self.joined(mixed.swapaxes(1, 2))


class _Writing(Heads):
    """Self-attention of one position to itself and to those before it."""

    @nn.compact
    def __call__(self, x: Float[Array, "B N D"], written: KeyValues, around: Around) -> tuple[Array, KeyValues]:
        """The mixed values (B N D), and the position's keys and values (B N H K)."""
        query, new = self.heads("query", x), KeyValues(self.heads("key", x), self.heads("value", x))
        length = around.bias.shape[-1]

        def with_new(held: Float[Array, "B N H T K"], one: Float[Array, "B N H K"]) -> Float[Array, "R H T K"]:
            whole = jax.lax.dynamic_update_slice_in_dim(held, one[..., None, :], around.number, axis=-2)
            return whole.reshape(-1, *whole.shape[2:])

        bias = jax.lax.dynamic_slice_in_dim(around.bias, around.number, 1, axis=1)
        allowed = (jnp.arange(length) <= around.number)[None, None]
        rows = query.reshape(-1, *query.shape[2:])[:, :, None]
        mixed = attend(rows, jax.tree.map(with_new, written, new), bias=bias, allowed=allowed)
        return self.joined(mixed.reshape(query.shape)), new


class _ReadingLayer(Layer):
    """Of a layer of the decoder, what depends on the inputs alone."""

    @nn.compact
    def __call__(self, encoded: Float[Array, "B S D"], _: None, __: None) -> tuple[Float[Array, "B S D"], KeyValues]:
        """The inputs as they were, and their keys and values."""
        return encoded, _Reading(self.config, self.constrain, name="encoder_decoder_attention")(encoded)


class _StepLayer(Layer):
    """The rest of the layer, for one position."""

    @nn.compact
    def __call__(self, x: Float[Array, "B N D"], around: Around, held: tuple[KeyValues, KeyValues]) -> tuple[Array, KeyValues]:
        """The layer's output, and the position's keys and values."""
        written, read = held
        writing = _Writing(self.config, self.constrain, name="self_attention")
        y, new = writing(self.norm("self_attention")(x), written, around)
        x = self.constrain(x + y, HIDDEN)
        asking = _Asking(self.config, self.constrain, name="encoder_decoder_attention")
        x = x + asking(self.norm("cross_attention")(x), read, around.is_input[:, None])
        return self.add_mlp(self.constrain(x, HIDDEN), deterministic=True), new


class _Layers(Stack):
    """All layers of the decoder: each has its own `held`, and adds something to what is found (stacked on axis 0)."""

    def through(self, layer: type[Layer], x: Array, around: Any, held: Any) -> tuple[Array, Any]:
        """x through all layers, and what they found."""
        config = self.config
        if config.scan_layers:
            in_axes = (nn.broadcast, 0)
            kind: Any = nn.scan(
                layer,
                variable_axes={"params": 0},
                split_rngs={"params": True},
                in_axes=in_axes,
                length=config.num_decoder_layers,
            )
            return kind(config, self.constrain, name="layers")(x, around, held)
        found = []
        for index in range(config.num_decoder_layers):
            of_layer = jax.tree.map(lambda array, index=index: array[index], held)
            x, new = layer(config, self.constrain, name=f"layers_{index}")(x, around, of_layer)
            found.append(new)
        return x, jax.tree.map(lambda *each: jnp.stack(each), *found)


class _ReadingDecoder(_Layers):
    """The decoder's part in `read_inputs`."""

    @nn.compact
    def __call__(self, encoded: Float[Array, "B S D"], length: int) -> tuple[KeyValues, Float[Array, "H T T"]]:
        """Keys and values of every layer, and the position biases of all steps."""
        bias = RelativeBias(self.config, self.constrain, is_bidirectional=False, name="relpos_bias")(length)
        return self.through(_ReadingLayer, encoded, None, None)[1], bias


class _StepDecoder(_Layers):
    """The decoder's part in `next_logits`."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "B N D"], source: Source, written: KeyValues, number: Int[Array, ""]
    ) -> tuple[Float[Array, "B N D"], KeyValues]:
        """Hidden states, and each layer's new keys and values."""
        around = Around(number, source.is_input, source.bias)
        x, new = self.through(_StepLayer, x, around, (written, source.read))
        return Norm(self.config, self.constrain, name="decoder_norm")(x), new


class _Reader(Part):
    """A network that shares the decoder's parameters, for `read_inputs`."""

    def setup(self) -> None:
        """Parts under t5x's names."""
        self.decoder = _ReadingDecoder(self.config, self.constrain)

    def __call__(self, encoded: Float[Array, "B S D"], length: int) -> tuple[KeyValues, Float[Array, "H T T"]]:
        """As the decoder's part."""
        return self.decoder(encoded, length)


class _Step(Part):
    """A network that shares the embeddings' and the decoder's parameters, for `next_logits`."""

    def setup(self) -> None:
        """Parts under t5x's names."""
        self.token_embedder = Embedder(self.config, self.constrain)
        self.decoder = _StepDecoder(self.config, self.constrain)

    def __call__(
        self, tokens: Int[Array, "B N"], source: Source, written: KeyValues, number: Int[Array, ""]
    ) -> tuple[Float[Array, "B N D"], KeyValues]:
        """As the decoder's part, of tokens."""
        return self.decoder(self.token_embedder(tokens), source, written, number)
