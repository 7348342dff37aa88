"""Asynchronous Orbax checkpoints: MODEL_DIR/checkpoint_<step>/{params, optimizer, position.json, config.gin, files.json}."""

import json
import logging
import re
import warnings
from collections.abc import Mapping
from typing import Any, Protocol, Self, TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath
from jax.experimental import multihost_utils

from t0jax.checkpoints import whole
from t0jax.checkpoints.form import EMBEDDING, first_difference
from t0jax.errors import InputError

Position = dict[str, Any]
"""JSON values. What differs by host lies in dicts whose keys differ by host, so that a union is the whole."""


class TrainState(Protocol):
    """What is saved: any pytree with these fields and flax's `replace`."""

    step: Any
    params: Any
    opt_state: Any

    def replace(self, **fields: Any) -> Any:
        """A copy with other fields."""


S = TypeVar("S", bound=TrainState)


class _Handler(ocp.CompositeCheckpointHandler):
    """Adds the texts to the two trees just before Orbax declares the checkpoint whole."""

    def __init__(self) -> None:
        super().__init__(params=ocp.StandardCheckpointHandler(), optimizer=ocp.StandardCheckpointHandler())
        self.texts: dict[str, str] = {}

    def finalize(self, directory: epath.Path) -> None:
        super().finalize(directory)
        for name, text in self.texts.items():
            (directory / name).write_text(text)
        whole.write_manifest(directory)


@ocp.args.register_with_handler(_Handler, for_save=True, for_restore=True)
class _Items(ocp.args.Composite):
    """The trees of one checkpoint by name."""


def _is_news(record: logging.LogRecord) -> bool:
    """False for the tracebacks that Orbax prints behind the scenes: the same problem is raised as an InputError."""
    return record.levelno < logging.ERROR or record.threadName == "MainThread" or "orbax" not in record.pathname


class Checkpoints:
    """The checkpoints of one run. `save` copies to the host and returns; the writing goes on behind the next steps."""

    def __init__(self, model_dir: epath.PathLike, keep: int | None = None) -> None:
        self.model_dir = whole.absolute(model_dir)
        self.keep = keep
        self._handler = _Handler()
        self._checkpointer = ocp.AsyncCheckpointer(self._handler)
        self._saving: int | None = None
        logging.getLogger("absl").addFilter(_is_news)
        self._sweep()

    def steps(self) -> list[int]:
        """The steps of the whole checkpoints, rising."""
        return whole.steps(self.model_dir)

    def save(self, step: int, state: TrainState, position: Position, texts: Mapping[str, str]) -> None:
        """Begin to save, with `texts` by their names; returns once the state may change.

        An InputError where this or the last save cannot be written.
        """
        self.wait()
        self._handler.texts = {"position.json": json.dumps(_union_over_hosts(position)), **texts}
        trees = {"params": state.params, "optimizer": {"step": state.step, "opt_state": state.opt_state}}
        items = _Items(**{name: ocp.args.StandardSave(tree) for name, tree in trees.items()})
        self._saving = step
        try:
            self._checkpointer.save(self._path(step), args=items, force=True)  # a damaged one of this step is replaced
        except Exception as problem:
            self._give_up(problem)

    def check(self) -> None:
        """Raise the InputError of a save that has failed behind the scenes; does not wait."""
        try:
            self._checkpointer.check_for_errors()
        except Exception as problem:
            self._give_up(problem)

    def wait(self) -> None:
        """Wait until the last save is whole, then delete all but the newest `keep`."""
        try:
            self._checkpointer.wait_until_finished()
        except Exception as problem:
            self._give_up(problem)
        saved, self._saving = self._saving, None
        if saved is not None and self.keep is not None and jax.process_index() == 0:
            # One of a later step is damaged, or the run would have begun there: it does not count among the newest.
            for step in [step for step in self.steps() if step <= saved][: -self.keep]:
                (self._path(step) / whole.COMMIT_FILE).unlink()  # first: half a deletion must not look whole
                self._path(step).rmtree()

    def restore(self, like: S) -> tuple[S, Position] | None:
        """The newest state on the shardings of `like` (a tree of ShapeDtypeStructs) and its position; None when none was saved.

        A damaged checkpoint is passed over with a warning; one of another model is an InputError.
        """
        known = self.steps()
        for step in reversed(known):
            reason = _from_first_host(whole.damage(self._path(step)))
            if reason is None:
                return self._read(step, like)
            warnings.warn(f"Checkpoint {self._path(step)} is passed over, it is damaged: {reason}.", stacklevel=2)
        if known:
            raise InputError(
                f"All checkpoints of {self.model_dir} (steps {known}) are damaged: restore one from a backup, or choose "
                "another MODEL_DIR to begin again."
            )
        return None

    def close(self) -> None:
        """Finish the last save and free the threads."""
        try:
            self.wait()
        finally:
            self._checkpointer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _path(self, step: int) -> epath.Path:
        return self.model_dir / f"checkpoint_{step}"

    def _read(self, step: int, like: S) -> tuple[S, Position]:
        trees = {"params": like.params, "optimizer": {"step": like.step, "opt_state": like.opt_state}}
        read = _restore(self._path(step), trees)
        position = json.loads((self._path(step) / "position.json").read_text())
        return like.replace(params=read["params"], **read["optimizer"]), position

    def _sweep(self) -> None:
        """Remove what interrupted saves have left: they only take room."""
        if jax.process_index() == 0 and self.model_dir.is_dir():
            for path in self.model_dir.glob(f"checkpoint_*{ocp.utils.TMP_DIR_SUFFIX}*"):
                path.rmtree()

    def _give_up(self, problem: Exception) -> None:
        """Free the room that the failed save holds and say what happened."""
        self._sweep()
        raise InputError(
            f"Checkpoint {self._path(self._saving or 0)} could not be written ({reason_of(problem)}): make room there or "
            f"choose another MODEL_DIR; the checkpoints before it are intact (steps {self.steps()})."
        ) from problem


