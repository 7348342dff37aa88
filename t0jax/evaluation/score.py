"""Rank classification on devices: the summed log-probability of every choice, each distinct input encoded once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, UInt32

from t0jax.batch import RankExample
from t0jax.evaluation.rows import PackedRows, distinct_sources, packed_batches
from t0jax.mesh import batch_sharding, replicated
from t0jax.model.t5 import T5

LOGIT_POSITIONS = 4096
"""Decoder positions whose logits exist at the same time."""


class Scorer:
    """Scores choices as T0 does: float32 log-probabilities, summed over all tokens and EOS, not normalised by length."""

    def __init__(
        self,
        model: T5,
        params: Any,
        *,
        task_feature_lengths: Mapping[str, int],
        batch_size: int = 32,
        mesh: Mesh | None = None,
    ) -> None:
        """`batch_size` counts rows of `task_feature_lengths["inputs"]` tokens; shorter rows come in larger batches."""
        self.params = params
        self.lengths = dict(task_feature_lengths)
        self.tokens = batch_size * self.lengths["inputs"]
        self._sharding = None if mesh is None else batch_sharding(mesh)
        self.ways = 1 if mesh is None else mesh.shape["data"] * mesh.shape["fsdp"]
        whole = None if mesh is None else replicated(mesh)  # every process reads all of a batch's scores
        self._run = jax.jit(partial(token_logp, model), out_shardings=whole)

    def score(self, examples: Sequence[RankExample]) -> list[Float[np.ndarray, "choices"]]:
        """Log-probabilities of every example's choices, in the order given."""
        scores = [np.full(len(example.choices), np.nan) for example in examples]
        for packed, sums in self.scored(self.batches(examples)):
            deal(packed, sums, scores)
        return scores

    def checksum(self) -> str:
        """Of the weights' bits: the same however they lie on devices."""
        return f"{int(jax.jit(bits_sum)(self.params)):08x}"

    def batches(self, examples: Sequence[RankExample]) -> Iterator[PackedRows]:
        """The packed batches that scoring `examples` runs: the same ones whenever they are asked for."""
        return packed_batches(distinct_sources(examples, self.lengths), self.lengths["inputs"], self.tokens, self.ways)

    def scored(self, batches: Iterable[PackedRows]) -> Iterator[tuple[PackedRows, Float[np.ndarray, "segments"]]]:
        """Every batch with its segments' log-probabilities; one is ahead, so that packing and the device work side by side."""
        in_flight: tuple[PackedRows, Array] | None = None
        for packed in batches:
            started = packed, self._run(self.params, self._placed(packed.batch))
            if in_flight is not None:
                yield _collected(*in_flight)
            in_flight = started
        if in_flight is not None:
            yield _collected(*in_flight)

    def _placed(self, batch: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """The batch on the devices; of several hosts each one places its own rows."""
        if self._sharding is None:
            return dict(batch)
        return {
            name: jax.make_array_from_callback(array.shape, self._sharding, array.__getitem__) for name, array in batch.items()
        }


def bits_sum(params: Any) -> UInt32[Array, ""]:
    """The sum of all float32 bits, modulo 2^32: exact in any order."""
    total = jnp.uint32(0)
    for leaf in jax.tree.leaves(params):
        bits = jax.lax.bitcast_convert_type(leaf.astype(jnp.float32), jnp.uint32)
        total = total * jnp.uint32(31) + bits.sum(dtype=jnp.uint32)
    return total


def token_logp(model: T5, params: Any, batch: Mapping[str, Int[Array, "B X"]]) -> Float[Array, "B T"]:
    """float32 log-probability of every target token of a packed batch; logits exist for a part of the positions at a time."""
    apply = partial(model.apply, {"params": params})
    encoded = apply(batch["encoder_input_tokens"], batch["encoder_segment_ids"], method="encode")
    hidden = apply(
        encoded,
        batch["encoder_segment_ids"],
        batch["decoder_input_tokens"],
        batch["decoder_segment_ids"],
        batch["decoder_source_ids"],
        method="decode",
    )

    targets = batch["decoder_target_tokens"]
    step = _part_width(*targets.shape)

    def of_part(part: Int[Array, ""], logp: Float[Array, "B T"]) -> Float[Array, "B T"]:
        some, gold = (jax.lax.dynamic_slice_in_dim(array, part * step, step, axis=1) for array in (hidden, targets))
        return jax.lax.dynamic_update_slice_in_dim(logp, gold_logp(apply(some, method="logits"), gold), part * step, axis=1)

    return jax.lax.fori_loop(0, targets.shape[1] // step, of_part, jnp.zeros(targets.shape, jnp.float32))


def gold_logp(logits: Float[Array, "B T V"], targets: Int[Array, "B T"]) -> Float[Array, "B T"]:
    """Log-softmax at the targets. A sum over the vocabulary instead of a gather: it stays local where V is sharded."""
    is_gold = jnp.arange(logits.shape[-1])[None, None] == targets[..., None]
    return jnp.where(is_gold, logits, 0).sum(-1) - jax.nn.logsumexp(logits, axis=-1)


def _part_width(rows: int, width: int) -> int:
    """Decoder positions of each row whose logits are made together: a divisor of `width`."""
    return max(step for step in range(1, width + 1) if width % step == 0 and (step == 1 or rows * step <= LOGIT_POSITIONS))


def _collected(packed: PackedRows, logp: Float[Array, "B T"]) -> tuple[PackedRows, Float[np.ndarray, "segments"]]:
    return packed, packed.sums(np.asarray(logp, np.float64))


def deal(packed: PackedRows, sums: Float[np.ndarray, "segments"], scores: list[Float[np.ndarray, "choices"]]) -> None:
    """Give each segment's log-probability to all its owners."""
    for value, owners in zip(sums.tolist(), packed.owners, strict=True):
        for example, choice in owners:
            scores[example][choice] = value
