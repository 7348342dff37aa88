"""A checkpoint in any form: its parameters by t5x's unscanned names, its optimizer's statistics, its step."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from etils import epath

from t0jax.checkpoints.names import SLOTS, shapes_of
from t0jax.checkpoints.tensor import Tensor
from t0jax.config import ModelConfig
from t0jax.errors import InputError

Kind = Literal["orbax", "t5x", "hf"]
EMBEDDING = "token_embedder/embedding"
"""Looked at first when models are compared: its shape says most, vocabulary and width."""
MOMENTUM = "/m"
"""Ends the name of a statistic that only an Adafactor with momentum has."""


@dataclass(frozen=True)
class Form:
    """A checkpoint at rest; nothing but its index has been read."""

    path: epath.Path
    kind: Kind
    layout: str
    """In words: how its tensors lie in files."""
    step: int | None
    """None where the form has no place for it (Hugging Face)."""
    parameters: Mapping[str, Tensor]
    slots: Mapping[str, Tensor] = field(default_factory=dict)
    """Adafactor's statistics as `<parameter>/v_row`, `/v_col` and `/v`; empty where there are none."""
    is_stacked: bool = False
    """Whether the layers of a stack lie in one array."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the model's config, what the form says beside its tensors."""
    adapter: Mapping[str, Tensor] = field(default_factory=dict)
    """What an adapter's checkpoint itself holds; `parameters` are those of its base with the adapter merged in."""

    @property
    def model(self) -> ModelConfig:
        """The model's config, from the shapes of its tensors. InputError where they are not a T5's."""
        return model_of(self)


def model_of(form: Form) -> ModelConfig:
    """The sizes of the model that a checkpoint holds; scanned, as every new model is."""
    shapes = {name: tensor.shape for name, tensor in form.parameters.items()}

    def shape(name: str) -> tuple[int, ...]:
        if len(shapes.get(name, ())) == 2:
            return shapes[name]
        has = f"{name} is {shapes[name]}, where a matrix belongs" if name in shapes else f"it lacks {name}"
        is_scanned = any(one.startswith(("encoder/encoder/", "decoder/decoder/")) for one in shapes)
        raise InputError(
            f"{form.path} is no T5 that is read here: {has}; give a checkpoint of T5 1.0, T5 1.1 or T0.{_SCANNED * is_scanned}"
        )

    vocabulary, width = shape(EMBEDDING)
    heads, buckets = shape("encoder/relpos_bias/rel_embedding")
    joined = shape("encoder/layers_0/attention/query/kernel")[1]
    is_gated = "encoder/layers_0/mlp/wi_0/kernel" in shapes
    mlp = shape(f"encoder/layers_0/mlp/{'wi_0' if is_gated else 'wi'}/kernel")[1]
    found: dict[str, Any] = {
        "vocab_size": vocabulary,
        "emb_dim": width,
        "num_heads": heads,
        "head_dim": joined // heads,
        "mlp_dim": mlp,
        "num_encoder_layers": _layers(shapes, "encoder"),
        "num_decoder_layers": _layers(shapes, "decoder"),
        "mlp_activations": ("gelu", "linear") if is_gated else ("relu",),
        "logits_via_embedding": "decoder/logits_dense/kernel" not in shapes,
        "relpos_buckets": buckets,
    }
    return ModelConfig(**{**found, **form.settings})


_SCANNED = (
    " t5x's scanned layout (scalable_t5) has a table of position biases for each layer, which no T5 1.0, T5 1.1 or T0 has: "
    "give an unscanned one."
)


def _layers(shapes: Mapping[str, object], stack: str) -> int:
    prefix = f"{stack}/layers_"
    return 1 + max((int(name.removeprefix(prefix).split("/")[0]) for name in shapes if name.startswith(prefix)), default=0)


def check_model(form: Form, model: ModelConfig, is_own: bool = False) -> None:
    """InputError that names the first parameter that `model` has otherwise than the checkpoint does.

    `is_own`: the model was read off the checkpoint itself, so that the checkpoint and not the recipe must be at fault.
    """
    stored = {name: tensor.shape for name, tensor in form.parameters.items()}
    if found := first_difference(stored, shapes_of(model)):
        what, whose = ("not whole", "its own model") if is_own else ("of another model", "this run")
        raise InputError(
            f"{form.path} is {what}: {found.between('the checkpoint', whose)}; "
            f"{_remedy(form, found.name, found.has, found.wants, is_own)}."
        )


@dataclass(frozen=True)
class Difference:
    """A tensor that is not stored as it is wanted; None stands for one that is not there."""

    name: str
    has: tuple[int, ...] | None
    wants: tuple[int, ...] | None

    def between(self, stored: str, wanted: str) -> str:
        """The difference in words, with names for both sides."""
        said = "does not have it" if self.has is None else f"holds {self.has}"
        want = "does not have it" if self.wants is None else f"has {self.wants}"
        return f"of {self.name} {stored} {said} and {wanted} {want}"


def first_difference(stored: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]) -> Difference | None:
    """The first tensor by name whose shape differs, the embedding before all others; None where all are as wanted."""
    for name in sorted(wanted.keys() | stored.keys(), key=lambda name: (name != EMBEDDING, name)):
        if stored.get(name) != wanted.get(name):
            return Difference(name, stored.get(name), wanted.get(name))
    return None


def _remedy(form: Form, name: str, has: Any, wants: Any, is_own: bool) -> str:
    if is_own:
        return "copy it again from its source, or give another checkpoint"
    if name == EMBEDDING and has and wants and has[1:] == wants[1:]:
        larger = max(has[0], wants[0])
        padded = f" (its rows are padded to {larger}, the run's are not)" if has[0] > wants[0] else ""
        return f"set ModelConfig.vocab_size = {has[0]}{padded} or give another checkpoint"
    return "set ModelConfig as `t0jax inspect` shows it for this checkpoint, or give another checkpoint"


def check_slots(form: Form) -> None:
    """InputError where the optimizer's statistics are not those of every parameter."""
    for name in form.slots:
        if name.endswith(MOMENTUM):
            raise InputError(
                f"{form.path} was trained with momentum ({name} is {form.slots[name].shape}), which t0jax's Adafactor does not "
                f"have: {_WITHOUT}."
            )
    for name in form.parameters if form.slots else ():
        for slot in SLOTS:
            if f"{name}/{slot}" not in form.slots:
                raise InputError(
                    f"{form.path} holds statistics of the optimizer, but not {slot} of {name}: copy it again, or {_WITHOUT}."
                )


_WITHOUT = "leave the statistics (--without_optimizer; in training TrainConfig.restore_optimizer = False)"
