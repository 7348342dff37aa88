"""`t0jax eval`: every wording of a mixture by rank classification where it has choices, else by generating."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from t0jax.cli.continuous import follow
from t0jax.cli.recipe import add_gin_arguments, run_beside, run_of, run_text
from t0jax.cli.train import leave_others
from t0jax.config import DataConfig, Run
from t0jax.errors import InputError

if TYPE_CHECKING:
    from t0jax.cli.weights import OpenModel
    from t0jax.data.universe import PromptedTask
    from t0jax.data.vocabulary import Vocabulary
    from t0jax.evaluation.score import Scorer
    from t0jax.rank import Origin


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    add_gin_arguments(parser)
    parser.add_argument(
        "--continuous",
        action="store_true",
        help="evaluate each checkpoint of CHECKPOINT_PATH, a MODEL_DIR, as it appears, into EVAL_OUTPUT_DIR/step_N",
    )


def run(arguments: argparse.Namespace) -> int:
    """Evaluate and print the tables; the files in EVAL_OUTPUT_DIR are what docs/evaluation.md says."""
    described = run_of(arguments)
    import jax

    from t0jax.hosts import start_distributed

    start_distributed({"recipe": run_text(described)})
    tasks = evaluated_tasks(described.data)
    _output_dir(described)
    is_ranked = tasks[0].is_scored
    evaluation = _Evaluation(tasks, _Ranking() if is_ranked else _generate)
    try:
        if arguments.continuous:
            follow(described, evaluation)
        else:
            evaluation(described)
    except Exception as problem:
        leave_others(problem)
        raise
    if jax.process_index() == 0 and not arguments.continuous:
        (_print_ranked if is_ranked else _print_generated)(described)
    return 0


@dataclass
class _Evaluation:
    """One mixture's evaluation, of one checkpoint after another."""

    tasks: "Sequence[PromptedTask]"
    evaluate: "Callable[[_Prepared], None]"

    def __call__(self, described: Run) -> None:
        """Write what the evaluation of the run's checkpoint finds."""
        self.evaluate(_prepare(described, self.tasks))


@dataclass(frozen=True)
class _Prepared:
    """An opened model, and the tasks of the evaluation in the cache."""

    described: Run
    opened: "OpenModel"
    vocabulary: "Vocabulary"
    cache_dir: Path
    tasks: "Sequence[PromptedTask]"
    missing: "Mapping[str, str]"
    """Tasks that have no rows and may be skipped, with the reason."""

    @property
    def shape(self) -> dict[str, Any]:
        """How inputs are cut and batched."""
        data = self.described.data
        return {"task_feature_lengths": data.task_feature_lengths, "batch_size": data.batch_size, "mesh": self.opened.mesh}

    def examples(self, read: "Callable[..., Iterable[Any]]") -> list[Any]:
        """All examples of the tasks, as `read` finds them in the cache."""
        data, vocab_size = self.described.data, self.described.model.vocab_size
        shape = data.split, data.task_feature_lengths, data.num_examples, vocab_size
        return [example for task in self.tasks for example in read(self.cache_dir, task.name, *shape)]

    @property
    def about(self) -> dict[str, Any]:
        """What a file of results says of the evaluation."""
        data = self.described.data
        return {
            "mixture": data.mixture_or_task_name,
            "split": data.split,
            "checkpoint": self.opened.checkpoint,
            "step": self.opened.step,
            "config": run_text(self.described),
            "skipped_rows": _skipped_rows(self.cache_dir, self.tasks, data.split),
            "missing_tasks": self.missing,
            "trained_on": trained_datasets(self.opened.checkpoint, self.tasks),
        }


def _prepare(described: Run, tasks: "Sequence[PromptedTask]") -> _Prepared:
    """Cache what is not cached."""
    from t0jax.cli.prepare import with_cache, without_missing
    from t0jax.cli.weights import open_model, open_vocabulary
    from t0jax.metrics import check_installed

    check_installed(metric for task in tasks if not task.is_scored for metric in task.metrics)
    vocabulary = open_vocabulary(described)
    opened = open_model(described)  # first: a wrong checkpoint is found before minutes of caching
    if opened.checkpoint is None:
        print("t0jax: no CHECKPOINT_PATH is given: this evaluates the untrained model.", file=sys.stderr)
    cached = with_cache(described, tasks)
    return _Prepared(described, opened, vocabulary, Path(str(cached.data.cache_dir)), *without_missing(cached, tasks))


