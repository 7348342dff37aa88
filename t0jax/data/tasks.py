"""The prompted tasks and mixtures as SeqIO's, under T0's names. Needs TensorFlow; registers only when it is asked to."""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import seqio
import tensorflow as tf

from t0jax.data import universe
from t0jax.data.prompting import prompts
from t0jax.data.sources.places import Places
from t0jax.data.universe import PromptedTask

_TEXT = tf.TensorSpec((), tf.string)
_SIGNATURE = {"inputs": _TEXT, "targets": _TEXT}
_SCORED_SIGNATURE = _SIGNATURE | {"answer_choices": tf.TensorSpec((None,), tf.string), "row": tf.TensorSpec((), tf.int32)}


def register(name: str, *, places: Places, vocabulary: str | Path) -> seqio.Task | seqio.Mixture:
    """Register a mixture and its tasks, or one task, over the rows there, instead of what had the names; return it.

    InputError for an unknown name. Inputs end without EOS, targets with it; both are int32.
    """
    vocabulary_ = seqio.SentencePieceVocabulary(str(vocabulary))
    tasks = universe.mixture_tasks(name)
    for task in tasks:
        _register_task(task, places, vocabulary_)
    if name not in universe.mixture_names():
        return seqio.get_mixture_or_task(name)
    if name in seqio.MixtureRegistry.names():
        seqio.MixtureRegistry.remove(name)
    return seqio.MixtureRegistry.add(name, [(task.name, task.rate) for task in tasks])


def _register_task(task: PromptedTask, places: Places, vocabulary: seqio.Vocabulary) -> None:
    if task.name in seqio.TaskRegistry.names():
        seqio.TaskRegistry.remove(task.name)
    prompt_source = functools.partial(_prompted_rows, task=task, places=places)
    seqio.TaskRegistry.add(
        task.name,
        source=seqio.FunctionDataSource(prompt_source, splits=tuple(task.splits)),
        preprocessors=[
            *([rank_classification] if task.is_scored else []),
            seqio.preprocessors.tokenize,
            seqio.preprocessors.append_eos,
            seqio.CacheDatasetPlaceholder(required=False),
        ],
        output_features={
            "inputs": seqio.Feature(vocabulary, add_eos=False, dtype=tf.int32),
            "targets": seqio.Feature(vocabulary, add_eos=True, dtype=tf.int32),
        },
        postprocess_fn=mark_choice if task.is_scored else strip_whitespace,
        metric_fns=[rank_accuracy if task.is_scored else exact_match],
    )


def _prompted_rows(
    split: str, shuffle_files: bool, seed: int | None = None, *, task: PromptedTask, places: Places
) -> tf.data.Dataset:
    """The rows of a split under a task's wording, without those that it does not apply to."""
    del shuffle_files, seed  # one file, whose rows SeqIO shuffles; what a random filter draws depends on the row alone

    def prompted() -> Iterator[dict[str, Any]]:
        for index, prompt in prompts(task, split, places):
            if prompt is not None:
                texts: dict[str, Any] = {"inputs": prompt.inputs, "targets": prompt.targets}
                yield texts | ({"answer_choices": prompt.answer_choices, "row": index} if task.is_scored else {})

    return tf.data.Dataset.from_generator(prompted, output_signature=_SCORED_SIGNATURE if task.is_scored else _SIGNATURE)


def rank_classification(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Each row with its choices becomes one example a choice: `idx` is (row, choice), `is_correct` says which is the target."""

    def choices(row: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        texts = row["answer_choices"]
        number = tf.size(texts)
        return {
            "inputs": tf.fill([number], row["inputs"]),
            "targets": texts,
            "is_correct": tf.equal(texts, row["targets"]),
            "idx": tf.stack([tf.fill([number], row["row"]), tf.range(number)], axis=1),
            "weight": tf.ones([number], tf.float32),
        }

    return dataset.map(choices, num_parallel_calls=tf.data.AUTOTUNE).unbatch()


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
