"""`t0jax cache`: render and tokenize tasks into SeqIO's cache, or read what it holds and say whether it is sound."""

import argparse
import gc
import json
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from t0jax.cli import listening, terminate
from t0jax.cli.flags import add_places, add_selection, add_tables, names_of, places_from, selected_tasks, without
from t0jax.data.universe import PromptedTask, with_splits
from t0jax.errors import InputError

if TYPE_CHECKING:
    from t0jax.data.cached_split import CachedTask


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command; those of seqio_cache_tasks have its names."""
    add_selection(parser)
    parser.add_argument("--excluded_tasks", metavar="T,...", help="not these tasks; regular expressions")
    add_tables(parser)
    parser.add_argument("--output_cache_dir", required=True, metavar="O", help="the cache: <O>/<task>/<split>.tfrecord-*")
    add_places(parser)
    parser.add_argument("--vocabulary", metavar="V", help="a SentencePiece model")
    parser.add_argument(
        "--splits", metavar="S,...", help="default: all with rows; of _score_eval tasks validation if it has rows"
    )
    parser.add_argument("--num_examples", type=int, metavar="N", help="only the first N rows of each split")
    parser.add_argument("--min_shards", type=int, default=1, metavar="N", help="files of each split that has so many rows")
    parser.add_argument("--overwrite", action="store_true", help="render again what is there already")
    parser.add_argument("--skip_missing", action="store_true", help="go on without tasks that have no rows, and note them")
    parser.add_argument("--runner", metavar="R", help="a runner of Apache Beam's, for example DirectRunner")
    parser.add_argument("--beam_options", default="", metavar="K=V,...", help="its pipeline options")
    parser.add_argument("--verify", action="store_true", help="read every record of what is cached instead, and check it")
    parser.add_argument("--json", action="store_true", help="one JSON object for each task and split on standard output")


def run(arguments: argparse.Namespace) -> int:
    """Cache; InputError for unknown names, missing or broken rows, a file that is no vocabulary and a full disk."""
    try:
        with listening({signal.SIGTERM: terminate}):  # it has processes to end and finished shards to tell of
            return _verify(arguments) if arguments.verify else _cache(arguments)
    except KeyboardInterrupt as stop:
        traceback.clear_frames(stop.__traceback__)  # or the pool of processes, still held there, is said to leak
        gc.collect()
        raise


def _cache(arguments: argparse.Namespace) -> int:
    from t0jax.data.cache import cache_tasks

    tasks = without(selected_tasks(arguments), arguments.excluded_tasks)
    splits = names_of(arguments.splits)
    if arguments.mixture and splits:
        tasks = with_splits(tasks, splits)[0] or tasks  # where none has one, the error says so
    if not arguments.vocabulary:
        raise InputError("Tokens need a vocabulary: give --vocabulary, the path of a SentencePiece model (spiece.model).")
    started = time.monotonic()
    cached = cache_tasks(
        tasks,
        output_cache_dir=arguments.output_cache_dir,
        places=places_from(arguments),
        vocabulary=arguments.vocabulary,
        splits=splits or None,
        num_examples=arguments.num_examples,
        min_shards=arguments.min_shards,
        overwrite=arguments.overwrite,
        skip_missing=arguments.skip_missing,
        runner=arguments.runner,
        beam_options=tuple(names_of(arguments.beam_options)),
    )
    _say_missing(arguments.output_cache_dir, tasks)
    if arguments.json:
        for item in cached:
            print(json.dumps(vars(item)))
    if not splits:
        _say_absent(tasks, cached)
    for item in cached:
        if not item.examples:
            print(f"t0jax: {item.task} applies to no row of {item.split}", file=sys.stderr)
    skipped = sum(item.skipped for item in cached)
    kept = sum(item.was_cached for item in cached)
    examples = sum(item.examples for item in cached)
    print(
        f"{arguments.output_cache_dir}: {len(cached)} splits of {len({item.task for item in cached})} tasks, "
        f"{examples:,} examples ({kept} splits were there already), "
        f"{skipped:,} rows left out where a wording does not apply, {time.monotonic() - started:.1f} s",
        file=sys.stderr,
    )
    _check_applies(tasks, cached)
    return 0


def _check_applies(tasks: Sequence[PromptedTask], cached: "Sequence[CachedTask]") -> None:
    """InputError for a split of a dataset to which none of the wordings applies: its rows have changed."""
    datasets = {task.name: "/".join(filter(None, (task.dataset, task.subset))) for task in tasks}
    kept: dict[tuple[str, str], int] = {}
    for item in cached:
        key = datasets[item.task], item.split
        kept[key] = kept.get(key, 0) + item.examples
    left_out = {(datasets[item.task], item.split): item for item in cached if item.skipped}
    for (dataset, split), item in left_out.items():
        if not kept[dataset, split]:
            raise InputError(
                f"No wording of {dataset} that was asked for applies to any of the {item.skipped:,} rows of {split}: their "
                f"labels or fields are not those that the templates know. `t0jax tasks --render {item.task}` shows a row."
            )


def _say_absent(tasks: Sequence[PromptedTask], cached: "Sequence[CachedTask]") -> None:
    """Splits that the tables name and no source has: what a misspelt one would otherwise hide."""
    there = {(item.task, item.split) for item in cached}
    absent = {
        f"{'/'.join(filter(None, (task.dataset, task.subset)))} {source}": None
        for task in tasks
        for split, source in task.splits.items()
        if not task.is_scored and (task.name, split) not in there
    }
    if absent:
        print(f"t0jax: not cached, for want of rows: {', '.join(absent)}", file=sys.stderr)


def _say_missing(cache_dir: str, tasks: Sequence[PromptedTask]) -> None:
    from t0jax.data.missing import missing_tasks

    for split in dict.fromkeys(split for task in tasks for split in task.splits):
        names: dict[str, list[str]] = {}
        for task, reason in missing_tasks(cache_dir, [task.name for task in tasks], split).items():
            names.setdefault(reason, []).append(task)
        for reason, skipped in names.items():  # the tasks of a dataset share theirs
            more = f" and {len(skipped) - 1} more" if len(skipped) > 1 else ""
            print(f"t0jax: skipped {skipped[0]}{more}, {split}: {reason}", file=sys.stderr)


def _verify(arguments: argparse.Namespace) -> int:
    """Status 2 where anything is wrong."""
    from t0jax.data.verify import verify

    tasks = None
    if arguments.mixture or arguments.tasks:
        tasks = [task.name for task in without(selected_tasks(arguments), arguments.excluded_tasks)]
        if arguments.tasks:  # a pattern matches twins too, which need not be cached
            tasks = [name for name in tasks if (Path(arguments.output_cache_dir) / name).is_dir()] or tasks
    size = None
    if arguments.vocabulary:
        from t0jax.data.vocabulary import Vocabulary

        size = Vocabulary(arguments.vocabulary).size
    verified = verify(arguments.output_cache_dir, tasks, names_of(arguments.splits) or None, size)
    problems = [one.problem for one in verified if one.problem]
    if arguments.json:
        for one in verified:
            print(json.dumps(vars(one)))
    for problem in problems:
        print(f"t0jax: {problem}", file=sys.stderr)
    if problems:
        raise InputError(f"{len(problems)} of {len(verified)} splits in {arguments.output_cache_dir} are not sound.")
    print(
        f"{arguments.output_cache_dir}: {len(verified)} splits, {sum(one.examples for one in verified):,} examples, all sound",
        file=sys.stderr,
    )
    return 0
