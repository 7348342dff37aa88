"""`t0jax eval`: score every wording of a mixture's `_score_eval` tasks by rank classification."""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from t0jax.cli.recipe import add_gin_arguments, run_of, run_text
from t0jax.config import DataConfig, Run
from t0jax.errors import InputError

if TYPE_CHECKING:
    from t0jax.batch import RankExample
    from t0jax.data.universe import PromptedTask
    from t0jax.rank import Origin


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    add_gin_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Evaluate and print the table; the files are `scores.jsonl` and `results.json` in EVAL_OUTPUT_DIR."""
    described = run_of(arguments)
    import jax

    from t0jax.hosts import start_distributed
    from t0jax.report.evaluation import read_evaluation
    from t0jax.report.table import print_table

    start_distributed({"recipe": run_text(described)})
    run_evaluation(described)
    if jax.process_index() != 0:
        return 0
    evaluation = read_evaluation(str(_output_dir(described)))
    model = "the untrained model" if described.evaluate.checkpoint_path is None else described.evaluate.checkpoint_path
    title = f"{described.data.mixture_or_task_name}, {model}"
    print_table(evaluation.outcomes, comparisons={}, title=title, notes=evaluation.warnings)
    return 0


def run_evaluation(described: Run) -> dict[str, Any]:
    """Cache what is not cached, score all choices, write both files, and return what `results.json` holds."""
    from t0jax.cli.prepare import with_cache, without_missing
    from t0jax.cli.weights import open_model, open_vocabulary
    from t0jax.evaluation.engine import evaluate
    from t0jax.evaluation.score import Scorer

    data, output_dir = described.data, _output_dir(described)
    tasks = scored_tasks(data)
    open_vocabulary(described)
    opened = open_model(described)  # first: a wrong checkpoint is found before minutes of caching
    if opened.checkpoint is None:
        print("t0jax: no CHECKPOINT_PATH is given: this scores the untrained model.", file=sys.stderr)
    prepared = with_cache(described, tasks)
    cache_dir = Path(str(prepared.data.cache_dir))
    there, missing = without_missing(prepared, tasks)
    scorer = Scorer(
        opened.model,
        opened.params,
        task_feature_lengths=data.task_feature_lengths,
        batch_size=data.batch_size,
        mesh=opened.mesh,
    )
    about = {
        "mixture": data.mixture_or_task_name,
        "split": data.split,
        "checkpoint": opened.checkpoint,
        "step": opened.step,
        "config": run_text(described),
        "skipped_rows": _skipped_rows(cache_dir, there, data.split),
        "missing_tasks": missing,
        "trained_on": trained_datasets(opened.checkpoint, there),
    }
    examples = list(_examples(described, cache_dir, there))
    return evaluate(scorer, examples, origins_of(there), output_dir, about=about)


def scored_tasks(data: DataConfig) -> "tuple[PromptedTask, ...]":
    """The `_score_eval` tasks of a mixture; an InputError when it is a training mixture."""
    from t0jax.data.universe import SCORE_EVAL, tasks_of, with_splits

    tasks, lacking = with_splits(tasks_of(data), [data.split])
    if not all(task.is_scored for task in tasks):
        raise InputError(
            f"{data.mixture_or_task_name} is not for rank classification: give a mixture or task whose name ends in "
            f"{SCORE_EVAL}, as --gin.MIXTURE_OR_TASK_NAME=t0_eval_score_eval."
        )
    if not tasks:
        raise InputError(f"No task of {data.mixture_or_task_name} has a split {data.split!r}: {lacking[0]} has none.")
    if lacking:
        names = ", ".join(lacking[:3]) + (f" and {len(lacking) - 3} more" if len(lacking) > 3 else "")
        print(f"t0jax: {len(lacking)} tasks have no split {data.split!r} and are not scored: {names}", file=sys.stderr)
    return tasks


def trained_datasets(checkpoint: str | None, scored: "Sequence[PromptedTask]") -> list[str]:
    """Those of the scored datasets that a checkpoint was trained on, as its recipe says; none where it has none."""
    from etils import epath

    from t0jax.checkpoints.passport import recipe_of
    from t0jax.cli.recipe import read_run
    from t0jax.data.held_out import trained_on
    from t0jax.data.universe import tasks_of

    recipe = None if checkpoint is None else recipe_of(epath.Path(checkpoint))
    if recipe is None:
        return []
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".gin") as config:
            config.write(recipe)
            config.flush()
            trained = [task for task in tasks_of(read_run([config.name]).data) if not task.is_scored]
    except InputError as error:  # tables of another machine
        print(f"t0jax: what {checkpoint} was trained on cannot be told: {error}", file=sys.stderr)
        return []
    return ["/".join(filter(None, key)) for key in trained_on(scored, trained)]


def origins_of(tasks: "Iterable[PromptedTask]") -> "dict[str, Origin]":
    """Each task's dataset as it is reported: `super_glue/rte`; a round is a dataset of its own, `anli/r1`."""
    from t0jax.data.universe import SCORE_EVAL, task_name
    from t0jax.rank import Origin

    origins = {}
    for task in tasks:
        plain = task_name(task.dataset, task.subset, task.template)
        suffix = task.name.removesuffix(SCORE_EVAL).removeprefix(plain).strip("_")
        parts = [part for part in (task.dataset, task.subset, suffix) if part]
        origins[task.name] = Origin("/".join(parts), task.family, task.template)
    return origins


def _output_dir(described: Run) -> Path:
    if described.evaluate.eval_output_dir is None:
        raise InputError("The scores need a place: give --gin.EVAL_OUTPUT_DIR=DIR.")
    return Path(described.evaluate.eval_output_dir)


def _examples(described: Run, cache_dir: Path, tasks: "Sequence[PromptedTask]") -> "Iterator[RankExample]":
    from t0jax.data.feed import rank_examples

    data, vocab_size = described.data, described.model.vocab_size
    for task in tasks:
        yield from rank_examples(cache_dir, task.name, data.split, data.task_feature_lengths, data.num_examples, vocab_size)


def _skipped_rows(cache_dir: Path, tasks: "Sequence[PromptedTask]", split: str) -> dict[str, int]:
    """How many rows each template does not apply to, where the cache says so and there are any."""
    skipped = {}
    for task in tasks:
        stats = json.loads((cache_dir / task.name / f"stats.{split}.json").read_text(encoding="utf-8"))
        if rows := stats.get("skipped"):
            skipped[task.name] = rows
    return skipped
