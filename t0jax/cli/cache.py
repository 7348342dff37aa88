"""`t0jax cache`: render and tokenize tasks into SeqIO's cache."""

import argparse
import json
import sys
import time

from t0jax.cli.flags import add_places, add_selection, add_tables, places_from, selected_tasks
from t0jax.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    add_selection(parser)
    add_tables(parser)
    parser.add_argument("--output_cache_dir", required=True, metavar="O", help="the cache: <O>/<task>/<split>.tfrecord-*")
    add_places(parser)
    parser.add_argument("--vocabulary", metavar="V", help="a SentencePiece model")
    parser.add_argument(
        "--splits", metavar="S,...", help="default: all with rows; of _score_eval tasks validation if it has rows"
    )
    parser.add_argument("--num_examples", type=int, metavar="N", help="only the first N rows of each split")
    parser.add_argument("--json", action="store_true", help="one JSON object for each task and split on standard output")


def run(arguments: argparse.Namespace) -> int:
    """Cache; InputError for unknown names, missing or broken rows, a file that is no vocabulary and a full disk."""
    from t0jax.data.cache import cache_tasks

    tasks = selected_tasks(arguments)
    if not arguments.vocabulary:
        raise InputError("Tokens need a vocabulary: give --vocabulary, the path of a SentencePiece model (spiece.model).")
    started = time.monotonic()
    cached = cache_tasks(
        tasks,
        output_cache_dir=arguments.output_cache_dir,
        places=places_from(arguments),
        vocabulary=arguments.vocabulary,
        splits=[name.strip() for name in arguments.splits.split(",")] if arguments.splits else None,
        num_examples=arguments.num_examples,
    )
    if arguments.json:
        for item in cached:
            print(json.dumps(vars(item)))
    for item in cached:
        if not item.examples:
            print(f"t0jax: {item.task} applies to no row of {item.split}", file=sys.stderr)
    kept = sum(item.was_cached for item in cached)
    examples = sum(item.examples for item in cached)
    print(
        f"{arguments.output_cache_dir}: {len(cached)} splits of {len({item.task for item in cached})} tasks, "
        f"{examples:,} examples ({kept} splits were there already), {time.monotonic() - started:.1f} s",
        file=sys.stderr,
    )
    return 0
