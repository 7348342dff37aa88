"""From one form to another, tensor by tensor: written aside, read back, proven, then renamed."""

import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from etils import epath

import t0jax
from t0jax.checkpoints import passport
from t0jax.checkpoints.form import Form, Kind, check_model, check_slots
from t0jax.checkpoints.forms import UNFINISHED, open_form
from t0jax.checkpoints.journal import Journal
from t0jax.checkpoints.load import check_finite
from t0jax.checkpoints.orbax import reason_of
from t0jax.checkpoints.plan import DTYPES, Plan, Writer
from t0jax.checkpoints.proof import compare_logits
from t0jax.checkpoints.tensor import Tensor, row_by_row
from t0jax.checkpoints.to_hf import HfWriter
from t0jax.checkpoints.to_orbax import OrbaxWriter
from t0jax.checkpoints.to_t5x import T5xWriter
from t0jax.errors import InputError

WRITERS: Mapping[Kind, Callable[[epath.Path, Plan], Writer]] = {"orbax": OrbaxWriter, "t5x": T5xWriter, "hf": HfWriter}
_AT_ONCE = 4
"""Tensors that are converted at the same time, where there are as many processors."""
Progress = Callable[[str, int], Any]
"""(label, total) -> a context manager with `advance(n)`; the unit is a megabyte."""


def destination_of(path: str, kind: Kind, step: int) -> Path:
    """The folder that a conversion writes. InputError where there is something already, or in a bucket."""
    if "://" in path:
        raise InputError(f"The destination {path} is in a bucket: convert to a folder here, then copy it there as it is.")
    place = Path(path).absolute()
    is_named = place.name.startswith("checkpoint_")
    if kind != "hf" and is_named and place.name != f"checkpoint_{step}":
        raise InputError(
            f"The destination is named {place.name}, but the checkpoint is at step {step}: name it checkpoint_{step}."
        )
    folder = place if kind == "hf" or is_named else place / f"checkpoint_{step}"
    if folder.exists() and (folder.is_file() or any(folder.iterdir())):
        raise InputError(f"{folder} is there already: give another destination, or delete it first.")
    return folder


def convert(source: Form, folder: Path, plan: Plan, progress: Progress) -> dict[str, Any]:
    """Write `folder` and return its passport. What was killed goes on where it stood when it is called again.

    InputError for a source that is not whole, holds NaNs, or reads back as something else. The folder appears when all is done.
    """
    check_model(source, plan.model, is_own=True)
    if plan.slots:
        check_slots(source)
    work = folder.with_name(folder.name + UNFINISHED)
    aside = work / folder.name
    journal = _journal(work, aside, source, plan)
    try:
        _write(source, aside, plan, journal, progress)
    except InputError:
        raise
    except (OSError, ValueError) as problem:  # TensorStore says ValueError of a full disk too
        raise InputError(
            f"{folder} could not be written ({reason_of(problem)}): make room there and give the same command again, it goes "
            f"on where it stood; or delete {work}."
        ) from problem
    result = open_form(aside)
    _read_back(result, journal.done, progress)
    described = _describe(source, plan, journal.done) | {"logits": compare_logits(source, result)}
    if described["logits"].get("are_equal") is False and not _is_rounded(source, plan):
        raise InputError(f"{aside} gives other logits than {source.path} ({described['logits']}): please report this.")
    (aside / passport.FILE).write_text(json.dumps(described, indent=1) + "\n")
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.is_dir():
        folder.rmdir()  # it is empty
    aside.rename(folder)
    shutil.rmtree(work)
    return described


def _write(source: Form, aside: Path, plan: Plan, journal: Journal, progress: Progress) -> None:
    """Every tensor that the journal does not have, then what makes the checkpoint whole."""
    writer = WRITERS[plan.kind](epath.Path(aside), plan)
    tensors = {**source.parameters, **{name: source.slots[name] for name in plan.slots}}

    def write(name: str, tensor: Tensor) -> dict[str, Any]:
        values = row_by_row(tensor.read())
        check_finite(f"{name} of {source.path}", values)
        written = values.astype(np.float32 if name in plan.slots else DTYPES[plan.dtype], copy=False)
        writer.put(name, written)
        entry = {"shape": list(values.shape), "dtype": written.dtype.name, "sha256": passport.fingerprint(written)}
        if values.dtype == written.dtype:
            return entry
        return entry | {"source_dtype": values.dtype.name, "source_sha256": passport.fingerprint(values)}

    with progress("converting, MB", _megabytes(tensors)) as shown:
        shown.advance(_megabytes({name: tensors[name] for name in journal.done}))
        for name, entry in _each(write, {name: one for name, one in tensors.items() if name not in journal.done}):
            journal.add(name, entry)
            shown.advance(_megabytes({name: tensors[name]}))
    writer.finish()


def _megabytes(tensors: Mapping[str, Tensor]) -> int:
    return sum(math.ceil(tensor.size * tensor.dtype.itemsize / 1e6) for tensor in tensors.values())


def _is_rounded(source: Form, plan: Plan) -> bool:
    return any(tensor.dtype != DTYPES[plan.dtype] for tensor in source.parameters.values())


def _journal(work: Path, aside: Path, source: Form, plan: Plan) -> Journal:
    """The journal of this conversion; what another one has left in its place is removed."""
    head = {
        "t0jax": t0jax.__version__,
        "source": str(source.path),
        "layout": source.layout,
        "step": plan.step,
        "format": plan.kind,
        "dtype": plan.dtype,
        "is_scanned": plan.model.scan_layers,
        "statistics": len(plan.slots),
    }
    work.mkdir(parents=True, exist_ok=True)
    journal = Journal(work / "journal.jsonl", head)
    if not journal.is_resumed and aside.exists():
        shutil.rmtree(aside)
    aside.mkdir(exist_ok=True)
    return journal


def _each(do: Callable[[str, Tensor], Any], tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Any]]:
    """What `do` makes of every tensor, a few at a time; the first failure ends it."""
    with ThreadPoolExecutor(min(_AT_ONCE, os.cpu_count() or 1)) as pool:
        names = {pool.submit(do, name, tensor): name for name, tensor in tensors.items()}
        try:
            for future in as_completed(names):
                yield names[future], future.result()
        finally:
            for future in names:
                future.cancel()


def _read_back(result: Form, written: Mapping[str, Mapping[str, Any]], progress: Progress) -> None:
    """InputError where a tensor on disk is not the one that was written."""
    stored = {**result.parameters, **result.slots}
    found = {name: stored[name] for name in written}
    with progress("reading back, MB", _megabytes(found)) as shown:
        for name, fingerprint in _each(lambda name, tensor: passport.fingerprint(tensor.read()), found):
            if fingerprint != written[name]["sha256"]:
                raise InputError(
                    f"{name} in {result.path} is not what was written: the disk may be at fault; delete it, begin anew."
                )
            shown.advance(_megabytes({name: stored[name]}))


def _describe(source: Form, plan: Plan, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The passport, without its proof."""
    slots = "as the source has them" if plan.slots else "fresh (zeros)" if plan.kind == "t5x" else "none"
    return {
        "t0jax": t0jax.__version__,
        "source": {"path": str(source.path), "form": source.kind, "layout": source.layout, "step": source.step},
        "came_from": passport.read_passport(source.path),
        "recipe": passport.recipe_of(source.path),
        "format": plan.kind,
        "step": plan.step,
        "dtype": plan.dtype,
        "statistics": slots,
        "read_back": "every tensor's bytes equal what was written",
        "tensors": tensors,
    }
