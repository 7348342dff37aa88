"""The prompted tasks and mixtures as SeqIO's, under T0's names. Needs TensorFlow; registers only when it is asked to."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import seqio
import tensorflow as tf

from t0jax.data.prompting import prompts
from t0jax.data.sources.places import Places, open_split
from t0jax.data.universe import PromptedTask, Universe, universe_of
from t0jax.errors import InputError

_SHUFFLE_BUFFER = 50_000  # SeqIO's 1,000 is for caches in random order; ours keep that of the rows: IMDB's begin all negative
_TEXT = tf.TensorSpec((), tf.string)
_SIGNATURE = {"inputs": _TEXT, "targets": _TEXT}
_SCORED_SIGNATURE = _SIGNATURE | {"answer_choices": tf.TensorSpec((None,), tf.string), "row": tf.TensorSpec((), tf.int32)}


def register(*names: str, places: Callable[[], Places], vocabulary: seqio.Vocabulary, universe: Universe | None = None) -> None:
    """Register tasks, and mixtures with their tasks, in SeqIO instead of what had the names; without names, all there are.

    Nothing but the tables is read now; `places` is asked when rows are needed. Inputs end without EOS, targets with it; both
    are int32. Where tables split a task differently, the registry has the first and each mixture its own. InputError for an
    unknown name, and for one that another module has registered.
    """
    universe = universe or universe_of()
    made: dict[str, _Task] = {}
    for name in names or (*universe.task_names(), *universe.mixture_names()):
        rates = []
        for task in universe.mixture_tasks(name):
            if task.name not in made:
                made[task.name] = _Task(task, places, vocabulary)
                _put(seqio.TaskRegistry, made[task.name])
            first = made[task.name]
            rates.append((first if first.prompted.splits == task.splits else _Task(task, places, vocabulary), task.rate))
        if name in universe.mixture_names():
            _put(seqio.MixtureRegistry, seqio.Mixture(name, rates))


def _put(registry: Any, provider: Any) -> None:
    """Register a task or mixture, instead of one of ours that has its name. InputError when it is another's."""
    if provider.name in registry.names():
        held = registry.get(provider.name)
        if not all(isinstance(task, _Task) for task in getattr(held, "tasks", [held])):
            raise InputError(f"{provider.name} is registered in SeqIO by another module: import that module or t0jax.tasks.")
        registry.remove(provider.name)
    registry.add_provider(provider.name, provider)


class _Rows(seqio.FunctionDataSource):
    """The rows of a dataset under a task's wording, without those that it does not apply to."""

    def __init__(self, task: PromptedTask, places: Callable[[], Places]):
        self._task, self._places = task, places
        super().__init__(self._prompted, splits=tuple(task.splits))

    @property
    def splits(self) -> tuple[str, ...]:
        """The table's splits that have rows; where none has, all, so that reading them says what is missing."""
        return tuple(filter(self._has_rows, self._splits)) or self._splits

    def _has_rows(self, split: str) -> bool:
        try:
            open_split(self._places(), self._task, split, 1)
        except InputError:
            return False
        return True

    def _prompted(self, split: str, shuffle_files: bool, seed: int | None = None) -> tf.data.Dataset:
        del shuffle_files, seed  # SeqIO shuffles the rows; what a random filter draws depends on the row alone
        task, places = self._task, self._places()
        next(prompts(task, split, places, 1), None)  # what is missing is said here: TensorFlow wraps what a generator raises

        def prompted() -> Iterator[dict[str, Any]]:
            for index, prompt in prompts(task, split, places):
                if prompt is not None:
                    texts: dict[str, Any] = {"inputs": prompt.inputs, "targets": prompt.targets}
                    yield texts | ({"answer_choices": prompt.answer_choices, "row": index} if task.is_scored else {})

        return tf.data.Dataset.from_generator(prompted, output_signature=_SCORED_SIGNATURE if task.is_scored else _SIGNATURE)


