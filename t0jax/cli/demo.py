"""`t0jax demo`: T0's idea on this machine, from generated rows to a report, by the commands that serve real rows."""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from t0jax.cli import listening, terminate
from t0jax.errors import InputError

SEED = 2611
"""Fixed before any held-out score was seen: docs/decisions/2026-11-22-demo.md."""
RECIPE = "runs/demo.gin"
MODEL, SCORES = "model", "eval"
ALL_WORDINGS, ONE_WORDING, UNTRAINED = "all_wordings", "one_wording", "untrained"


@dataclass(frozen=True)
class _Size:
    """How much there is of everything; None leaves it to the table."""

    train_rows: int | None
    held_out_rows: int
    bindings: tuple[str, ...] = ()
    """What the recipes are overridden with."""


_FULL = _Size(train_rows=None, held_out_rows=300)
_QUICK = _Size(
    train_rows=24,
    held_out_rows=12,
    bindings=(
        "BATCH_SIZE=8",
        "TRAIN_STEPS=20",
        "OptimizerConfig.warmup_steps=10",
        "OptimizerConfig.decay_steps=20",
        "ModelConfig.num_encoder_layers=1",
        "ModelConfig.num_decoder_layers=1",
    ),
)


@dataclass(frozen=True)
class _Demo:
    """What to run and where its parts lie."""

    folder: Path
    seed: int
    is_one_wording: bool
    size: _Size

    @property
    def name(self) -> str:
        """Of the run: the folder of its model, scores and report."""
        return ONE_WORDING if self.is_one_wording else ALL_WORDINGS

    @property
    def mixture(self) -> str:
        """What is trained on."""
        return "demo_train_one_og_prompt" if self.is_one_wording else "demo_train"

    @property
    def rows(self) -> Path:
        """`<dataset>/<subset or default>/<split>.jsonl`."""
        return self.folder / "rows"

    @property
    def vocabulary(self) -> Path:
        """A SentencePiece model."""
        return self.folder / "spiece.model"

    @property
    def start(self) -> Path:
        """Holds the checkpoint that training begins with."""
        return self.folder / "start"

    @property
    def bindings(self) -> list[str]:
        """What training and evaluation override in their recipes."""
        given = {
            "CACHE_DIR": self.folder / "cache",
            "DATA_DIR": self.rows,
            "VOCABULARY": self.vocabulary,
            "RANDOM_SEED": self.seed,
        }
        return [*self.size.bindings, *(f"{key}={value}" for key, value in given.items())]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    parser.add_argument("--one_wording", action="store_true", help="the control: one wording of each training dataset")
    parser.add_argument("--seed", type=int, default=SEED, metavar="N", help=f"of rows, start and training (default {SEED})")
    parser.add_argument("--output_dir", default="runs/demo", metavar="D", help="where everything goes (default runs/demo)")
    parser.add_argument("--quick", action="store_true", help="a few steps on a few rows: shows the path, not the result")


def run(arguments: argparse.Namespace) -> int:
    """Run all stages and print the table; InputError when the folder holds another demonstration or a command fails."""
    size = _QUICK if arguments.quick else _FULL
    demo = _Demo(Path(arguments.output_dir), arguments.seed, arguments.one_wording, size)
    _claim(demo)
    with listening({signal.SIGTERM: terminate}):
        return _run_stages(demo)


def _run_stages(demo: _Demo) -> int:
    started = time.monotonic()
    with _stage("1/6 Rows: a small world in the schemas of 27 of T0's datasets"):
        _write_rows(demo)
    with _stage("2/6 Vocabulary: SentencePiece, on the prompted training rows"):
        _train_vocabulary(demo)
    with _stage("3/6 Cache: every row under every wording"):
        _cache(demo)
    with _stage("4/6 Train: one T5 on the training families"):
        _train(demo)
    with _stage("5/6 Score: every wording of every held-out dataset, as training left the model and as it began"):
        _evaluate(demo, demo.folder / demo.name / MODEL, demo.name)
        _evaluate(demo, demo.start, UNTRAINED)
    with _stage("6/6 Report: beside the untrained model and a bag of words"):
        page = _report(demo)
    if demo.size == _QUICK:
        print("\nA quick run shows the path, not the result: it has learned nothing.")
    print(f"\n{page} holds the figure: open it in a browser. {time.monotonic() - started:.0f} s in all.")
    return 0


