"""Every knob, as frozen, keyword-only, self-checking dataclasses. Gin binds exactly these; standard library only."""

import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from t0jax.checked import Checked
from t0jax.errors import InputError

SOURCES = ("local", "tfds", "hub", "p3")
"""Where rows can come from: t0jax/data/sources has a file for each."""
LossNormalizingFactor = Literal["NUM_REAL_TARGET_TOKENS", "NUM_TOTAL_TARGET_TOKENS", "AVERAGE_PER_SEQUENCE"]


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Checked):
    """The shape of a T5 and how it is computed. Defaults are T5 1.1 small, under t5x's names."""

    vocab_size: int = 32_128
    emb_dim: int = 512
    num_heads: int = 6
    head_dim: int = 64
    mlp_dim: int = 1024
    num_encoder_layers: int = 8
    num_decoder_layers: int = 8
    mlp_activations: tuple[str, ...] = ("gelu", "linear")
    """Gated when there are two: T5 1.1 has ('gelu', 'linear'), T5 1.0 has ('relu',)."""
    logits_via_embedding: bool = False
    """Tie the logits to the embedding, scaled by 1/sqrt(emb_dim), as T5 1.0 does."""
    relpos_buckets: int = 32
    relpos_max_distance: int = 128
    dropout_rate: float = 0.1
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """Of activations. Parameters are float32 always."""
    scan_layers: bool = True
    remat: Literal["none", "minimal", "full"] = "none"
    """What the backward pass recomputes: nothing, all but the matmuls, or the whole layer."""
    adapter: Literal["none", "ia3", "lora"] = "none"
    """Train only this beside frozen weights (t0jax/model/adapters.py); none: train the weights."""
    adapter_rank: int = 4
    """Of lora: the columns of lora_a."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive(
            "vocab_size", "emb_dim", "num_heads", "head_dim", "mlp_dim", "num_encoder_layers", "num_decoder_layers"
        )
        self._require(0.0 <= self.dropout_rate < 1.0, "dropout_rate", "at least 0 and below 1")
        self._require(self.relpos_buckets > 0 and self.relpos_buckets % 4 == 0, "relpos_buckets", "a multiple of 4 above 0")
        half = self.relpos_buckets // 2
        self._require(self.relpos_max_distance > half, "relpos_max_distance", f"above {half}, half the buckets")
        narrowest = min(self.emb_dim, self.mlp_dim, self.num_heads * self.head_dim)
        fits = self.adapter != "lora" or 0 < self.adapter_rank <= narrowest
        self._require(fits, "adapter_rank", f"above 0 and at most {narrowest}, the width of the narrowest kernel")
        known = all(name in ("gelu", "relu", "linear") for name in self.mlp_activations)
        self._require(known and bool(self.mlp_activations), "mlp_activations", "of 'gelu', 'relu' and 'linear'")


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig(Checked):
    """T5's Adafactor and its learning rate. Defaults are T0's: constant 1e-3, no warm-up, no momentum, no decay."""

    learning_rate: float = 1e-3
    schedule: Literal["constant", "rsqrt", "linear"] = "constant"
    """After the warm-up: constant; learning_rate * sqrt(warmup_steps / step); or straight to 0 at decay_steps."""
    warmup_steps: int = 0
    decay_steps: int | None = None
    decay_exponent: float = 0.8
    step_offset: int = 0
    epsilon_gradient: float = 1e-30
    epsilon_parameter: float = 1e-3
    clipping_threshold: float = 1.0
    min_dim_to_factor: int = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("learning_rate", "decay_exponent", "clipping_threshold", "min_dim_to_factor")
        self._require(self.warmup_steps >= 0, "warmup_steps", "at least 0")
        needs = self.schedule != "linear" or (self.decay_steps or 0) > self.warmup_steps
        self._require(needs, "decay_steps", "above warmup_steps for the schedule 'linear'")
        self._require(self.schedule != "rsqrt" or self.warmup_steps > 0, "warmup_steps", "above 0 for the schedule 'rsqrt'")


@dataclass(frozen=True, kw_only=True)
class MeshConfig(Checked):
    """How many devices lie along each axis of the mesh; one axis may be -1, which takes the devices that are left."""

    data: int = -1
    fsdp: int = 1
    tensor: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("data", "fsdp", "tensor"):
            self._require(getattr(self, name) == -1 or getattr(self, name) > 0, name, "above 0, or -1")
        self._require((self.data, self.fsdp, self.tensor).count(-1) <= 1, "data", "the only axis that is -1")


@dataclass(frozen=True, kw_only=True)
class DataConfig(Checked):
    """Which tasks, from which rows, in batches of which shape."""

    mixture_or_task_name: str
    vocabulary: str | None = None
    """Path of a SentencePiece model."""
    data_dir: str | None = None
    """Of the source local, rows: `<dataset>/<subset or default>/<split>.jsonl`, or Parquet."""
    sources: tuple[str, ...] = ("local",)
    """Where rows are looked for, in this order."""
    tfds_data_dir: str | None = None
    """Of the source tfds: a folder or a bucket of prepared TensorFlow Datasets."""
    hub_lock: str | None = None
    """Of the sources hub and p3: a lock file of the user's, in which what is not locked is locked before it is read."""
    p3_dir: str | None = None
    """Of the source p3: a mirror of the published P3, a folder for each task; None: the hub."""
    cache_dir: str | None = None
    """SeqIO's cache of rendered and tokenized tasks: `<task>/<split>.tfrecord-...`."""
    use_cached_tasks: bool = True
    """False renders every task again from data_dir, whatever cache_dir holds."""
    tables: tuple[str, ...] = ()
    """Folders of the user's own tables of tasks and mixtures, beside t0jax's."""
    cap_rule: str | None = None
    """How rates are capped: released, t_few or prose; None: as each mixture says."""
    skip_missing: bool = False
    """Go on without tasks that no source has rows of; every report says so."""
    split: str = "train"
    task_feature_lengths: Mapping[str, int] = field(default_factory=lambda: {"inputs": 1024, "targets": 256})
    batch_size: int = 128
    pack: bool = True
    packing_bins: int = 32
    """Rows that are open at once while packing, in each stream."""
    narrow_targets: int | None = None
    """A second, shorter length of targets: steps whose rows fit it have a decoder of this many positions. None: one shape."""
    num_streams: int = 1
    """Independent streams that make up a global batch: a multiple of the hosts, a divisor of batch_size. The data does not
    depend on the number of hosts, only on this."""
    shuffle_seed: int = 0
    num_examples: int | None = None
    """Cache and read at most this many rows of each task and split."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("batch_size", "packing_bins", "num_streams")
        self._require_local("vocabulary", "data_dir", "cache_dir", "hub_lock", "p3_dir")
        are_known = set(self.sources) <= set(SOURCES) and len(set(self.sources)) == len(self.sources) > 0
        self._require(are_known, "sources", f"one or several of {', '.join(SOURCES)}, each once")
        self._require(self.num_examples is None or self.num_examples > 0, "num_examples", "None or above 0")
        self._require(self.batch_size % self.num_streams == 0, "num_streams", f"a divisor of batch_size {self.batch_size}")
        lengths = self.task_feature_lengths
        is_good = set(lengths) == {"inputs", "targets"} and all(n > 0 for n in lengths.values())
        self._require(is_good, "task_feature_lengths", "{'inputs': n, 'targets': m}, both above 0")
        narrow, targets = self.narrow_targets, lengths["targets"]
        self._require(narrow is None or 0 < narrow < targets, "narrow_targets", f"None, or above 0 and below {targets} targets")

    def streams_each(self, hosts: int) -> int:
        """How many streams each host reads; an InputError when they do not divide."""
        if self.num_streams % hosts:
            raise InputError(
                f"{self.num_streams} data streams cannot be shared by {hosts} processes; set DataConfig.num_streams to a "
                "multiple of the hosts."
            )
        return self.num_streams // hosts


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Checked):
    """One training run: where it lies, how long it is, what is saved and said."""

    model_dir: str | None = None
    train_steps: int | str = 12_200
    """The step at which training ends, counted as the checkpoint counts (t5x: T0 ends at 1,112,200); or '+12200', from where
    the run begins."""
    initial_checkpoint_path: str | None = None
    """Where a new run begins; the step goes on from its step. A run that has saved resumes from MODEL_DIR instead."""
    restore_optimizer: bool = True
    """Of initial_checkpoint_path; False, or a checkpoint without one, begins with fresh statistics at its step."""
    allow_held_out: bool = False
    """Train also on datasets that the tables hold out for zero-shot scoring, and on their families."""
    random_seed: int = 0
    microbatches: int = 1
    """Each batch is computed in this many parts whose gradients are summed in float32."""
    z_loss: float = 1e-4
    label_smoothing: float = 0.0
    loss_normalizing_factor: float | LossNormalizingFactor | None = None
    """None: the loss is the sum over target tokens, as in t5x; else that sum divided by this number, or by one of the batch's
    (t5x's SpecialLossNormalizingFactor): its real target tokens, all its target positions, or first each sequence's by its own
    tokens and then the sum by the sequences."""
    nan_restores: int = 0
    """How often, when a loss is no number, to go back to the last checkpoint and pass over the batches since; then stop."""
    checkpoint_period: int = 1000
    checkpoints_to_keep: int | None = None
    stats_period: int = 100
    """Steps between lines in the log."""
    profile_steps: tuple[int, ...] = ()
    """The first and the last step of a profile in MODEL_DIR/profile, as (101, 105); none: no profile."""

    wandb_project: str | None = None
    """Write the lines of the log also to this project of Weights & Biases."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("microbatches", "checkpoint_period", "stats_period")
        steps = self.train_steps
        is_relative = isinstance(steps, str) and steps[:1] == "+" and steps[1:].replace("_", "").isdecimal()
        self._require(is_relative or (isinstance(steps, int) and steps > 0), "train_steps", "above 0, or '+N' for N steps more")
        keep = self.checkpoints_to_keep
        self._require(keep is None or keep > 0, "checkpoints_to_keep", "None or above 0")
        self._require(self.z_loss >= 0, "z_loss", "at least 0")
        self._require(self.nan_restores >= 0, "nan_restores", "at least 0")
        self._require(0 <= self.label_smoothing < 1, "label_smoothing", "at least 0 and below 1")
        profiled = self.profile_steps
        is_span = not profiled or (len(profiled) == 2 and 0 < profiled[0] <= profiled[1])
        self._require(is_span, "profile_steps", "empty, or the first and the last of some steps, counted from 1")
        factor = self.loss_normalizing_factor
        self._require(not isinstance(factor, int | float) or factor > 0, "loss_normalizing_factor", "None or above 0")

    def last_step(self, begun: int = 0) -> int:
        """The step at which a run that began at step `begun` ends."""
        return self.train_steps if isinstance(self.train_steps, int) else begun + int(self.train_steps)


@dataclass(frozen=True, kw_only=True)
class EvalConfig(Checked):
    """One evaluation: which weights, and where the scores go. What is scored, and in which shapes, the DataConfig says."""

    checkpoint_path: str | None = None
    """`MODEL_DIR/checkpoint_N`, or MODEL_DIR for its newest; None scores the untrained model."""
    eval_output_dir: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_local("eval_output_dir")


@dataclass(frozen=True, kw_only=True)
class DecodeConfig(Checked):
    """How an answer is written where there are no choices: t5x's names where it has them. Defaults are greedy."""

    num_decodes: int = 1
    """Beams, the best of which is the answer."""
    alpha: float = 0.6
    """The beams' length penalty: log-probabilities are divided by ((5 + length) / 6) ** alpha."""
    beam_rules: Literal["t5x", "transformers"] = "t5x"
    """transformers: divided by length ** alpha, its length_penalty; and what is longest counts as finished."""
    temperature: float = 0.0
    """Above 0, tokens are drawn from softmax(logits / temperature); 0 takes the likeliest."""
    topk: int = 0
    """Draw from this many likeliest tokens; 0: all."""
    topp: float = 0.0
    """Draw from the fewest likeliest tokens that have at least this probability together; 0: all."""
    max_decode_len: int | None = None
    """Tokens of an answer at most; None: as many as targets have in task_feature_lengths."""
    decode_seed: int = 0
    """What is drawn depends on this, the number of the input and nothing else."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_positive("num_decodes")
        for name in ("alpha", "temperature", "topk", "decode_seed"):
            self._require(getattr(self, name) >= 0, name, "at least 0")
        self._require(0 <= self.topp <= 1, "topp", "at least 0 and at most 1")
        self._require(self.max_decode_len is None or self.max_decode_len > 0, "max_decode_len", "None or above 0")
        is_one = self.num_decodes == 1 or self.temperature == 0
        self._require(is_one, "num_decodes", "1 where temperature is above 0: beams are not drawn")
        for name in ("topk", "topp"):
            self._require(not getattr(self, name) or self.temperature > 0, name, "0 where temperature is 0: nothing is drawn")


@dataclass(frozen=True, kw_only=True)
class Run(Checked):
    """Everything that a command needs, after gin has been read."""

    model: ModelConfig
    optimizer: OptimizerConfig
    mesh: MeshConfig
    data: DataConfig
    train: TrainConfig
    evaluate: EvalConfig
    decode: DecodeConfig = field(default_factory=DecodeConfig)


SECTIONS: Mapping[str, type[Checked]] = typing.get_type_hints(Run)
"""The parts of a Run by field name: `model` is a ModelConfig, and so on."""
