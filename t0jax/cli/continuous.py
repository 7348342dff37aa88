"""`t0jax eval --continuous`: every checkpoint of a run as it appears, beside the training that saves them."""

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from etils import epath

from t0jax.config import Run
from t0jax.errors import InputError

POLL = 10.0
"""Seconds between looks for a new checkpoint."""
SUMMARY = "summary.jsonl"
"""In EVAL_OUTPUT_DIR: a line for each checkpoint with the median of every dataset, and their mean."""


def follow(described: Run, evaluate: Callable[[Run], None]) -> None:
    """Evaluate each checkpoint of CHECKPOINT_PATH, a MODEL_DIR, into EVAL_OUTPUT_DIR/step_N, until that of its last step.

    What is evaluated is passed over; a checkpoint that training deletes meanwhile too. All hosts take the same ones.
    """
    import jax

    for step in _new_steps(described):
        one = at_step(described, step)
        checkpoint = epath.Path(str(one.evaluate.checkpoint_path))
        try:
            evaluate(one)
        except (InputError, OSError):
            if checkpoint.exists():
                raise
            _say(f"{checkpoint} was deleted before it was evaluated: CHECKPOINTS_TO_KEEP is too few for this pace")
            continue
        if jax.process_index() == 0:
            _summarize(described, step)


def at_step(described: Run, step: int) -> Run:
    """The evaluation of one checkpoint; all share a cache."""
    output_dir = str(described.evaluate.eval_output_dir)
    cache_dir = described.data.cache_dir or f"{output_dir}/cache"
    places = {"checkpoint_path": f"{_model_dir(described)}/checkpoint_{step}", "eval_output_dir": f"{output_dir}/step_{step}"}
    return dataclasses.replace(
        described,
        evaluate=dataclasses.replace(described.evaluate, **places),
        data=dataclasses.replace(described.data, cache_dir=cache_dir),
    )


def _model_dir(described: Run) -> str:
    folder = described.evaluate.checkpoint_path or described.train.model_dir
    if folder is None:
        raise InputError("Which run to follow is not clear: give its MODEL_DIR as --gin.CHECKPOINT_PATH=MODEL_DIR.")
    return folder.rstrip("/")


def _new_steps(described: Run) -> Iterator[int]:
    """The steps to evaluate, in their order, as soon as they are there; ends behind the run's last one."""
    from t0jax.checkpoints.whole import is_step_name
    from t0jax.hosts import from_first_host, on_first_host

    folder, seen, found = _model_dir(described), -1, [-1, 0]
    if is_step_name(epath.Path(folder).name):
        raise InputError(f"{folder} is one checkpoint: --continuous follows a run, give its MODEL_DIR.")
    _say(f"follows the checkpoints of {folder}")

    def look() -> None:
        found[:] = _next(described, folder, seen)

    while True:
        on_first_host("look for checkpoints", look)
        step, is_over = from_first_host(found[0]), from_first_host(found[1])
        if step >= 0:
            seen = step
            yield step
        elif is_over:
            return
        else:
            time.sleep(POLL)


def _next(described: Run, folder: str, seen: int) -> list[int]:
    """The first step after `seen` that is not evaluated, or -1; and 1 when none comes any more."""
    from t0jax.checkpoints.whole import steps

    there = steps(folder)
    waiting = [step for step in there if step > seen and not _is_evaluated(at_step(described, step))]
    return [waiting[0], 0] if waiting else [-1, int(bool(there) and _is_last(folder, there[-1]))]


def _is_evaluated(one: Run) -> bool:
    """Whether its folder has results; an InputError where they are of another evaluation."""
    from t0jax.cli.recipe import run_text
    from t0jax.evaluation.journal import check_same

    place = Path(str(one.evaluate.eval_output_dir))
    name = "results.json" if (place / "results.json").exists() else "generated.json"
    if not (place / name).exists():
        return False
    ours = {"mixture": one.data.mixture_or_task_name, "split": one.data.split, "config": run_text(one)}
    theirs = json.loads((place / name).read_text(encoding="utf-8"))
    check_same(place, {name: theirs.get(name) for name in ours}, ours)
    return True


def _is_last(folder: str, step: int) -> bool:
    """Whether the checkpoint's own recipe ends at this step."""
    from t0jax.cli.recipe import run_beside

    recipe = run_beside(epath.Path(folder) / f"checkpoint_{step}")
    return recipe is not None and isinstance(recipe.train.train_steps, int) and step >= recipe.train.train_steps


def _summarize(described: Run, step: int) -> None:
    """Say how one checkpoint did, write the summary of all anew, and mark a point in TensorBoard."""
    from tensorboardX import SummaryWriter

    from t0jax.files import write_whole

    folder = Path(str(described.evaluate.eval_output_dir))
    found = {int(path.parent.name.removeprefix("step_")): _medians(path) for path in folder.glob("step_*/results.json")}
    if step not in found:
        return
    lines = [json.dumps({"step": number, **found[number]}) for number in sorted(found)]
    write_whole(folder / SUMMARY, "".join(f"{line}\n" for line in lines))
    with SummaryWriter(str(folder / "tensorboard")) as board:
        for name, value in found[step].items():
            board.add_scalar(f"eval/{name}", value, step)
    percents = "  ".join(f"{name} {100 * value:.1f}" for name, value in found[step].items())
    _say(f"step {step}  {percents}")


def _medians(path: Path) -> dict[str, float]:
    datasets: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["datasets"]
    medians = {dataset["dataset"]: float(dataset["median"]) for dataset in datasets}
    return {"mean": sum(medians.values()) / len(medians), **medians}


def _say(text: str) -> None:
    import jax

    if jax.process_index() == 0:
        print(f"t0jax: {text}", file=sys.stderr, flush=True)
