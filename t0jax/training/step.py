"""One training step: loss, gradients summed over microbatches, update. Pure; sharded by the mesh it is given."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key

from t0jax.config import ModelConfig, OptimizerConfig, TrainConfig
from t0jax.mesh import batch_sharding, check_divides, constrain_to, replicated, sharding_of
from t0jax.model.adapters import join, split
from t0jax.model.parameters import abstract_parameters, init_parameters, logical_axes
from t0jax.model.t5 import T5
from t0jax.optimizer import adafactor, learning_rate, optimizer_logical_axes

TOKEN_SHARES = "decoder_token_shares"
"""(B, T) float32: of a part of a batch, what its target tokens count in the loss of the whole."""
Metrics = dict[str, Float[Array, ""]]
Step = Callable[["State", Any, Key[Array, ""]], tuple["State", Metrics]]


class State(flax.struct.PyTreeNode):
    """What training changes. The optimizer keeps a step of its own, always equal to this one."""

    step: Int[Array, ""]
    params: Any
    opt_state: Any


def _axes(model: ModelConfig, optimizer: OptimizerConfig) -> State:
    """Logical axes of every leaf of the state."""
    params = logical_axes(model)
    none, trained = jax.sharding.PartitionSpec(), split(model, params)[0]
    return State(none, params, optimizer_logical_axes(optimizer, split(model, abstract_parameters(model))[0], trained))


def _fresh(model: ModelConfig, optimizer: OptimizerConfig, key: Key[Array, ""]) -> State:
    params = init_parameters(model, key)
    return State(jnp.zeros((), jnp.int32), params, optimizer_of(model, optimizer).init(split(model, params)[0]))


def optimizer_of(model: ModelConfig, optimizer: OptimizerConfig) -> optax.GradientTransformation:
    """Adafactor over what is trained of the model's parameters; what is frozen has no statistics."""
    return adafactor(optimizer, split(model, logical_axes(model))[0])


def abstract_state(model: ModelConfig, optimizer: OptimizerConfig, mesh: Mesh) -> State:
    """The state as `ShapeDtypeStruct`s with shardings: what a restore should look like.

    An InputError when a dimension of the model cannot be split evenly over the mesh.
    """
    axes = _axes(model, optimizer)
    shapes = jax.eval_shape(lambda: _fresh(model, optimizer, jax.random.key(0)))
    check_divides(mesh, shapes, axes)

    def leaf(shape: jax.ShapeDtypeStruct, sharding: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=sharding)

    return jax.tree.map(leaf, shapes, sharding_of(mesh, axes))


def state_shardings(model: ModelConfig, optimizer: OptimizerConfig, mesh: Mesh) -> State:
    """Where every leaf of the state lies on the mesh."""
    return jax.tree.map(lambda leaf: leaf.sharding, abstract_state(model, optimizer, mesh))


def initial_state(model: ModelConfig, optimizer: OptimizerConfig, mesh: Mesh, key: Key[Array, ""]) -> State:
    """Fresh parameters and optimizer at step 0; every device makes only its own part."""
    shardings = state_shardings(model, optimizer, mesh)
    return jax.jit(lambda key: _fresh(model, optimizer, key), out_shardings=shardings)(key)


def token_losses(
    logits: Float[Array, "B T V"], targets: Int[Array, "B T"], label_smoothing: float = 0.0
) -> tuple[Float[Array, "B T"], Float[Array, "B T"]]:
    """Cross-entropy of every target, and log(Z) of its logits.

    With label smoothing the entropy of the smoothed target is taken off, as t5x does: a perfect prediction costs 0.
    """
    log_z = jax.nn.logsumexp(logits, axis=-1)
    # A masked sum and not a gather: it fuses, its gradient scatters nothing, and it works over a split vocabulary.
    is_target = jax.nn.one_hot(targets, logits.shape[-1], dtype=jnp.bool_)
    gold = log_z - jnp.sum(jnp.where(is_target, logits, 0.0), axis=-1)
    if label_smoothing == 0.0:
        return gold, log_z
    others = logits.shape[-1] - 1
    low = label_smoothing / others
    entropy = -(1 - label_smoothing) * jnp.log(1 - label_smoothing) - others * low * jnp.log(low)
    everything = logits.shape[-1] * log_z - jnp.sum(logits, axis=-1)
    return (1 - label_smoothing - low) * gold + low * everything - entropy, log_z


def token_shares(train: TrainConfig, batch: Any) -> Float[Array, "B T"]:
    """What the cost of each target token counts in the loss of the whole batch: its weight by `loss_normalizing_factor`."""
    weights, factor = batch["decoder_loss_weights"].astype(jnp.float32), train.loss_normalizing_factor
    if factor is None:
        return weights
    if factor == "NUM_REAL_TARGET_TOKENS":
        return weights / jnp.maximum(weights.sum(), 1e-9)
    if factor == "NUM_TOTAL_TARGET_TOKENS":
        return weights / weights.size
    if factor == "AVERAGE_PER_SEQUENCE":
        segments = batch["decoder_segment_ids"]
        of_sequence = jnp.einsum("bts,bs->bt", (segments[:, :, None] == segments[:, None]).astype(jnp.float32), weights)
        shares = jnp.where(of_sequence > 0, weights / of_sequence, 0.0)
        return shares / jnp.maximum(shares.sum(), 1e-9)
    return weights / factor


