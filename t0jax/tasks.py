"""Importing this registers every task and mixture in SeqIO's registries, for SeqIO's and t5x's own commands (docs/t5x.md).

It reads the tables and nothing else: no network, no rows. What T0JAX_TABLES, T0JAX_VOCABULARY and T0JAX_CACHE_DIR name must be
named before; T0JAX_SOURCES, T0JAX_DATA_DIR and the like are looked up when rows are needed, which a cached task never does.
"""

import os

import seqio

from t0jax.data.sources.places import Places
from t0jax.data.tasks import register
from t0jax.data.universe import universe_of
from t0jax.errors import InputError

T5_VOCABULARY = "gs://t5-data/vocabs/cc_all.32000.100extra/sentencepiece.model"
"""t5x's default. Its 100 extra ids are pieces of the model: SeqIO's `extra_ids` stays 0."""


def vocabulary() -> seqio.SentencePieceVocabulary:
    """The tasks' SentencePiece model, T0JAX_VOCABULARY or T5's public one; the file is read when it is first used."""
    return seqio.SentencePieceVocabulary(os.environ.get("T0JAX_VOCABULARY") or T5_VOCABULARY)


def places() -> Places:
    """Where rows come from: T0JAX_SOURCES, each with its place. InputError when none is set."""
    given = {name: os.environ.get(f"T0JAX_{name.upper()}") for name in ("data_dir", "tfds_data_dir", "hub_lock", "p3_dir")}
    if not any(given.values()):
        raise InputError(
            "Rows are needed and T0JAX_DATA_DIR is not set: set it to the folder of <dataset>/<subset or default>/, or "
            "T0JAX_CACHE_DIR to a cache that has the task, and read it with use_cached."
        )
    return Places(order=_several("T0JAX_SOURCES") or ("local",), **given)


def _several(variable: str) -> tuple[str, ...]:
    """The values, separated by commas, of an environment variable."""
    return tuple(value for value in os.environ.get(variable, "").split(",") if value)


seqio.add_global_cache_dirs(_several("T0JAX_CACHE_DIR"))  # t5x's train has a flag for it, its eval and infer have none
register(places=places, vocabulary=vocabulary(), universe=universe_of(_several("T0JAX_TABLES")))
