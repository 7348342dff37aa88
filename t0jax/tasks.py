"""Importing this registers every task and mixture in SeqIO's registries, for SeqIO's and t5x's own commands (docs/t5x.md).

It reads the tables and nothing else: no network, no rows. Rows and vocabulary come, when they are needed, from where
T0JAX_DATA_DIR and T0JAX_VOCABULARY point; a cache of `t0jax cache` or of `seqio_cache_tasks` needs no rows.
"""

from t0jax.data.tasks import register, t5_vocabulary

__all__ = ["t5_vocabulary"]

register()
