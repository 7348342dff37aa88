"""`t0jax plan`: a run's real step through the TPU compiler. Status 0: it fits; 1: it does not; 2: bad input."""

import argparse
import json
import re
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from t0jax.cli.recipe import add_gin_arguments, run_of
from t0jax.config import Run
from t0jax.errors import InputError

if TYPE_CHECKING:
    from t0jax.pods.compiler import Request
    from t0jax.pods.plan import Plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    add_gin_arguments(parser)
    parser.add_argument(
        "--topology",
        action="append",
        required=True,
        metavar="SLICE",
        help="a TPU slice by shape or type, as v5p:2x2x4 or v5p-32; with --search it may be given again",
    )
    parser.add_argument("--num_slices", type=int, default=1, metavar="N", help="that many such slices, data parallel")
    parser.add_argument("--evaluation", action="store_true", help="plan the scorer of `t0jax eval` instead of training")
    parser.add_argument("--search", action="store_true", help="compile other meshes and remat policies too, and compare")
    parser.add_argument(
        "--from_step", type=int, metavar="N", help="the step that training goes on from, if the recipe hides it"
    )
    parser.add_argument("--price", type=float, metavar="DOLLARS", help="of a chip and hour, instead of the table's")
    parser.add_argument("--provisioning", default="on_demand", metavar="KIND", help="whose price is taken from the table")
    parser.add_argument("--json", action="store_true", help="one JSON object a plan on standard output")


def run(arguments: argparse.Namespace) -> int:
    """Plan; an InputError for a slice that there is not, a run that cannot be laid out over it, or no compiler."""
    from t0jax.pods.compiler import Request, check_compiler
    from t0jax.pods.plan import make_plan
    from t0jax.pods.prices import price_of
    from t0jax.pods.topology import parse_topology

    topologies = [parse_topology(text, arguments.num_slices) for text in arguments.topology]
    if len(topologies) > 1 and not arguments.search:
        raise InputError("Several --topology are compared with --search only: give one, or --search.")
    described = run_of(arguments, is_sketch=True)
    prices = {one.chip.name: price_of(one.chip, arguments.provisioning, arguments.price) for one in topologies}
    steps = 1 if arguments.evaluation else steps_of(described, arguments.from_step)
    check_compiler()

    def plan_of(request: Request) -> "Plan":
        _say(f"compiling for {request.topology}, {layout(request.run)} ...")
        price = prices[request.topology.chip.name]
        return make_plan(request, steps, price.dollars if price else None)

    if arguments.search:
        from t0jax.cli.plan_search import run_search

        return run_search(described, topologies, plan_of, is_json=arguments.json)
    plan = plan_of(Request(described, topologies[0], arguments.evaluation))
    price = prices[topologies[0].chip.name]
    if arguments.json:
        from t0jax.pods.plan import as_json

        print(json.dumps(as_json(plan)))
    else:
        print("\n".join(describe(plan, price.described if price else "")))
    if plan.fits:
        return 0
    return _propose(Request(described, topologies[0], arguments.evaluation), plan_of)


def steps_of(run: Run, from_step: int | None) -> int:
    """Steps that training takes; an InputError when there are none."""
    if from_step is None:
        named = re.search(r"checkpoint_(\d+)/*$", run.train.initial_checkpoint_path or "")
        from_step = int(named[1]) if named else 0
    steps = run.train.last_step(from_step) - from_step
    if steps <= 0:
        raise InputError(
            f"TRAIN_STEPS is {run.train.train_steps} and training begins at {from_step}: there is nothing to plan."
        )
    return steps


def layout(run: Run) -> str:
    """How a run lies on its chips, in a few words."""
    mesh = " x ".join(f"{axis} {getattr(run.mesh, axis)}" for axis in ("data", "fsdp", "tensor"))
    parts = f" in {run.train.microbatches} microbatches" if run.train.microbatches > 1 else ""
    return f"mesh {mesh}, remat {run.model.remat}, {run.data.batch_size} rows{parts}"


