"""A run of seconds: a T5 of one layer a stack, and a feed of random batches that knows its place."""

from collections.abc import Iterator, Mapping
from typing import Any

from t0jax.batch import Batch, synthetic_batch
from t0jax.config import DataConfig, EvalConfig, MeshConfig, ModelConfig, OptimizerConfig, Run, TrainConfig
from t0jax.errors import InputError

MODEL = ModelConfig(
    vocab_size=64,
    emb_dim=16,
    num_heads=2,
    head_dim=8,
    mlp_dim=32,
    num_encoder_layers=1,
    num_decoder_layers=1,
    dtype="float32",  # compiles in half the time of bfloat16 on a CPU
    dropout_rate=0.0,
)


class NumberedFeed:
    """Batch n is made from the seed n, of targets_lengths in turn; its place is n."""

    def __init__(self, *targets_lengths: int) -> None:
        self.at = 0
        self._lengths = targets_lengths or (8,)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        length = self._lengths[self.at % len(self._lengths)]
        batch = synthetic_batch(batch_size=8, inputs_length=16, targets_length=length, vocab_size=64, segments=2, seed=self.at)
        self.at += 1
        return batch

    def position(self) -> dict[str, Any]:
        return {"streams": {"0": {"at": self.at}}}

    def seek(self, position: dict[str, Any]) -> None:
        if "streams" not in position:
            raise InputError("The position belongs to other data.")
        self.at = position["streams"]["0"]["at"]


def tiny_run(model_dir: Any, *, model: ModelConfig = MODEL, data: Mapping[str, Any] | None = None, **train: Any) -> Run:
    settings = {"train_steps": 12, "checkpoint_period": 5, "stats_period": 2, **train}
    return Run(
        model=model,
        optimizer=OptimizerConfig(learning_rate=1e-2),
        mesh=MeshConfig(),
        data=DataConfig(**{"mixture_or_task_name": "synthetic", "batch_size": 8, **(data or {})}),
        train=TrainConfig(model_dir=str(model_dir), **settings),
        evaluate=EvalConfig(),
    )


def untimed(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the log without what the clock says."""
    timed = {"tokens_per_second", "examples_per_second", "mfu", "goodput"}
    return {name: value for name, value in line.items() if name not in timed and not name.startswith("seconds_")}
