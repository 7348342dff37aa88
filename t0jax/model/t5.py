"""T5 1.1, encoder and decoder, with scanned or unrolled layers under t5x's parameter names."""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from t0jax.model.attention import Attention, Mask, RelativeBias
from t0jax.model.parameters import mlp_inputs
from t0jax.model.part import Dense, Norm, Part

HIDDEN = ("batch", "length", None)
ACTIVATIONS: Mapping[str, Callable[[Array], Array]] = {
    "gelu": functools.partial(jax.nn.gelu, approximate=True),
    "relu": jax.nn.relu,
    "linear": lambda x: x,
}
REMAT_POLICIES = {
    "minimal": jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    "full": jax.checkpoint_policies.nothing_saveable,
}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Surroundings:
    """What every layer of a stack sees besides its input; the last two only in the decoder."""

    bias: Float[Array, "H T T"]
    mask: Mask
    encoded: Float[Array, "B S D"] | None = None
    cross_mask: Mask | None = None
    deterministic: bool = field(default=True, metadata={"static": True})


class Block(Part):
    """A part of a layer or stack that drops hidden values."""

    def dropout(self, x: Float[Array, "B S X"], deterministic: bool) -> Float[Array, "B S X"]:
        """T5's dropout: the same features for all positions of a row."""
        return nn.Dropout(self.config.dropout_rate, broadcast_dims=(1,))(x, deterministic=deterministic)


class Mlp(Block):
    """The feed-forward part: gated when there are two activations."""

    @nn.compact
    def __call__(self, x: Float[Array, "B S D"], *, deterministic: bool) -> Float[Array, "B S D"]:
        """The product of the activated projections, dropped and projected back."""
        hidden: Any = None
        for name, activation in zip(mlp_inputs(self.config), self.config.mlp_activations, strict=True):
            projected = ACTIVATIONS[activation](Dense(self.config, self.constrain, name=name)(x))
            hidden = projected if hidden is None else hidden * projected
        hidden = self.constrain(self.dropout(hidden, deterministic), ("batch", "length", "mlp"))
        return Dense(self.config, self.constrain, name="wo")(hidden)


class Layer(Block):
    """One layer of either stack, in the form that `nn.scan` wants: (carry, broadcast) -> (carry, None)."""

    def norm(self, name: str) -> Norm:
        """The layer norm in front of a sublayer."""
        return Norm(self.config, self.constrain, name=f"pre_{name}_layer_norm")

    def attend(self, name: str) -> Attention:
        """An attention sublayer."""
        return Attention(self.config, self.constrain, name=name)

    def add_mlp(self, x: Float[Array, "B S D"], deterministic: bool) -> Float[Array, "B S D"]:
        """The residual MLP sublayer."""
        y = Mlp(self.config, self.constrain, name="mlp")(self.norm("mlp")(x), deterministic=deterministic)
        return self.constrain(x + self.dropout(y, deterministic), HIDDEN)


class EncoderLayer(Layer):
    """Self-attention, then MLP."""

    @nn.compact
    def __call__(self, x: Float[Array, "B S D"], around: Surroundings) -> tuple[Float[Array, "B S D"], None]:
        """The layer's output."""
        y = self.norm("attention")(x)
        y = self.attend("attention")(y, y, around.bias, around.mask, deterministic=around.deterministic)
        x = self.constrain(x + self.dropout(y, around.deterministic), HIDDEN)
        return self.add_mlp(x, around.deterministic), None


class DecoderLayer(Layer):
    """Causal self-attention, attention to the encoder's output, then MLP."""

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"], around: Surroundings) -> tuple[Float[Array, "B T D"], None]:
        """The layer's output."""
        deterministic = around.deterministic
        y = self.norm("self_attention")(x)
        y = self.attend("self_attention")(y, y, around.bias, around.mask, deterministic=deterministic)
        x = self.constrain(x + self.dropout(y, deterministic), HIDDEN)
        y = self.norm("cross_attention")(x)
        attend = self.attend("encoder_decoder_attention")
        y = attend(y, around.encoded, None, around.cross_mask, deterministic=deterministic)
        x = self.constrain(x + self.dropout(y, deterministic), HIDDEN)
        return self.add_mlp(x, deterministic), None


class Stack(Block):
    """What encoder and decoder share: the layers, one after the other."""

    def run(self, layer: type[Layer], layers: int, x: Float[Array, "B S D"], around: Surroundings) -> Float[Array, "B S D"]:
        """x through all layers: one compiled body when scanned, else `layers_0`, `layers_1`, ..."""
        config = self.config
        kind: Any = layer
        if config.remat != "none":
            kind = nn.remat(layer, policy=REMAT_POLICIES[config.remat], prevent_cse=not config.scan_layers)
        if not config.scan_layers:
            for index in range(layers):
                x, _ = kind(config, self.constrain, name=f"layers_{index}")(x, around)
            return x
        scanned = nn.scan(
            kind,
            variable_axes={"params": 0},
            split_rngs={"params": True, "dropout": True},
            in_axes=nn.broadcast,
            length=layers,
        )
        x, _ = scanned(config, self.constrain, name="layers")(x, around)
        return x