class _Task(seqio.Task):
    """A prompted task as SeqIO's. A mixture passes over it for a split that it does not have."""

    def __init__(self, task: PromptedTask, places: Callable[[], Places], vocabulary: seqio.Vocabulary):
        super().__init__(
            task.name,
            _Rows(task, places),
            output_features={
                "inputs": seqio.Feature(vocabulary, add_eos=False, dtype=tf.int32),
                "targets": seqio.Feature(vocabulary, add_eos=True, dtype=tf.int32),
            },
            preprocessors=[
                *([rank_classification] if task.is_scored else []),
                seqio.preprocessors.tokenize,
                seqio.preprocessors.append_eos,
                seqio.CacheDatasetPlaceholder(required=False),
                *([correct_as_bool] if task.is_scored else []),
            ],
            postprocess_fn=mark_choice if task.is_scored else strip_whitespace,
            metric_fns=[rank_accuracy if task.is_scored else exact_match],
            shuffle_buffer_size=_SHUFFLE_BUFFER,
        )
        self.prompted = task

    @property
    def splits(self) -> tuple[str, ...]:
        """Where the task is cached, the splits with examples in the cache; else those with rows."""
        return tuple(filter(self._is_cached, self.prompted.splits)) if self.cache_dir else self.source.splits

    def _is_cached(self, split: str) -> bool:
        if split not in self._stats and not tf.io.gfile.exists(seqio.utils.get_cached_stats_path(self.cache_dir, split)):
            return split == "train"  # training shall fail rather than go on without a task
        return bool(self.get_cached_stats(split).get("examples"))


def rank_classification(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Each row with its choices becomes one example a choice: `idx` is (row, choice), `is_correct` says which is the target."""

    def choices(row: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        texts = row["answer_choices"]
        number = tf.size(texts)
        return {
            "inputs": tf.fill([number], row["inputs"]),
            "targets": texts,
            "is_correct": tf.cast(tf.equal(texts, row["targets"]), tf.int32),  # SeqIO cannot cache booleans with protobuf 7
            "idx": tf.stack([tf.fill([number], row["row"]), tf.range(number)], axis=1),
            "weight": tf.ones([number], tf.float32),
        }

    return dataset.map(choices, num_parallel_calls=tf.data.AUTOTUNE).unbatch()


def correct_as_bool(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """`is_correct` as T0 has it, whoever wrote the cache."""
    return dataset.map(lambda example: example | {"is_correct": tf.cast(example["is_correct"], tf.bool)})


def strip_whitespace(output_or_target: str, example: Any = None, is_target: bool = False) -> str:
    """What was generated, without white space at its ends."""
    del example, is_target
    return output_or_target.strip()


def mark_choice(output_or_target: Any, example: Mapping[str, Any] | None = None, is_target: bool = False) -> Any:
    """For a target, its ((row, choice), is_correct); what the model returned stays."""
    if not is_target or example is None:
        return output_or_target
    row, choice = (int(number) for number in example["idx"])
    return (row, choice), bool(example["is_correct"])


def exact_match(targets: Sequence[str], predictions: Sequence[str]) -> dict[str, float]:
    """The share of predictions, in percent, that equal their target."""
    hits = [target == prediction for target, prediction in zip(targets, predictions, strict=True)]
    return {"accuracy": 100 * float(np.mean(hits))}


def rank_accuracy(targets: Iterable[tuple[tuple[int, int], bool]], scores: Sequence[float]) -> dict[str, float]:
    """The share of rows, in percent, whose choice with the highest log-probability is correct; of equal ones the first."""
    rows: dict[int, list[tuple[int, float, bool]]] = {}
    for ((row, choice), is_correct), score in zip(targets, scores, strict=True):
        rows.setdefault(row, []).append((choice, float(score), is_correct))
    hits = [max(choices, key=lambda choice: (choice[1], -choice[0]))[2] for choices in rows.values()]
    return {"accuracy": 100 * float(np.mean(hits))}
