"""Rank classification beside the loop of T0's released script and a scorer as t5x's: one JSON line a dataset, of one run.

The same random float32 weights and rows for all. Their lengths are drawn like those of T0's wordings of each dataset, or are
a cache's (`--cache_dir`, made by `t0jax cache`). Seconds are for all rows, packing and padding included, the fastest of
`--repeats` after compilation. The script's loop is transformers' under the interpreter that T0JAX_HF_PYTHON names, and is left
out without one; t5x's way is one row a choice at the feature lengths with all logits at once, by our own model, on `--t5x_rows`
of the rows.
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from generate import LAYERS, SIZES, placed, write_random

from t0jax.batch import EOS_ID, RankExample
from t0jax.checkpoints.forms import open_form
from t0jax.checkpoints.load import restore_parameters
from t0jax.config import ModelConfig
from t0jax.data.feed import rank_examples
from t0jax.evaluation.score import Scorer
from t0jax.model.t5 import T5

DATASETS = {
    "super_glue_rte": (2, 87, 0.46, 2.1, 0.15),
    "anli": (3, 119, 0.15, 2.5, 0.34),
    "hellaswag": (4, 119, 0.22, 13.3, 0.68),
}
"""Choices; mean of the inputs' lengths in tokens, deviation of their logarithms; the same of choices with EOS."""
LENGTHS = {"inputs": 1024, "targets": 256}
T5X_BATCH = 4
PEER = pathlib.Path(__file__).parent / "peers/hf_rank.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="mini")
    parser.add_argument("--cache_dir", help="a cache with _score_eval tasks of these datasets")
    for name, default in (("rows", 64), ("t5x_rows", 4), ("batch_size", 2), ("script_batch_size", 8), ("repeats", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    layers = {f"num_{stack}_layers": LAYERS[given.size] for stack in ("encoder", "decoder")}
    config = ModelConfig(**SIZES[given.size], **layers, dtype="float32", dropout_rate=0.0)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_random(folder / "hf", config)
        params = restore_parameters(open_form(str(folder / "hf")), config, placed(config))
        for dataset in DATASETS:
            examples = cached_rows(given, dataset) if given.cache_dir else made_rows(given, dataset, config.vocab_size)
            line = {"benchmark": "rank", **vars(given), "dataset": dataset, **sizes_of(examples)}
            print(json.dumps(line | measured(given, T5(config), params, examples, folder)), flush=True)


def made_rows(given: argparse.Namespace, dataset: str, vocab_size: int) -> list[RankExample]:
    """Random tokens of likely lengths; all rows have the same choices where those are of one word, as wordings have them."""
    random = np.random.default_rng(0)
    choices, mean, deviation, answer, answer_deviation = DATASETS[dataset]

    def text(mean: float, deviation: float, end: list[int]) -> np.ndarray:
        length = random.lognormal(np.log(mean) - deviation**2 / 2, deviation)
        return np.array([*random.integers(3, vocab_size, max(1, round(length) - len(end))), *end])

    fixed = [text(answer, answer_deviation, [EOS_ID]) for _ in range(choices)] if answer < 4 else None
    return [
        RankExample(
            dataset,
            row,
            text(mean, deviation, []),
            fixed or [text(answer, answer_deviation, [EOS_ID]) for _ in range(choices)],
            [choice == 0 for choice in range(choices)],
        )
        for row in range(given.rows)
    ]


def cached_rows(given: argparse.Namespace, dataset: str) -> list[RankExample]:
    """The first rows of every wording, so that there are `--rows` in all."""
    tasks = sorted(path.name for path in pathlib.Path(given.cache_dir).glob(f"{dataset}*_score_eval"))
    each = -(-given.rows // len(tasks))
    examples = [one for task in tasks for one in rank_examples(given.cache_dir, task, "validation", LENGTHS, each)]
    return examples[: given.rows]


def sizes_of(examples: list[RankExample]) -> dict[str, float]:
    choices = [len(choice) for one in examples for choice in one.choices]
    return {
        "choices": len(choices) / len(examples),
        "input_tokens": round(float(np.mean([len(one.inputs) for one in examples])), 1),
        "choice_tokens": round(float(np.mean(choices)), 1),
    }


def measured(
    given: argparse.Namespace, model: T5, params: Any, examples: list[RankExample], folder: pathlib.Path
) -> dict[str, Any]:
    scorer = Scorer(model, params, task_feature_lengths=LENGTHS, batch_size=given.batch_size)
    seconds, ours = timed(scorer, examples, given.repeats)
    found: dict[str, Any] = {"t0jax_seconds": round(seconds, 2)}
    if python := os.environ.get("T0JAX_HF_PYTHON"):
        script, theirs = released(python, folder, examples, given)
        found |= {"script_seconds": round(script, 2), "script_times_ours": round(script / seconds, 2)}
        found |= compared("script", ours, theirs)
    some = examples[: given.t5x_rows]
    t5x, theirs = as_t5x(model, params, some)
    per_choice = t5x / sum(len(one.choices) for one in some)
    all_choices = per_choice * sum(len(one.choices) for one in examples)
    found |= {"t5x_seconds_by_its_share": round(all_choices, 1), "t5x_times_ours": round(all_choices / seconds, 1)}
    return found | compared("t5x", ours[: len(some)], theirs)


def compared(name: str, ours: list[np.ndarray], theirs: list[np.ndarray]) -> dict[str, Any]:
    equal = sum(int(mine.argmax() == other.argmax()) for mine, other in zip(ours, theirs, strict=True))
    far = max(float(np.abs(mine - other).max()) for mine, other in zip(ours, theirs, strict=True))
    return {f"equal_answers_{name}": f"{equal} of {len(theirs)}", f"largest_difference_{name}": float(f"{far:.1e}")}


def timed(scorer: Scorer, examples: list[RankExample], repeats: int) -> tuple[float, list[np.ndarray]]:
    times = []
    for _ in range(repeats + 1):  # the first compiles
        start = time.perf_counter()
        scores = scorer.score(examples)
        times.append(time.perf_counter() - start)
    return min(times[1:]), scores


def released(
    python: str, folder: pathlib.Path, examples: list[RankExample], given: argparse.Namespace
) -> tuple[float, list[np.ndarray]]:
    rows, out = folder / "rows.json", folder / "out.json"
    texts = [[one.inputs.tolist(), [choice.tolist() for choice in one.choices]] for one in examples]
    settings = {"batch_size": given.script_batch_size, "repeats": given.repeats}
    rows.write_text(json.dumps({"examples": texts, **settings}))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python, str(PEER), str(folder / "hf"), str(rows), str(out)]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    found = json.loads(out.read_text())
    return found["seconds"], [np.array(one) for one in found["scores"]]


def as_t5x(model: T5, params: Any, examples: list[RankExample]) -> tuple[float, list[np.ndarray]]:
    """One row for each choice, padded to the feature lengths; all logits of a batch exist at once."""

    @jax.jit
    def score(params: Any, inputs: jax.Array, targets: jax.Array) -> jax.Array:
        apply = partial(model.apply, {"params": params})
        is_input, is_target = (inputs > 0).astype(jnp.int32), (targets > 0).astype(jnp.int32)
        encoded = apply(inputs, is_input, method="encode")
        hidden = apply(encoded, is_input, jnp.pad(targets[:, :-1], ((0, 0), (1, 0))), is_target, method="decode")
        logp = jax.nn.log_softmax(apply(hidden, method="logits"))
        return (jnp.take_along_axis(logp, targets[..., None], -1)[..., 0] * is_target.astype(logp.dtype)).sum(-1)

    def batches() -> Iterator[list[np.ndarray]]:
        pairs = [(one.inputs, choice) for one in examples for choice in one.choices]
        for start in range(0, len(pairs), T5X_BATCH):
            batch = [np.zeros((T5X_BATCH, length), np.int32) for length in LENGTHS.values()]
            for row, pair in enumerate(pairs[start : start + T5X_BATCH]):
                for array, tokens in zip(batch, pair, strict=True):
                    array[row, : len(tokens)] = tokens
            yield batch

    score(params, *next(batches())).block_until_ready()
    start = time.perf_counter()
    sums = np.concatenate([np.asarray(score(params, *batch)) for batch in batches()])
    seconds = time.perf_counter() - start
    ends = np.cumsum([len(one.choices) for one in examples])
    return seconds, np.split(sums[: ends[-1]], ends[:-1])


if __name__ == "__main__":
    main()
