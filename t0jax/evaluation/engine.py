"""All tasks of an evaluation as one stream of choices, and the two files that it leaves."""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from t0jax import rank
from t0jax.batch import EOS_ID, RankExample
from t0jax.errors import InputError
from t0jax.evaluation.journal import WHAT, Journal, check_same
from t0jax.evaluation.progress import progress
from t0jax.evaluation.rows import PackedRows
from t0jax.evaluation.score import Scorer, deal
from t0jax.files import check_place, write_whole
from t0jax.hosts import code_version, from_first_host, on_first_host

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

    `about` says what was evaluated (mixture, split, checkpoint, step, config, ...) and goes into the results as it is. What
    a killed evaluation has scored is not scored again; an InputError where the folder has scores of another one. On several
    hosts each computes its rows of every batch; the first writes, and the others return nothing.
    """
    if not examples:
        raise InputError("There is nothing to evaluate: no row of the split renders with answer choices under these tasks.")
    about = {**about, "examples_sha256": _digest(examples), "weights_checksum": scorer.checksum()}
    journal, finished = Journal(output_dir, about, _machine(scorer)), {}

    def begin() -> None:
        check_place(output_dir)
        finished.update(_finished(output_dir, about))
        journal.resume()
        if finished:
            print(f"t0jax: {output_dir} has these scores already", file=sys.stderr)
            journal.remove()

    on_first_host("begin the scores", begin)
    if (done := from_first_host(-1 if finished else len(journal.done))) < 0:
        return finished
    scores = _score(scorer, examples, journal, done)
    results: dict[str, Any] = {}
    on_first_host("write the scores", lambda: results.update(_write(scorer, examples, scores, origins, output_dir, about)))
    journal.remove()
    return results


def _score(scorer: Scorer, examples: Sequence[RankExample], journal: Journal, done: int) -> Scores:
    """The scores of all batches but the first `done`, and on the first host those of the journal."""
    scores = [np.full(len(example.choices), np.nan) for example in examples]
    batches = scorer.batches(examples)
    with progress("scored", "choices", sum(map(len, scores))) as advance, closing(journal):
        for number, packed in enumerate(islice(batches, done)):
            if journal.done:
                deal(packed, journal.of(number, len(packed.owners)), scores)
            advance(packed.scores)
        for packed, sums in scorer.scored(batches):
            _check_finite(examples, packed, sums, journal.about.get("checkpoint"))
            deal(packed, sums, scores)
            if jax.process_index() == 0:
                journal.add(sums)
            advance(packed.scores)
    return scores


def _check_finite(
    examples: Sequence[RankExample], packed: PackedRows, sums: Float[np.ndarray, "segments"], checkpoint: str | None
) -> None:
    for value, owners in zip(sums, packed.owners, strict=True):
        if not np.isfinite(value):
            number, choice = owners[0]
            raise InputError(
                f"Choice {choice} of example {examples[number].example} of {examples[number].task} has the log-probability "
                f"{value} under the checkpoint {checkpoint}: its training has diverged; evaluate an earlier checkpoint."
            )


def _finished(output_dir: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    """The results that the folder has of this evaluation; an InputError where they are another's."""
    try:
        results = json.loads((output_dir / RESULTS).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    if not isinstance(results, dict):
        return {}
    check_same(output_dir, results, about)
    is_whole = results.keys() >= set(WHAT) and (output_dir / SCORES).exists()  # earlier versions said less
    return results if is_whole else {}


def _machine(scorer: Scorer) -> dict[str, Any]:
    """What decides how rows are packed and numbers rounded, besides the recipe."""
    return {"code": code_version(), "jax": jax.__version__, "device": jax.devices()[0].device_kind, "ways": scorer.ways}


def _digest(examples: Sequence[RankExample]) -> str:
    """Of all that is scored, and of what is correct."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(f"{example.task} {example.example} {list(map(int, example.is_correct))}".encode())
        for tokens in (example.inputs, *example.choices):
            digest.update(b"/" + np.asarray(tokens, np.int32).tobytes())
    return digest.hexdigest()


def _write(
    scorer: Scorer,
    examples: Sequence[RankExample],
    scores: Scores,
    origins: Mapping[str, rank.Origin],
    output_dir: Path,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    by_task = _by_task(examples, scores)
    results = {
        **about,
        **config_hash(about),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "counts": _counts(scorer, examples),
        "tasks": {name: _task_result(task, origins[name]) for name, task in by_task.items()},
        "datasets": [outcome.as_json() for outcome in rank.outcomes(by_task, origins)],
    }
    (output_dir / RESULTS).unlink(missing_ok=True)  # an earlier run's results must not stand beside these scores
    write_whole(output_dir / SCORES, "".join(_score_lines(examples, scores)))
    write_whole(output_dir / RESULTS, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    return results


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
    """How much was scored. Inputs as long as the limit have most likely been cut, choices without an end certainly."""
    choices = [choice for example in examples for choice in example.choices]
    is_empty = [all(len(choice) == 1 and int(choice[0]) == EOS_ID for choice in example.choices) for example in examples]
    limit = scorer.lengths["inputs"]
    return {
        "tasks": len({example.task for example in examples}),
        "examples": len(examples),
        "choices": len(choices),
        "inputs_at_length_limit": sum(len(example.inputs) >= limit for example in examples),
        "choices_cut": sum(int(choice[-1]) != EOS_ID for choice in choices),
        "examples_of_empty_choices": sum(is_empty),
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
