"""`t0jax tasks convert`: files of a dataset that its authors give to people only, as JSON lines."""

import argparse

from t0jax.cli.flags import add_data_dir


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    parser.add_argument("--dataset", required=True, metavar="D", help="story_cloze/2016 or jigsaw_toxicity_pred")
    parser.add_argument("--from", required=True, dest="folder", metavar="FOLDER", help="where its files lie")
    add_data_dir(parser, required=True)


def run(arguments: argparse.Namespace) -> int:
    """Convert and print the files; InputError for files that are not there or not the dataset's."""
    from t0jax.data.sources.by_hand import convert

    for path in convert(arguments.dataset, arguments.folder, arguments.data_dir):
        print(path)
    return 0