@dataclass
class _Ranking:
    """Scores all choices and writes scores.jsonl and results.json. A second checkpoint finds the programs compiled."""

    scorer: "Scorer | None" = None

    def __call__(self, prepared: _Prepared) -> None:
        """Score with the weights of the checkpoint that is open."""
        from t0jax.data.feed import rank_examples
        from t0jax.evaluation.engine import evaluate
        from t0jax.evaluation.score import Scorer

        if self.scorer is None:
            self.scorer = Scorer(prepared.opened.model, prepared.opened.params, **prepared.shape)
        self.scorer.params = prepared.opened.params
        examples, output_dir = prepared.examples(rank_examples), _output_dir(prepared.described)
        evaluate(self.scorer, examples, origins_of(prepared.tasks), output_dir, about=prepared.about)
        self.scorer.params = None  # there may be no room for two checkpoints


def _generate(prepared: _Prepared) -> None:
    """Answer the tasks without choices, and write predictions.jsonl and generated.json."""
    from t0jax.data.feed import open_examples
    from t0jax.evaluation.generate import Generator
    from t0jax.evaluation.open_ended import OpenTask, evaluate_open

    generator = Generator(prepared.opened.model, prepared.opened.params, prepared.described.decode, **prepared.shape)
    origins = origins_of(prepared.tasks)
    tasks = {task.name: OpenTask(origins[task.name], task.metrics) for task in prepared.tasks}
    examples, output_dir = prepared.examples(open_examples), _output_dir(prepared.described)
    evaluate_open(generator, prepared.vocabulary.decode, examples, tasks, output_dir, about=prepared.about)


def _print_ranked(described: Run) -> None:
    from t0jax.report.evaluation import read_evaluation
    from t0jax.report.table import print_table

    evaluation = read_evaluation(str(_output_dir(described)))
    model = "the untrained model" if described.evaluate.checkpoint_path is None else described.evaluate.checkpoint_path
    title = f"{described.data.mixture_or_task_name}, {model}"
    print_table(evaluation.outcomes, comparisons={}, title=title, notes=evaluation.warnings)


def _print_generated(described: Run) -> None:
    from t0jax.report.generated import read_generated, sections
    from t0jax.report.table import print_sections

    if found := read_generated(str(_output_dir(described))):
        print_sections(sections([found])[:1], notes=found.warnings)


def evaluated_tasks(data: DataConfig) -> "tuple[PromptedTask, ...]":
    """The `_score_eval` tasks of a mixture, or those without choices; an InputError when it is a mixture for training."""
    from t0jax.data.universe import SCORE_EVAL, tasks_of, universe_of, with_splits

    name = data.mixture_or_task_name
    tasks, lacking = with_splits(tasks_of(data), [data.split])
    training = [task for task in tasks if task.has_choices and not task.is_scored]
    if training and (name in universe_of(data.tables).mixture_names() or len(training) == len(tasks)):
        raise InputError(
            f"{name} is not for rank classification: give a mixture or task whose name ends in {SCORE_EVAL}, as "
            "--gin.MIXTURE_OR_TASK_NAME=t0_eval_score_eval, or one without answer choices, which are generated."
        )
    if not tasks:
        raise InputError(f"No task of {name} has a split {data.split!r}: {lacking[0]} has none.")
    _tell("tasks have choices and are ranked under names with _score_eval, not here", [task.name for task in training])
    _tell(f"tasks have no split {data.split!r} and are not evaluated", lacking)
    return tuple(task for task in tasks if task.is_scored or not task.has_choices)


def _tell(what: str, names: "Sequence[str]") -> None:
    if names:
        listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        print(f"t0jax: {len(names)} {what}: {listed}", file=sys.stderr)


def trained_datasets(checkpoint: str | None, scored: "Sequence[PromptedTask]") -> list[str]:
    """Those of the scored datasets that a checkpoint was trained on, as its recipe says; none where it has none."""
    from etils import epath

    from t0jax.data.held_out import trained_on
    from t0jax.data.universe import tasks_of

    try:
        recipe = None if checkpoint is None else run_beside(epath.Path(checkpoint))
        trained = [] if recipe is None else [task for task in tasks_of(recipe.data) if not task.is_scored]
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


def _skipped_rows(cache_dir: Path, tasks: "Sequence[PromptedTask]", split: str) -> dict[str, int]:
    """How many rows each template does not apply to, where the cache says so and there are any."""
    skipped = {}
    for task in tasks:
        stats = json.loads((cache_dir / task.name / f"stats.{split}.json").read_text(encoding="utf-8"))
        if rows := stats.get("skipped"):
            skipped[task.name] = rows
    return skipped
