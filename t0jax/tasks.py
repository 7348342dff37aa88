"""Importing this registers every task and mixture in SeqIO's registries, for SeqIO's and t5x's own commands (docs/t5x.md).

It reads the tables and nothing else: no network, no rows. T0JAX_CACHE_DIR names a cache to look for tasks in, T0JAX_DATA_DIR the
rows of tasks that are not cached, T0JAX_VOCABULARY the SentencePiece model; what they name is read when it is needed.
"""

import os

import seqio

from t0jax.data.tasks import register, t5_vocabulary

__all__ = ["t5_vocabulary"]

if folder := os.environ.get("T0JAX_CACHE_DIR"):  # t5x's train has a flag for it, its eval and infer have none
    seqio.add_global_cache_dirs([folder])
register()
