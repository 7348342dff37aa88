"""`t0jax launch`: a run on slices of TPUs. Its actions do the work; by itself it says which there are."""

import argparse

from t0jax.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command: none."""


def run(arguments: argparse.Namespace) -> int:
    """Nothing is started by a forgotten word."""
    raise InputError("'t0jax launch' needs an action: run, create, status, logs or stop.")