class Encoder(Stack):
    """The encoder stack over embedded tokens."""

    @nn.compact
    def __call__(
        self, x: Float[Array, "B S D"], segment_ids: Int[Array, "B S"], *, deterministic: bool
    ) -> Float[Array, "B S D"]:
        """Encoded inputs."""
        bias = RelativeBias(self.config, self.constrain, name="relpos_bias")(x.shape[1])
        around = Surroundings(bias, Mask(segment_ids, segment_ids), deterministic=deterministic)
        x = self.dropout(x, deterministic)
        x = self.run(EncoderLayer, self.config.num_encoder_layers, x, around)
        x = Norm(self.config, self.constrain, name="encoder_norm")(x)
        return nn.Dropout(self.config.dropout_rate)(x, deterministic=deterministic)  # T5 does not broadcast this one


class Embedder(Part):
    """The table that turns token ids into vectors, and back where the logits are tied to it."""

    def setup(self) -> None:
        """Both directions read one table."""
        self.table = self.weight("embedding", jnp.dtype("float32"))

    def __call__(self, tokens: Int[Array, "B S"]) -> Float[Array, "B S D"]:
        """One row of the table per token."""
        # Looked up in float32, then cast: the gradient adds up thousands of tokens in a row, which bfloat16 loses most of.
        return self.constrain(jnp.take(self.table, tokens, axis=0).astype(self.dtype), HIDDEN)

    def logits(self, hidden: Float[Array, "B T D"]) -> Float[Array, "B T V"]:
        """Tied logits, in float32, scaled by 1/sqrt(D)."""
        return hidden.astype(jnp.float32) @ self.table.T / math.sqrt(hidden.shape[-1])


class Logits(Part):
    """The projection to the vocabulary, in float32."""

    @nn.compact
    def __call__(self, hidden: Float[Array, "B T D"]) -> Float[Array, "B T V"]:
        """float32 logits."""
        return hidden.astype(jnp.float32) @ self.weight("kernel", jnp.dtype("float32"))


class Decoder(Stack):
    """The decoder stack over embedded tokens, and the logits of what comes out of it."""

    def setup(self) -> None:
        """The logits are asked for apart from the stack: of few positions, or in chunks."""
        if not self.config.logits_via_embedding:
            self.logits_dense = Logits(self.config, self.constrain)

    @nn.compact
    def __call__(
        self, x: Float[Array, "B T D"], mask: Mask, encoded: Array, cross_mask: Mask, *, deterministic: bool
    ) -> Float[Array, "B T D"]:
        """Hidden states."""
        bias = RelativeBias(self.config, self.constrain, is_bidirectional=False, name="relpos_bias")(x.shape[1])
        around = Surroundings(bias, mask, encoded, cross_mask, deterministic)
        x = self.dropout(x, deterministic)
        x = self.run(DecoderLayer, self.config.num_decoder_layers, x, around)
        return self.dropout(Norm(self.config, self.constrain, name="decoder_norm")(x), deterministic)

    def logits(self, hidden: Float[Array, "B T D"]) -> Float[Array, "B T V"]:
        """float32 logits of hidden states."""
        return self.logits_dense(hidden)


class T5(Part):
    """The whole network. Segment ids count from 1, 0 is padding; rows that are not packed are one segment."""

    def setup(self) -> None:
        """Parts under t5x's names."""
        self.token_embedder = Embedder(self.config, self.constrain)
        self.encoder = Encoder(self.config, self.constrain)
        self.decoder = Decoder(self.config, self.constrain)

    def encode(
        self, encoder_input_tokens: Int[Array, "B S"], encoder_segment_ids: Int[Array, "B S"], *, deterministic: bool = True
    ) -> Float[Array, "B S D"]:
        """Encoded inputs; `deterministic=False` needs the rng `dropout`."""
        embedded = self.token_embedder(encoder_input_tokens)
        return self.encoder(embedded, encoder_segment_ids, deterministic=deterministic)

    def decode(
        self,
        encoded: Float[Array, "B S D"],
        encoder_segment_ids: Int[Array, "B S"],
        decoder_input_tokens: Int[Array, "B T"],
        decoder_segment_ids: Int[Array, "B T"],
        decoder_source_ids: Int[Array, "B T"] | None = None,
        *,
        deterministic: bool = True,
    ) -> Float[Array, "B T D"]:
        """Hidden states of the decoder.

        `decoder_segment_ids` part the self-attention; `decoder_source_ids`, by default the same, say which encoder segment
        a position reads, so that several answers to one input can lie in one row.
        """
        source_ids = decoder_segment_ids if decoder_source_ids is None else decoder_source_ids
        mask = Mask(decoder_segment_ids, decoder_segment_ids, is_causal=True)
        cross_mask = Mask(source_ids, encoder_segment_ids)
        embedded = self.token_embedder(decoder_input_tokens)
        return self.decoder(embedded, mask, encoded, cross_mask, deterministic=deterministic)

    def logits(self, hidden: Float[Array, "B T D"]) -> Float[Array, "B T V"]:
        """float32 logits of hidden states."""
        owner = self.token_embedder if self.config.logits_via_embedding else self.decoder
        return self.constrain(owner.logits(hidden), ("batch", "length", "vocab"))

    def __call__(self, batch: Mapping[str, Int[Array, "B N"]], *, deterministic: bool = True) -> Float[Array, "B T V"]:
        """float32 logits of every decoder position of a batch."""
        segments = batch["encoder_segment_ids"]
        encoded = self.encode(batch["encoder_input_tokens"], segments, deterministic=deterministic)
        tokens, targets = batch["decoder_input_tokens"], batch["decoder_segment_ids"]
        return self.logits(self.decode(encoded, segments, tokens, targets, deterministic=deterministic))
