"""Other ways to lay a run out: those that fit where it does not, and the best of many."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from t0jax.config import MeshConfig, Run
from t0jax.errors import InputError
from t0jax.pods.compiler import Request
from t0jax.pods.plan import Plan
from t0jax.pods.topology import Topology, shapes

REMAT = ("none", "minimal", "full")
"""From the fastest to the smallest."""
Bindings = Mapping[str, Any]
"""Gin fields by name, as `ModelConfig.remat`."""


def with_bindings(run: Run, bindings: Bindings) -> Run:
    """The run with some fields changed."""
    sections = {type(getattr(run, field.name)).__name__: field.name for field in dataclasses.fields(run)}
    for name, value in bindings.items():
        owner, _, field = name.partition(".")
        section = sections[owner]
        run = dataclasses.replace(run, **{section: dataclasses.replace(getattr(run, section), **{field: value})})
    return run


def as_flags(bindings: Bindings) -> str:
    """The bindings as a command takes them."""
    return " ".join(f"--gin.{name}={value}" for name, value in bindings.items())


def remedies(request: Request) -> Iterator[Bindings]:
    """What makes a run smaller, the cheapest first: remat, then the state over all chips, then microbatches, then tensor."""
    run = request.run
    smaller = REMAT[REMAT.index(run.model.remat) + 1 :]
    yield from ({"ModelConfig.remat": remat} for remat in smaller)
    most: dict[str, Any] = {"ModelConfig.remat": "full"} if smaller else {}
    slices = request.topology.slices
    if not request.is_evaluation:
        whole = MeshConfig(data=slices, fsdp=-1, tensor=run.mesh.tensor)
        if (run.mesh.data, run.mesh.fsdp) not in ((whole.data, -1), (whole.data, request.topology.chips // slices)):
            most |= _mesh(whole)
            yield dict(most)
        for microbatches in (2, 4, 8, 16, 32):
            if microbatches > run.train.microbatches:
                yield most | {"TrainConfig.microbatches": microbatches}
    for tensor in (2, 4):
        if tensor > run.mesh.tensor:
            yield most | _mesh(MeshConfig(data=slices, fsdp=-1, tensor=tensor))


def larger(topology: Topology, tries: int = 3) -> Iterator[Topology]:
    """The next larger slices of the same chip."""
    each = topology.chips // topology.slices
    bigger = (Topology(topology.chip, shape, topology.slices) for shape in shapes(topology.chip))
    yield from [one for one in bigger if one.chips // one.slices > each][:tries]


def find_fit(request: Request, plan_of: Callable[[Request], Plan]) -> tuple[Bindings, Plan] | None:
    """The first remedy that the compiler accepts, on these chips or else on more of them."""
    tried: Bindings = {}
    for bindings in remedies(request):
        plan = _try(dataclasses.replace(request, run=with_bindings(request.run, bindings)), plan_of)
        if plan is not None and plan.fits:
            return bindings, plan
        tried = bindings if plan is not None else tried
    for topology in larger(request.topology):
        plan = _try(dataclasses.replace(request, run=with_bindings(request.run, tried), topology=topology), plan_of)
        if plan is not None and plan.fits:
            return tried, plan
    return None


def candidates(run: Run, topologies: Sequence[Topology]) -> list[tuple[Bindings, Topology]]:
    """What a search compiles: every topology with every remat and a few meshes, the run's own first."""
    found: list[tuple[Bindings, Topology]] = []
    for topology in topologies:
        meshes = [run.mesh, *(MeshConfig(data=topology.slices, fsdp=-1, tensor=tensor) for tensor in (1, 2, 4))]
        distinct = {_sizes(mesh, topology.chips): mesh for mesh in reversed(meshes)}
        for mesh in reversed(distinct.values()):
            found += [({"ModelConfig.remat": remat, **_mesh(mesh)}, topology) for remat in reversed(REMAT)]
    return found


def search(run: Run, topologies: Sequence[Topology], plan_of: Callable[[Request], Plan]) -> Iterator[tuple[Bindings, Plan]]:
    """Compile every candidate that can be laid out at all."""
    for bindings, topology in candidates(run, topologies):
        plan = _try(Request(with_bindings(run, bindings), topology), plan_of)
        if plan is not None:
            yield bindings, plan


def best_of(plans: Sequence[Plan]) -> list[Plan]:
    """The Pareto set: those that no other one beats in both days and dollars, when nothing hides; the fastest first."""
    fitting = sorted((plan for plan in plans if plan.fits), key=lambda plan: (_days(plan), _dollars(plan)))
    best: list[Plan] = []
    for plan in fitting:
        if not best or _dollars(plan) < _dollars(best[-1]):
            best.append(plan)
    return best


def _days(plan: Plan) -> float:
    return plan.days(plan.estimate.worst)


def _dollars(plan: Plan) -> float:
    return plan.dollars(plan.estimate.worst) or 0.0


def _try(request: Request, plan_of: Callable[[Request], Plan]) -> Plan | None:
    """The plan; None where the run cannot be laid out so: rows or heads that do not divide."""
    try:
        return plan_of(request)
    except InputError:
        return None


def _mesh(mesh: MeshConfig) -> Bindings:
    return {"MeshConfig.data": mesh.data, "MeshConfig.fsdp": mesh.fsdp, "MeshConfig.tensor": mesh.tensor}


def _sizes(mesh: MeshConfig, chips: int) -> tuple[int, ...]:
    sizes = [mesh.data, mesh.fsdp, mesh.tensor]
    if -1 in sizes:
        given = -sizes[0] * sizes[1] * sizes[2]
        sizes[sizes.index(-1)] = chips // given
    return tuple(sizes)
