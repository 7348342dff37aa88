"""Opens a checkpoint in whatever form it is."""

from etils import epath

from t0jax.checkpoints import whole
from t0jax.checkpoints.adapted import adapted_form, base_path
from t0jax.checkpoints.form import Form
from t0jax.checkpoints.from_hf import CONFIG, hf_form, is_hf
from t0jax.checkpoints.from_orbax import own_form, t5x_orbax_form
from t0jax.checkpoints.from_t5x import INDEX, native_form
from t0jax.errors import InputError

UNFINISHED = ".converting"
"""Ends the name of a folder in which a conversion is under way."""


def open_form(path: epath.PathLike) -> Form:
    """The checkpoint at `path`, or the newest of its `checkpoint_<step>`s: t0jax's, t5x's (either form), Hugging Face's.

    Only its index is read. InputError where there is none, or where it is not whole.
    """
    place = whole.absolute(path)
    try:
        return _opened(place)
    except OSError as error:
        raise InputError(
            f"{place} cannot be read ({' '.join(str(error).split())}): see to it that this machine may."
        ) from error


def _opened(place: epath.Path) -> Form:
    if place.name.endswith(UNFINISHED):
        raise InputError(f"{place} is an unfinished conversion: give the same `t0jax convert` again to finish it.")
    if not _exists(place):
        raise InputError(f"There is no checkpoint at {place}: give a checkpoint_<step>, a MODEL_DIR, or a Hugging Face folder.")
    if place.is_file():
        return native_form(place)
    found = _form_at(place)
    if found is not None:
        return found
    for step in sorted(_steps(place), reverse=True):
        found = _form_at(place / f"checkpoint_{step}")
        if found is not None:
            return found
    raise InputError(
        f"{place} holds no whole checkpoint: looked for {whole.COMMIT_FILE} (t0jax), {INDEX} or state/ (t5x), {CONFIG} with "
        "weights (Hugging Face), and checkpoint_<step> folders."
    )


def _exists(place: epath.Path) -> bool:
    try:
        return bool(place.exists())
    except ImportError as error:  # what etils lists a bucket with
        raise InputError(f"{place} cannot be reached from this installation: {error}.") from error


def _form_at(folder: epath.Path) -> Form | None:
    """The checkpoint that a folder itself is; None where it is none."""
    if (folder / whole.COMMIT_FILE).exists() and (folder / "params").is_dir():
        own = own_form(folder)
        return adapted_form(own, _base_of(folder)) if (folder / whole.BASE).exists() else own
    if (folder / "state" / "_METADATA").exists():
        return t5x_orbax_form(folder)
    if (folder / INDEX).exists() and (folder / INDEX).is_file():
        return native_form(folder)
    return hf_form(folder) if is_hf(folder) else None


def _base_of(folder: epath.Path) -> Form:
    path = base_path(folder)
    try:
        return open_form(path)
    except InputError as error:
        raise InputError(
            f"{folder} is an adapter, and its base cannot be opened: {error} Or write its new place into {folder / whole.BASE}."
        ) from error


def _steps(folder: epath.Path) -> list[int]:
    return [whole.step_of(path) for path in folder.iterdir() if whole.is_step_name(path.name)]
