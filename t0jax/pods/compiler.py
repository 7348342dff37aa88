"""A run's real step through the real TPU compiler, in a process of its own, on a machine that needs no TPU."""

import importlib.util
import os
import pickle
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from t0jax.config import Run
from t0jax.errors import InputError
from t0jax.pods.hlo import Program, read_program
from t0jax.pods.topology import Topology

ENVIRONMENT = {"TPU_SKIP_MDS_QUERY": "1", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1", "JAX_PLATFORMS": "cpu"}
"""libtpu must not look for a TPU, nor for another process that has one."""


@dataclass(frozen=True)
class Compiled:
    """What the compiler says of a program, per chip."""

    peak_bytes: int
    state_bytes: dict[str, int]
    """Of parameters and of the optimizer's statistics."""
    batch_bytes: int
    checkpoint_bytes: int
    """Of the whole state, on all chips."""
    compile_seconds: float
    program: Program


@dataclass(frozen=True)
class DoesNotFit:
    """The compiler refuses: more memory than a chip has."""

    needed_bytes: int
    available_bytes: int
    compile_seconds: float


@dataclass(frozen=True)
class Request:
    """What to compile: the training step of a run, or the scorer of an evaluation."""

    run: Run
    topology: Topology
    is_evaluation: bool = False


def compile_step(request: Request) -> Compiled | DoesNotFit:
    """Compile in a child process. An InputError when there is no compiler, or the run cannot be laid out over the chips."""
    check_compiler()
    with tempfile.TemporaryDirectory(prefix="t0jax-plan-") as folder:
        asked, answered = Path(folder, "request"), Path(folder, "answer")
        asked.write_bytes(pickle.dumps(request))
        child = "import sys; from t0jax.pods.compiler import main; main(*sys.argv[1:])"
        command = [sys.executable, "-c", child, str(asked), str(answered)]
        done = subprocess.run(command, env=os.environ | ENVIRONMENT, capture_output=True, text=True)
        if not answered.is_file():
            last = "\n".join(done.stderr.splitlines()[-12:])
            raise RuntimeError(f"The TPU compiler ended with status {done.returncode}:\n{last}")
        answer = pickle.loads(answered.read_bytes())
    if isinstance(answer, InputError):
        raise answer
    return answer


def check_compiler() -> None:
    """An InputError where libtpu is not installed."""
    if importlib.util.find_spec("libtpu") is None:
        raise InputError(
            f"`t0jax plan` asks the TPU compiler, and {sys.executable} has no libtpu: install t0jax's extra tpu "
            "(pip install 't0jax[tpu]'); a checkout's own environment (make setup) has it."
        )


def refusal(message: str) -> tuple[int, int] | None:
    """Bytes that a program needs and may have, from the compiler's message; None when it failed for another reason."""
    if "RESOURCE_EXHAUSTED" not in message or "hbm" not in message.lower():
        return None
    size = r"([\d.]+)([KMGT])"
    patterns = (rf"Used {size} of {size} hbm", rf"\({size}\) exceeds available HBM \({size}\)")
    for found in filter(None, (re.search(pattern, message) for pattern in patterns)):
        needed, unit, available, of_available = found.groups()
        return _bytes(needed, unit), _bytes(available, of_available)
    return None


def _bytes(number: str, unit: str) -> int:
    return round(float(number) * 1024 ** (1 + "KMGT".index(unit)))


def compile_here(request: Request) -> Compiled | DoesNotFit:
    """In this process, whose environment must be ENVIRONMENT's: the work of the child."""
    import jax

    began = time.perf_counter()
    lowered, shares = _lower(request)
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        figures = refusal(str(error))
        if figures is None:
            raise
        return DoesNotFit(*figures, time.perf_counter() - began)
    seconds = time.perf_counter() - began
    peak = compiled.memory_analysis().peak_memory_in_bytes
    program = read_program(compiled.as_text(), request.topology.chips, request.topology.slices)
    return Compiled(peak_bytes=peak, compile_seconds=seconds, program=program, **shares)


def _lower(request: Request) -> tuple[Any, dict[str, Any]]:
    """The program, lowered for the topology, and the bytes of what goes into it."""
    import jax

    from t0jax.mesh import check_hosts, make_mesh
    from t0jax.training.step import abstract_state

    run = request.run
    mesh = make_mesh(run.mesh, _devices(request.topology))
    check_hosts(mesh.devices)
    state = abstract_state(run.model, run.optimizer, mesh)
    whole = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    batch = _batch(request, mesh)
    shares = {
        "state_bytes": {"parameters": _share(state.params), "optimizer": _share(state.opt_state)},
        "batch_bytes": _share(batch),
        "checkpoint_bytes": whole,
    }
    if request.is_evaluation:
        from functools import partial

        from t0jax.evaluation.score import token_logp
        from t0jax.mesh import constrain_to, replicated
        from t0jax.model.t5 import T5

        score = jax.jit(partial(token_logp, T5(run.model, constrain_to(mesh))), out_shardings=replicated(mesh))
        return score.lower(state.params, batch), {**shares, "state_bytes": {"parameters": _share(state.params)}}
    from t0jax.training.step import make_step

    key = jax.eval_shape(lambda: jax.random.key(0))
    step: Any = make_step(run.model, run.optimizer, run.train, mesh)
    return step.lower(state, batch, key), shares


def _devices(topology: Topology) -> list[Any]:
    from jax.experimental import topologies

    options: dict[str, Any] = {"num_slices": topology.slices} if topology.slices > 1 else {}
    if topology.chip.name == "v4":
        options["chip_config_name"] = "megacore"  # else each chip is two devices
    return list(topologies.get_topology_desc(platform="tpu", topology_name=topology.name, **options).devices)


def _batch(request: Request, mesh: Any) -> dict[str, Any]:
    """The shapes of a global batch."""
    import jax
    import jax.numpy as jnp

    from t0jax.batch import DECODER_FEATURES, ENCODER_FEATURES
    from t0jax.mesh import batch_sharding, check_rows

    data = request.run.data
    check_rows(mesh, data.batch_size, 1 if request.is_evaluation else request.run.train.microbatches)
    if not request.is_evaluation:
        data.streams_each(request.topology.hosts)
    lengths = dict.fromkeys(ENCODER_FEATURES, data.task_feature_lengths["inputs"])
    lengths |= dict.fromkeys(DECODER_FEATURES, data.task_feature_lengths["targets"])
    if request.is_evaluation:
        lengths["decoder_source_ids"] = lengths["decoder_segment_ids"]

    def feature(length: int) -> Any:
        return jax.ShapeDtypeStruct((data.batch_size, length), jnp.int32, sharding=batch_sharding(mesh))

    return {name: feature(length) for name, length in lengths.items()}


def _share(tree: Any) -> int:
    """Bytes that one chip holds."""
    import math

    import jax

    return sum(math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def main(asked: str, answered: str) -> None:
    """Answer a pickled Request with what came of it, an InputError included."""
    request = pickle.loads(Path(asked).read_bytes())
    try:
        answer: Any = compile_here(request)
    except InputError as error:
        answer = error
    Path(answered).write_bytes(pickle.dumps(answer))
