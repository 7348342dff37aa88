"""Where the recipes and the tables lie: at the root of a checkout, or under `t0jax/street/` in an installed wheel."""

from pathlib import Path

from t0jax.errors import InputError


def gin_folder() -> Path:
    """The folder of `models/`, `runs/` and `eval/` recipes; InputError when the installation lacks it."""
    return _folder("gin")


def mixtures_folder() -> Path:
    """The folder of the tables that say what T0 decided; InputError when the installation lacks it."""
    return _folder("mixtures")


def tpu_scripts_folder() -> Path:
    """The folder of scripts for pods and of what they cost; InputError when the installation lacks it."""
    return _folder("tpu_scripts")


def _folder(name: str) -> Path:
    package = Path(__file__).resolve().parent
    places = (package / "street" / name, package.parent / name)  # beside an installed t0jax lies gin-config's own gin/
    for place in places:
        if place.is_dir():
            return place
    raise InputError(f"The folder {name}/ is neither at {places[0]} nor at {places[1]}: install t0jax again.")