def _claim(demo: _Demo) -> None:
    """Note in the folder what it holds; InputError when that is something else."""
    from t0jax.cli.recipe import read_run, run_text
    from t0jax.files import write_whole

    note = demo.folder / "demo.txt"
    settings = f"{json.dumps({'seed': demo.seed, **asdict(demo.size)})}\n{run_text(read_run([RECIPE]))}"
    if note.exists() and note.read_text(encoding="utf-8") != settings:
        raise InputError(f"{demo.folder} holds a demonstration with other settings: give another --output_dir or remove it.")
    demo.folder.mkdir(parents=True, exist_ok=True)
    write_whole(note, settings)


@contextmanager
def _stage(title: str) -> Iterator[None]:
    """A heading before, the seconds after."""
    print(f"\n== {title}", file=sys.stderr, flush=True)
    started = time.monotonic()
    yield
    print(f"   {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def _command(name: str, *flags: str) -> None:
    """Show and run one of our own commands in a process of its own."""
    print(f"$ {shlex.join(('t0jax', name, *flags))}", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "t0jax", name, *flags]
    done = subprocess.run(command, env=_environment(), stdout=sys.stderr, check=False)
    if done.returncode:
        raise InputError(f"`t0jax {name}` ended with status {done.returncode}: its message is above.")


def _environment() -> dict[str, str]:
    """Two simulated devices, unless the machine has been told otherwise: on two cores faster than one device of two threads."""
    cores = min(2, os.cpu_count() or 1)
    ours = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": f"--xla_force_host_platform_device_count={cores}"}
    return {**ours, **os.environ}


def _write_rows(demo: _Demo) -> None:
    from t0jax.data.progress import Advance
    from t0jax.data.universe import mixture_tasks
    from t0jax.demo.suite import DATASETS, write_split

    sizes = {(task.dataset, task.subset): task.train_size for task in mixture_tasks("demo_train")}
    with Advance("datasets", len(DATASETS)) as bar:
        for dataset in DATASETS:
            count = demo.size.held_out_rows
            if not dataset.is_held_out:
                write_split(demo.rows, dataset, "train", demo.size.train_rows or sizes[dataset.name, dataset.subset], demo.seed)
            write_split(demo.rows, dataset, "validation", count, demo.seed)
            bar.advance(1)


def _train_vocabulary(demo: _Demo) -> None:
    from t0jax.cli.recipe import read_run
    from t0jax.data.universe import mixture_tasks
    from t0jax.demo.vocabulary import train_vocabulary

    size = read_run([RECIPE]).model.vocab_size
    train_vocabulary(demo.vocabulary, mixture_tasks("demo_train"), demo.rows, size=size)


def _cache(demo: _Demo) -> None:
    places = [f"--output_cache_dir={demo.folder / 'cache'}", f"--data_dir={demo.rows}", f"--vocabulary={demo.vocabulary}"]
    for mixture, split in ((demo.mixture, "train"), ("demo_eval_score_eval", "validation")):
        _command("cache", f"--mixture={mixture}", f"--splits={split}", *places)


def _train(demo: _Demo) -> None:
    from t0jax.checkpoints.whole import steps
    from t0jax.cli.recipe import read_run

    if not steps(demo.start):
        for name, value in _environment().items():
            os.environ.setdefault(name, value)
        from t0jax.demo.start import write_start

        write_start(read_run([RECIPE], demo.bindings), demo.start)
    places = {"INITIAL_CHECKPOINT_PATH": demo.start, "MODEL_DIR": demo.folder / demo.name / MODEL}
    _command("train", *_gin(RECIPE, demo, MIXTURE_OR_TASK_NAME=demo.mixture, **places))


def _evaluate(demo: _Demo, checkpoint: Path, name: str) -> None:
    places = {"CHECKPOINT_PATH": checkpoint, "EVAL_OUTPUT_DIR": demo.folder / name / SCORES}
    _command("eval", *_gin("eval/demo.gin", demo, **places))


def _gin(recipe: str, demo: _Demo, **given: object) -> list[str]:
    """The flags of a command that reads a recipe."""
    bindings = [*demo.bindings, *(f"{name}={value}" for name, value in given.items())]
    return [f"--gin_file={recipe}", *(f"--gin.{binding}" for binding in bindings)]


def _report(demo: _Demo) -> Path:
    from t0jax.demo.outcome import present

    runs = {name: demo.folder / name / SCORES for name in (ALL_WORDINGS, ONE_WORDING, UNTRAINED)}
    scores = {name: path for name, path in runs.items() if (path / "results.json").exists()}
    page = demo.folder / demo.name / "report.html"
    present(page, demo.name, scores, rows=demo.rows, seed=demo.seed)
    return page
