"""Small made-up evaluations: scores with a known accuracy for each wording, and the two files that `t0jax eval` leaves."""

import json

import numpy as np

from t0jax import rank

FAMILY = "nli"


def task(gold, picked, choices=2, examples=None):
    """Scores of one task whose model picks `picked` where `gold` is right."""
    logp = [[0.0 if choice == pick else -1.0 for choice in range(choices)] for pick in picked]
    correct = [[choice == right for choice in range(choices)] for right in gold]
    return rank.task_scores(list(range(len(gold))) if examples is None else examples, logp, correct)


def noisy(accuracies, rows=200, choices=2, seed=0):
    """A task for each accuracy (wording 0, 1, ...), all on the same rows."""
    random = np.random.default_rng(seed)
    gold = random.integers(0, choices, rows)
    found = {}
    for number, accuracy in enumerate(accuracies):
        wrong = (gold + random.integers(1, choices, rows)) % choices if choices > 2 else 1 - gold
        found[number] = task(gold, np.where(random.random(rows) < accuracy, gold, wrong), choices)
    return found


def write(folder, datasets, **results):
    """Write `{dataset: {wording: TaskScores}}` as an evaluation and return its folder."""
    folder.mkdir(parents=True)
    tasks = {}
    with open(folder / "scores.jsonl", "w", encoding="utf-8") as file:
        for dataset, wordings in datasets.items():
            for wording, scores in wordings.items():
                name = f"{dataset.replace('/', '_')}_{wording}_score_eval"
                choices = int(scores.choices.sum())
                tasks[name] = {"dataset": dataset, "family": FAMILY, "wording": str(wording), "choices": choices}
                file.writelines(_lines(name, scores))
    about = {"checkpoint": "run/checkpoint_5", "split": "validation", "mixture": "made_up", **results, "tasks": tasks}
    (folder / "results.json").write_text(json.dumps(about), encoding="utf-8")
    return folder


def _lines(name, scores):
    for example, logp, correct, choices in zip(scores.examples, scores.logp, scores.correct, scores.choices, strict=True):
        for choice in range(choices):
            values = (name, int(example), choice, float(logp[choice]), bool(correct[choice]))
            yield json.dumps(dict(zip(rank.SCORE_FIELDS, values, strict=True))) + "\n"
