"""What training says: a line on the terminal, a line in MODEL_DIR/metrics.jsonl, a point in TensorBoard."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from etils import epath
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from tensorboardX import SummaryWriter

from t0jax.errors import InputError
from t0jax.training.throughput import Load
from t0jax.training.weights_and_biases import Tracker

Values = Mapping[str, float | None]


class Window:
    """Sums over the steps since the last line. It is saved with a checkpoint, so that a resumed run says the same lines."""

    def __init__(self, sums: Mapping[str, float] | None = None) -> None:
        self.sums = dict(sums or {})

    def add(self, metrics: Mapping[str, float], load: Load) -> None:
        """Take in one step: metrics of the step (per target token where they are means) and the load of its batch."""
        tokens = metrics["target_tokens"]
        amounts = {
            "steps": 1.0,
            "examples": float(load.examples),
            "input_tokens": metrics["input_tokens"],
            "target_tokens": tokens,
            "encoder_slots": float(load.encoder_slots),
            "decoder_slots": float(load.decoder_slots),
            **{name: metrics[name] * tokens for name in ("loss", "z_loss", "accuracy")},
            "gradient_norm": metrics["gradient_norm"],
        }
        for name, amount in amounts.items():
            self.sums[name] = self.sums.get(name, 0.0) + amount

    def means(self) -> dict[str, float]:
        """Means over the window: per target token, per step, and how full the rows were; the window begins anew."""
        sums, self.sums = self.sums, {}
        tokens = max(sums["target_tokens"], 1.0)
        return {
            **{name: sums[name] / tokens for name in ("loss", "z_loss", "accuracy")},
            "gradient_norm": sums["gradient_norm"] / sums["steps"],
            "encoder_fill": sums["input_tokens"] / sums["encoder_slots"],
            "decoder_fill": sums["target_tokens"] / sums["decoder_slots"],
            "examples_per_step": sums["examples"] / sums["steps"],
        }


class Log:
    """Files and terminal of one run. Only the first process says anything; `is_silent` makes it none."""

    def __init__(self, model_dir: epath.PathLike, *, step: int, last_step: int, is_silent: bool = False) -> None:
        self._is_silent = is_silent
        self.tracker: Tracker | None = None
        self._progress: Progress | None = None
        self._bar: TaskID | None = None
        if is_silent:
            return
        folder = epath.Path(model_dir)
        self._lines = folder / "metrics.jsonl"
        with _writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            drop_lines_after(self._lines, step)
            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1, flush_secs=30)
        console = Console(stderr=True)
        if console.is_terminal:
            columns = (TextColumn("step {task.completed}/{task.total}"), BarColumn(), TimeRemainingColumn())
            self._progress = Progress(*columns, console=console)
            self._progress.start()
            self._bar = self._progress.add_task("", total=last_step, completed=step)

    def say(self, text: str) -> None:
        """A sentence on the terminal."""
        if self._is_silent:
            return
        if self._progress is not None:
            self._progress.console.print(text, highlight=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def forget_after(self, step: int) -> None:
        """The steps beyond this one are trained, and said, again."""
        if not self._is_silent:
            with _writing(self._lines):
                drop_lines_after(self._lines, step)

    def advance(self, step: int) -> None:
        """Move the progress bar."""
        if self._progress is not None and self._bar is not None:
            self._progress.update(self._bar, completed=step)

    def write(self, step: int, values: Values) -> None:
        """One line of values after `step` steps; None where a value is not known."""
        if self._is_silent:
            return
        with _writing(self._lines):
            _append(self._lines, json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            if value is not None:
                self._board.add_scalar(f"train/{name}", value, step)
        if self.tracker is not None:
            self.tracker.write(step, values)
        self.advance(step)
        self.say(_line(step, values))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._progress is not None:
            self._progress.stop()
        if not self._is_silent:
            self._board.close()


@contextmanager
def _writing(path: epath.Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise InputError(
            f"{path} cannot be written ({problem.strerror}): make room there or choose another MODEL_DIR; "
            "the checkpoints in it are intact."
        ) from problem


def _append(path: epath.Path, line: str) -> None:
    if "://" in str(path):  # an object in a bucket does not grow: it is written anew
        path.write_text((path.read_text() if path.exists() else "") + line)
        return
    with path.open("a") as lines:
        lines.write(line)


def drop_lines_after(path: epath.Path, step: int) -> None:
    """Keep the whole lines up to `step`: the steps beyond it are trained, and said, again."""
    if not path.exists():
        return
    kept = [line for line in path.read_text().splitlines() if (said := _step_of(line)) is not None and said <= step]
    aside = path.parent / f".{path.name}.aside"
    aside.write_text("".join(f"{line}\n" for line in kept))
    aside.replace(path)


def _step_of(line: str) -> int | None:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):  # a line that a killed run has left half-written
        return None


def _line(step: int, values: Values) -> str:
    def number(name: str, shape: str, scale: float = 1.0) -> str:
        value = values.get(name)
        return "-" if value is None else format(value * scale, shape)

    parts: list[tuple[str, Any]] = [
        ("loss", number("loss", ".4f")),
        ("accuracy", number("accuracy", ".3f")),
        ("rate", number("learning_rate", ".2e")),
        ("gradient", number("gradient_norm", ".2f")),
        ("tokens/s", number("tokens_per_second", ",.0f")),
        ("fill", f"{number('encoder_fill', '.0f', 100)}%/{number('decoder_fill', '.0f', 100)}%"),
        ("s/step", number("seconds_per_step", ".3f")),
        ("MFU", number("mfu", ".1%")),
        ("goodput", number("goodput", ".1%")),
    ]
    return f"step {step}  " + "  ".join(f"{name} {value}" for name, value in parts)