def describe(plan: "Plan", priced: str) -> list[str]:
    """The plan for a person."""
    from t0jax.pods.compiler import DoesNotFit
    from t0jax.pods.plan import cycles_by_part, memory
    from t0jax.pods.topology import GIB

    topology, hbm = plan.topology, plan.topology.chip.hbm_gib
    lines = [f"{topology} ({topology.accelerator_type}): {topology.chips} chips, {topology.hosts} hosts; {layout(plan.run)}"]
    compiled = plan.compiled
    if isinstance(compiled, DoesNotFit):
        needed = compiled.needed_bytes / GIB
        return [*lines, f"memory      DOES NOT FIT: a chip needs {needed:.2f} GiB and has {hbm} ({needed - hbm:.2f} too many)"]
    filled = ", ".join(f"{name} {size / GIB:.2f}" for name, size in memory(compiled).items())
    lines.append(f"memory      {compiled.peak_bytes / GIB:.2f} of {hbm} GiB a chip: {filled}")
    cost = plan.estimate
    what = "batch" if plan.is_evaluation else "step"
    mfu = f"MFU {100 * cost.mfu(cost.best):.1f} to {100 * cost.mfu(cost.worst):.1f} %"
    lines.append(f"{what:<11} {cost.best:.3f} s (collectives hidden) to {cost.worst:.3f} s (none hidden); {mfu}")
    between = f", between slices {cost.dcn:.3f}" if topology.slices > 1 else ""
    lines.append(
        f"            seconds: ideal {cost.ideal:.3f}, computed {cost.compute:.3f}, collectives {cost.ici:.3f}{between}"
    )
    parts = cycles_by_part(compiled.program)
    top = ", ".join(f"{name} {100 * cycles / compiled.program.cycles:.0f} %" for name, cycles in list(parts.items())[:6])
    lines.append(f"cycles      {compiled.program.cycles / 1e6:.0f} million: {top}")
    if compiled.program.kernels:
        lines.append(f"            and {sum(compiled.program.kernels.values())} calls of Pallas kernels, which are not in them")
    if not plan.is_evaluation:
        lines += _course(plan, priced)
    return [*lines, f"compiled    in {compiled.compile_seconds:.0f} s"]


def _course(plan: "Plan", priced: str) -> list[str]:
    """How long all steps take and what they cost."""
    from t0jax.pods.compiler import Compiled

    cost = plan.estimate
    days = f"{plan.steps:,} steps: {plan.days(cost.best):.2f} to {plan.days(cost.worst):.2f} days"
    least, most = plan.dollars(cost.best), plan.dollars(cost.worst)
    dollars = "" if least is None else f", {least:,.0f} to {most:,.0f} dollars at {plan.price:.2f} a chip and hour ({priced})"
    assert isinstance(plan.compiled, Compiled)
    return [f"run         {days}{dollars}", f"checkpoint  {plan.compiled.checkpoint_bytes / 1e9:.1f} GB"]


def _propose(request: "Request", plan_of: "Callable[[Request], Plan]") -> int:
    """Say what fits; status 1, because what was asked for does not."""
    from t0jax.pods.search import as_flags, find_fit
    from t0jax.pods.topology import GIB

    found = find_fit(request, plan_of)
    if found is None:
        _say("nothing that was tried fits: less rows, or more chips.")
        return 1
    bindings, plan = found
    where = "" if plan.topology == request.topology else f"--topology={plan.topology.name} "
    peak, cost = getattr(plan.compiled, "peak_bytes", 0) / GIB, plan.estimate
    _say(f"this fits: {where}{as_flags(bindings)} ({peak:.2f} GiB a chip, {cost.best:.3f} to {cost.worst:.3f} s a step)")
    return 1


def _say(text: str) -> None:
    print(f"t0jax: {text}", file=sys.stderr, flush=True)
