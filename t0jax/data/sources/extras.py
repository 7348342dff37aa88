"""Libraries that only some doors need."""

import importlib
from types import ModuleType

from t0jax.errors import InputError


def need(module: str, extra: str) -> ModuleType:
    """Import a library of one of t0jax's extras; InputError names the extra when it is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(f"This source needs {module} ({error}): install t0jax[{extra}].") from error
