"""`t0jax cache`: render and tokenize tasks into SeqIO's cache."""

import argparse
import json
import sys
import time

from t0jax.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    parser.add_argument("--mixture", metavar="M", help="cache all tasks of this mixture")
    parser.add_argument("--tasks", metavar="T,...", help="cache these tasks")
    parser.add_argument("--output_cache_dir", required=True, metavar="O", help="the cache: <O>/<task>/<split>.tfrecord-*")
    parser.add_argument("--data_dir", required=True, metavar="D", help="rows as <dataset>/<subset or default>/<split>.jsonl")
    parser.add_argument("--vocabulary", metavar="V", help="a SentencePiece model")
    parser.add_argument(
        "--splits", metavar="S,...", help="default: all with rows; of _score_eval tasks validation if it has rows"
    )
    parser.add_argument("--num_examples", type=int, metavar="N", help="only the first N rows of each split")
    parser.add_argument("--json", action="store_true", help="one JSON object for each task and split on standard output")


def run(arguments: argparse.Namespace) -> int:
    """Cache; InputError for unknown names, missing or broken rows, a file that is no vocabulary and a full disk."""
    from t0jax.data import universe
    from t0jax.data.cache import cache_tasks
    from t0jax.data.sources.places import Places

    if bool(arguments.mixture) == bool(arguments.tasks):
        raise InputError("What to cache is not clear: give either --mixture M or --tasks T,...")
    if not arguments.vocabulary:
        raise InputError("Tokens need a vocabulary: give --vocabulary, the path of a SentencePiece model (spiece.model).")
    if arguments.mixture:
        tasks = universe.mixture_tasks(arguments.mixture)
    else:
        tasks = tuple(universe.task(name.strip()) for name in arguments.tasks.split(","))
    started = time.monotonic()
    cached = cache_tasks(
        tasks,
        output_cache_dir=arguments.output_cache_dir,
        places=Places(data_dir=arguments.data_dir),
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
