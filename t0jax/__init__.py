"""t0jax: supervised datasets become prompted tasks, one T5 learns all of them, unseen tasks are scored per wording."""

__version__ = "0.1.0"