def restore_params(path: epath.PathLike, like: Any) -> Any:
    """The parameters alone of `checkpoint_<step>` or of the newest in MODEL_DIR, on the shardings of `like`."""
    folder = whole.absolute(whole.latest(path))
    whole.check_whole(folder)
    return _restore(folder, {"params": like})["params"]


def restore_state(path: epath.PathLike, like: S) -> S:
    """Parameters, optimizer and step of `checkpoint_<step>` or of the newest in MODEL_DIR, on the shardings of `like`."""
    folder = whole.absolute(whole.latest(path))
    whole.check_whole(folder)
    read = _restore(folder, {"params": like.params, "optimizer": {"step": like.step, "opt_state": like.opt_state}})
    return like.replace(params=read["params"], **read["optimizer"])


def _restore(folder: epath.Path, trees: dict[str, Any]) -> dict[str, Any]:
    for name, like in trees.items():
        _check_shapes(folder, name, like)
    items = _Items(**{name: ocp.args.StandardRestore(like) for name, like in trees.items()})
    with ocp.Checkpointer(_Handler()) as checkpointer:
        read = checkpointer.restore(folder, args=items)
    return {name: read[name] for name in trees}


def _check_shapes(folder: epath.Path, item: str, like: Any) -> None:
    """An InputError that names the first tensor which is not stored as `like` wants it."""
    stored = _shapes(ocp.StandardCheckpointHandler().metadata(folder / item).tree)
    if found := first_difference(stored, _shapes(like)):
        raise InputError(
            f"{folder} is of another model or optimizer: {found.between('the checkpoint', 'this run')}; use the settings in "
            f"{folder / 'config.gin'}{_remedy(found.name, found.has, found.wants)} or another checkpoint."
        )


def _remedy(name: str, has: tuple[int, ...] | None, wants: tuple[int, ...] | None) -> str:
    if name == EMBEDDING and has and wants and has[1:] == wants[1:]:
        return f" (ModelConfig.vocab_size = {has[0]})"
    if has is None or wants is None:
        for layers, is_scanned in (("/layers/", has is not None), ("/layers_", has is None)):
            if layers in name:
                return f" (ModelConfig.scan_layers = {is_scanned}; INITIAL_CHECKPOINT_PATH takes either)"
    return ""


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {"/".join(_key(entry) for entry in path): tuple(leaf.shape) for path, leaf in leaves}


def _key(entry: Any) -> str:
    """A step of a tree path as Orbax spells it: fields, keys and places alike."""
    return str(getattr(entry, "key", getattr(entry, "name", getattr(entry, "idx", entry))))


def reason_of(problem: Exception) -> str:
    """Why something could not be written, in the words of the operating system where it has them."""
    text = " ".join(str(problem).split())
    known = re.search(
        r"No space left on device|File too large|Disk quota exceeded|Permission denied|Read-only file system", text
    )
    return known[0] if known else f"{type(problem).__name__}: {text[:200]}"


def union(parts: list[Position]) -> Position:
    """The positions of several hosts as one: dicts are joined key by key, everything else must agree."""
    joined: Position = {}
    for part in parts:
        for key, value in part.items():
            known = joined.setdefault(key, value)
            if isinstance(known, dict) and known is not value:
                joined[key] = union([known, value])
    return joined


def _union_over_hosts(position: Position) -> Position:
    if jax.process_count() == 1:
        return position
    text = np.frombuffer(json.dumps(position).encode(), np.uint8)
    longest = int(multihost_utils.process_allgather(np.int32(text.size)).max())
    texts = multihost_utils.process_allgather(np.pad(text, (0, longest - text.size), constant_values=ord(" ")))
    return union([json.loads(bytes(row)) for row in texts])


def _from_first_host(reason: str | None) -> str | None:
    """Every host goes by what the first one saw, else they would resume from different steps."""
    if jax.process_count() == 1:
        return reason
    is_damaged = bool(multihost_utils.broadcast_one_to_all(np.int32(reason is not None)))
    return (reason or "the first host says so") if is_damaged else None
