"""The start of a run on many hosts, and what only the first of them does."""

import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import numpy as np
from jax._src.clusters import ClusterEnv
from jax.experimental import multihost_utils

from t0jax import __version__
from t0jax.errors import InputError
from t0jax.roll_call import PATIENCE, call_roll


def start_distributed(says: Mapping[str, str] | None = None) -> None:
    """Join the other processes of a run when the environment asks for it; nothing for a run of one process.

    Asked for by T0JAX_DISTRIBUTED=1 (the platform knows the rest, as on a TPU pod, under Slurm or MPI) or by
    JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID. Must come before the first use of a device. `NotNow` names
    hosts that do not come in T0JAX_START_SECONDS (300), an InputError those that run other code or say other things.
    """
    cluster = _cluster()
    if cluster is None or cluster[1] == 1:
        return
    seconds = os.environ.get("T0JAX_START_SECONDS", "")
    patience = float(seconds) if seconds.replace(".", "", 1).isdecimal() else PATIENCE
    call_roll(*cluster, {"version of t0jax": code_version(), **(says or {})}, patience)
    if os.environ.get("JAX_COORDINATOR_ADDRESS") is None:
        jax.distributed.initialize()
    else:
        jax.distributed.initialize(*cluster)


def _cluster() -> tuple[str, int, int] | None:
    """Where host 0 listens, how many hosts there are, and which one this is; None for a run of one."""
    address = os.environ.get("JAX_COORDINATOR_ADDRESS")
    if address is not None:
        count, index = os.environ.get("JAX_NUM_PROCESSES", ""), os.environ.get("JAX_PROCESS_ID", "")
        if not count.isdecimal() or not index.isdecimal():
            raise InputError(
                "JAX_COORDINATOR_ADDRESS is set, but JAX_NUM_PROCESSES and JAX_PROCESS_ID are not both numbers: set all three."
            )
        return address, int(count), int(index)
    if os.environ.get("T0JAX_DISTRIBUTED") != "1":
        return None
    detected = ClusterEnv.auto_detect_unset_distributed_params(None, None, None, None, None, int(PATIENCE))
    where, number, own = detected[:3]
    if where is None or number is None or own is None:
        raise InputError(
            "T0JAX_DISTRIBUTED=1, but this is no platform that JAX knows (a TPU pod, Kubernetes, Slurm, MPI): set "
            "JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and JAX_PROCESS_ID."
        )
    return where, number, own


def code_version() -> str:
    """The version, and a digest of the code that runs here, whatever its number says."""
    package = Path(__file__).parent
    code = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(package.rglob("*.py"))))
    return f"{__version__} {code.hexdigest()[:12]}"


def on_first_host(what: str, work: Callable[[], object]) -> None:
    """Let host 0 work while the others wait. Where it fails, all end: it with its own error, they with an InputError."""
    failure: BaseException | None = None
    if jax.process_index() == 0:
        try:
            work()
        except (Exception, SystemExit) as error:
            failure = error
    if jax.process_count() > 1:
        went_well = multihost_utils.broadcast_one_to_all(np.int32(failure is None))
        if not went_well and failure is None:
            raise InputError(f"Host 0 could not {what}; its own log says why.")
    if failure is not None:
        raise failure


def from_first_host(value: int) -> int:
    """What host 0 gives, on every host."""
    return value if jax.process_count() == 1 else int(multihost_utils.broadcast_one_to_all(np.int32(value)))
