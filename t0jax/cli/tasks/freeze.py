"""`t0jax tasks freeze`: make mixtures/templates.csv anew after a change of tables or templates, in a checkout."""

import argparse
import sys

from t0jax import street
from t0jax.data.tabled import frozen_path
from t0jax.files import write_whole


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It takes none."""


def run(arguments: argparse.Namespace) -> int:
    """Write the table aside and rename it; the same bytes from the same template files."""
    from t0jax.data.freeze import frozen_templates

    path = frozen_path(street.mixtures_folder())
    text = frozen_templates()
    before = path.read_text(encoding="utf-8") if path.is_file() else None
    if text != before:
        write_whole(path, text, remedy="freeze in a checkout of t0jax")
    print(f"{path}: {'unchanged' if text == before else 'written'}, {text.count(chr(10)) - 1} templates", file=sys.stderr)
    return 0
