"""How long `t0jax report` takes for T0's whole evaluation at the datasets' real sizes, on made-up scores: one JSON line."""

import io
import json
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np

from t0jax.cli import main
from t0jax.cli.eval import origins_of
from t0jax.data.schemas import schema
from t0jax.data.universe import mixture_tasks

CHOICES = {"cb": 3, "anli": 3, "hellaswag": 4}


def write_scores(folder: Path) -> int:
    """Made-up scores of every task of `t0_eval_score_eval`, as `t0jax eval` leaves them; how many there are."""
    random, tasks = np.random.default_rng(0), mixture_tasks("t0_eval_score_eval")
    origins, results, total = origins_of(tasks), {}, 0
    with open(folder / "scores.jsonl", "w", encoding="utf-8") as file:
        for task in tasks:
            choices = CHOICES.get(task.subset or task.dataset, 2)
            rows = schema(task.dataset, task.subset).splits[task.source("validation")]
            for example, logp in enumerate(random.normal(size=(rows, choices)).tolist()):
                for choice, value in enumerate(logp):
                    line = {"task": task.name, "example": example, "choice": choice, "logp": value}
                    file.write(json.dumps({**line, "correct": choice == example % choices}) + "\n")
            results[task.name] = {**vars(origins[task.name]), "choices": rows * choices}
            total += rows * choices
    about = {"mixture": "t0_eval_score_eval", "split": "validation", "checkpoint": "made/up_1", "tasks": results}
    (folder / "results.json").write_text(json.dumps(about), encoding="utf-8")
    return total


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        scores = write_scores(Path(name))
        page = Path(name) / "report.html"
        started = time.monotonic()
        with redirect_stdout(io.StringIO()):
            main(["report", name, "--published=T0_3B", f"--html={page}"])
        seconds = round(time.monotonic() - started, 2)
        print(json.dumps({"benchmark": "report", "scores": scores, "seconds": seconds, "page_kb": page.stat().st_size // 1000}))
