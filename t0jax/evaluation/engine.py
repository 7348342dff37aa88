"""All tasks of an evaluation as one stream of choices, and the two files that it leaves."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from t0jax import rank
from t0jax.batch import EOS_ID, RankExample
from t0jax.errors import InputError
from t0jax.evaluation.progress import progress
from t0jax.evaluation.score import Scorer
from t0jax.files import check_place, write_whole

SCORES, RESULTS = "scores.jsonl", "results.json"

Scores = list[Float[np.ndarray, "choices"]]


def evaluate(
    scorer: Scorer,
    examples: Sequence[RankExample],
    origins: Mapping[str, rank.Origin],
    output_dir: Path,
    *,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """Score every example's choices, write `scores.jsonl` and `results.json` under `output_dir`, and return the latter.

    `about` says what was evaluated (mixture, split, checkpoint, step, config, ...) and goes into the results as it is.
    """
    if not examples:
        raise InputError("There is nothing to evaluate: no row of the split renders with answer choices under these tasks.")
    if jax.process_index() == 0:
        check_place(output_dir)
    scores = _score(scorer, examples)
    _check_finite(examples, scores, about)
    by_task = _by_task(examples, scores)
    results = {
        **about,
        **config_hash(about),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "counts": _counts(scorer, examples),
        "tasks": {name: _task_result(task, origins[name]) for name, task in by_task.items()},
        "datasets": [outcome.as_json() for outcome in rank.outcomes(by_task, origins)],
    }
    if jax.process_index() == 0:
        (output_dir / RESULTS).unlink(missing_ok=True)  # an earlier run's results must not stand beside these scores
        write_whole(output_dir / SCORES, "".join(_score_lines(examples, scores)))
        write_whole(output_dir / RESULTS, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    return results


def _score(scorer: Scorer, examples: Sequence[RankExample]) -> Scores:
    total = sum(len(example.choices) for example in examples)
    with progress("scored", "choices", total) as advance:
        return scorer.score(examples, advance)


def _check_finite(examples: Sequence[RankExample], scores: Scores, about: Mapping[str, Any]) -> None:
    for example, logp in zip(examples, scores, strict=True):
        if not np.isfinite(logp).all():
            raise InputError(
                f"Choice {int((~np.isfinite(logp)).argmax())} of example {example.example} of {example.task} has the "
                f"log-probability {logp[~np.isfinite(logp)][0]} under the checkpoint {about.get('checkpoint')}: its training "
                "has diverged; evaluate an earlier checkpoint."
            )


def _by_task(examples: Sequence[RankExample], scores: Scores) -> dict[str, rank.TaskScores]:
    members: dict[str, list[int]] = {}
    for number, example in enumerate(examples):
        members.setdefault(example.task, []).append(number)
    return {
        task: rank.task_scores(
            [examples[number].example for number in numbers],
            [scores[number] for number in numbers],
            [examples[number].is_correct for number in numbers],
        )
        for task, numbers in members.items()
    }


def _task_result(task: rank.TaskScores, origin: rank.Origin) -> dict[str, Any]:
    counts = {"examples": len(task.examples), "choices": int(task.choices.sum())}
    return {**vars(origin), **counts, "accuracy": task.accuracy, "majority": task.majority, "random": task.random}


def _counts(scorer: Scorer, examples: Sequence[RankExample]) -> dict[str, int]:
    """How much was scored; inputs as long as the limit have most likely been cut, choices without an end certainly."""
    choices = [choice for example in examples for choice in example.choices]
    limit = scorer.lengths["inputs"]
    return {
        "tasks": len({example.task for example in examples}),
        "examples": len(examples),
        "choices": len(choices),
        "inputs_at_length_limit": sum(len(example.inputs) >= limit for example in examples),
        "choices_cut": sum(len(choice) == 0 or int(choice[-1]) != EOS_ID for choice in choices),
    }


def config_hash(about: Mapping[str, Any]) -> dict[str, str]:
    """The recipe's hash, by which a report names it."""
    config = about.get("config")
    return {} if config is None else {"config_sha256": hashlib.sha256(config.encode()).hexdigest()}


def _score_lines(examples: Sequence[RankExample], scores: Scores) -> Iterator[str]:
    for example, logp in zip(examples, scores, strict=True):
        for choice, (value, is_correct) in enumerate(zip(logp.tolist(), example.is_correct, strict=True)):
            line = {"task": example.task, "example": int(example.example), "choice": choice, "logp": value}
            yield json.dumps({**line, "correct": bool(is_correct)}) + "\n"