def loss(
    model: T5, train: TrainConfig, params: Any, batch: Any, dropout_key: Key[Array, ""] | None
) -> tuple[Float[Array, ""], Metrics]:
    """t5x's loss: the sum over target tokens of cross-entropy + z_loss * log(Z)^2, each by its share (see `token_shares`).

    A part of a batch has the shares of the whole in `TOKEN_SHARES`. The metrics are sums over target tokens. No key: no
    dropout.
    """
    rngs = None if dropout_key is None else {"dropout": dropout_key}
    logits = model.apply({"params": params}, batch, deterministic=dropout_key is None, rngs=rngs)
    targets, weights = batch["decoder_target_tokens"], batch["decoder_loss_weights"].astype(jnp.float32)
    entropies, log_z = token_losses(logits, targets, train.label_smoothing)
    z_losses = train.z_loss * jnp.square(log_z)
    shares = batch[TOKEN_SHARES] if TOKEN_SHARES in batch else token_shares(train, batch)
    is_right = (jnp.argmax(logits, axis=-1) == targets).astype(jnp.float32)
    sums = {
        "loss": jnp.sum((entropies + z_losses) * weights),
        "z_loss": jnp.sum(z_losses * weights),
        "accuracy": jnp.sum(is_right * weights),
        "target_tokens": jnp.sum(weights),
        "input_tokens": jnp.sum((batch["encoder_segment_ids"] > 0).astype(jnp.float32)),
    }
    return jnp.sum((entropies + z_losses) * shares), sums


def gradients(model: T5, train: TrainConfig, params: Any, batch: Any, key: Key[Array, ""] | None) -> tuple[Any, Metrics]:
    """Gradients of `loss` by what is trained, and its metrics, computed in `train.microbatches` parts and summed in float32.

    Factors of the batch are the whole batch's, so that the parts change nothing; t5x takes each part's own.
    """
    params, frozen = split(model.config, params)
    differentiate = jax.grad(lambda params, part, key: loss(model, train, join(params, frozen), part, key), has_aux=True)
    parts = train.microbatches
    if parts == 1:
        return differentiate(params, batch, key)
    batch = {**batch, TOKEN_SHARES: token_shares(train, batch)}

    def part_of(rows: Array) -> Array:
        """Part m has the rows m, m + parts, ...: every device keeps its own rows."""
        apart = rows.reshape(-1, parts, *rows.shape[1:]).swapaxes(0, 1)
        return model.constrain(apart, (None, "batch", *(None,) * (rows.ndim - 1)))

    def add(total: Any, number_and_part: tuple[Int[Array, ""], Any]) -> tuple[Any, None]:
        number, part = number_and_part
        part_key = None if key is None else jax.random.fold_in(key, number)
        return jax.tree.map(jnp.add, total, differentiate(params, part, part_key)), None

    shapes = jax.eval_shape(differentiate, params, batch, key)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, jnp.float32), shapes)
    (total, sums), _ = jax.lax.scan(add, zeros, (jnp.arange(parts), jax.tree.map(part_of, batch)))
    return total, sums


def make_step(model_config: ModelConfig, optimizer_config: OptimizerConfig, train: TrainConfig, mesh: Mesh) -> Step:
    """The compiled step (state, batch, key) -> (state, metrics). The old state is donated: do not read it again.

    `key` is the run's: the step folds its number in, so that a resumed run drops the same units. Metrics are float32
    scalars: loss, z_loss and accuracy per target token, target_tokens, input_tokens, gradient_norm, learning_rate.
    """
    model = T5(model_config, constrain_to(mesh))
    optimizer = optimizer_of(model_config, optimizer_config)
    shardings = state_shardings(model_config, optimizer_config, mesh)
    rate = learning_rate(optimizer_config)

    def step(state: State, batch: Any, key: Key[Array, ""]) -> tuple[State, Metrics]:
        dropout_key = jax.random.fold_in(key, state.step) if model_config.dropout_rate else None
        gradient, sums = gradients(model, train, state.params, batch, dropout_key)
        trained, frozen = split(model_config, state.params)
        updates, opt_state = optimizer.update(gradient, state.opt_state, trained)
        tokens = jnp.maximum(sums["target_tokens"], 1.0)
        metrics = sums | {name: sums[name] / tokens for name in ("loss", "z_loss", "accuracy")}
        metrics |= {"gradient_norm": optax.tree.norm(gradient), "learning_rate": rate(state.opt_state.step)}
        return State(state.step + 1, join(optax.apply_updates(trained, updates), frozen), opt_state), metrics

    everywhere = replicated(mesh)
    return jax.jit(
        step,
        donate_argnums=0,
        in_shardings=(shardings, batch_sharding(mesh), everywhere),
        out_shardings=(shardings, everywhere),
    )
