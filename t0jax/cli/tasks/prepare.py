"""`t0jax tasks prepare`: write the rows of any source as TensorFlow Datasets, for machines that read them from a bucket."""

import argparse
import sys

from t0jax.cli.flags import add_places, add_selection, add_tables, places_from, selected_tasks
from t0jax.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    add_selection(parser)
    add_tables(parser)
    add_places(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prepare each dataset of the tasks and print its directory; InputError for missing rows and a bucket that is not there."""
    if not arguments.tfds_data_dir:
        raise InputError("The datasets need a place: give --tfds_data_dir, a folder or a bucket.")
    from t0jax.data.sources.tfds_prepare import prepare_tasks

    for prepared in prepare_tasks(selected_tasks(arguments), places_from(arguments), arguments.tfds_data_dir):
        print(prepared.directory)
        if prepared.lacking:
            print(f"t0jax: {prepared.directory} lacks {', '.join(prepared.lacking)}: no source has them", file=sys.stderr)
    return 0
