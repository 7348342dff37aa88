"""A run's model with its weights: those of a checkpoint, or fresh ones."""

from dataclasses import dataclass
from typing import Any

import jax
from jax.sharding import Mesh

from t0jax.checkpoints.forms import open_form
from t0jax.checkpoints.load import restore_parameters
from t0jax.config import Run
from t0jax.data.vocabulary import Vocabulary
from t0jax.errors import InputError
from t0jax.mesh import check_divides, constrain_to, make_mesh, sharding_of
from t0jax.model.adapters import without_adapter
from t0jax.model.parameters import abstract_parameters, init_parameters, logical_axes
from t0jax.model.t5 import T5

_SPARE_ROWS = 256
"""How many more rows than pieces a model may have: T5's 32,000 pieces and 100 sentinels lie in 32,128."""


@dataclass(frozen=True)
class OpenModel:
    """A T5 that can be applied: its parameters lie on the mesh."""

    model: T5
    params: Any
    mesh: Mesh
    checkpoint: str | None
    step: int | None


def open_model(run: Run) -> OpenModel:
    """Restore the parameters of `checkpoint_path`; without one, those that training from `random_seed` would begin with."""
    mesh, config = make_mesh(run.mesh), without_adapter(run.model)  # an adapter is merged as it is read
    shapes, axes = abstract_parameters(config), logical_axes(config)
    check_divides(mesh, shapes, axes)
    shardings = sharding_of(mesh, axes)
    model = T5(config, constrain_to(mesh))
    path = run.evaluate.checkpoint_path
    if path is None:
        make = jax.jit(lambda key: init_parameters(config, key), out_shardings=shardings)
        return OpenModel(model, make(jax.random.key(run.train.random_seed)), mesh, None, None)
    form = open_form(path)
    like = jax.tree.map(lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), shapes, shardings)
    return OpenModel(model, restore_parameters(form, config, like), mesh, str(form.path), form.step)


def open_vocabulary(run: Run) -> Vocabulary:
    """The run's vocabulary; an InputError when it cannot be the model's: more pieces than rows, or far fewer."""
    if run.data.vocabulary is None:
        raise InputError("Tokens need a vocabulary: give --gin.VOCABULARY=PATH, a SentencePiece model (spiece.model).")
    vocabulary = Vocabulary(run.data.vocabulary)
    if not 0 <= run.model.vocab_size - vocabulary.size <= _SPARE_ROWS:
        raise InputError(
            f"The vocabulary {vocabulary.path} has {vocabulary.size} pieces, the model has room for {run.model.vocab_size}: "
            "give the vocabulary that the model was trained with, or for a new model its size as --gin.ModelConfig.vocab_size."
        )
    return vocabulary
