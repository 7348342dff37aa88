"""`t0jax plan --search`: many layouts of a run, and those that no other one beats."""

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from t0jax.config import Run

if TYPE_CHECKING:
    from t0jax.pods.compiler import Request
    from t0jax.pods.plan import Plan
    from t0jax.pods.topology import Topology


def run_search(run: Run, topologies: "Sequence[Topology]", plan_of: "Callable[[Request], Plan]", *, is_json: bool) -> int:
    """Compile and compare; status 1 when nothing fits."""
    from t0jax.pods.plan import as_json
    from t0jax.pods.search import as_flags, best_of, search

    found = list(search(run, topologies, plan_of))
    best = best_of([plan for _, plan in found])
    if is_json:
        for bindings, plan in found:
            print(json.dumps(as_json(plan) | {"flags": as_flags(bindings), "is_best": plan in best}))
    else:
        _print_table([plan for _, plan in found], best)
        flags = {id(plan): as_flags(bindings) for bindings, plan in found}
        for plan in best:
            print(f"* {plan.topology}: {flags[id(plan)]}")
    return 0 if best else 1


def _print_table(plans: "Sequence[Plan]", best: "Sequence[Plan]") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, caption="* no other one is both faster and cheaper, when no collective hides")
    for name in ("", "slice", "data", "fsdp", "tensor", "remat"):
        table.add_column(name)
    for name in ("GiB a chip", "s a step", "MFU %", "days", "dollars"):
        table.add_column(name, justify="right")
    for plan in plans:
        table.add_row("*" if plan in best else "", *_cells(plan))
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(table)


def _cells(plan: "Plan") -> list[str]:
    from t0jax.pods.compiler import DoesNotFit
    from t0jax.pods.topology import GIB

    mesh, compiled = plan.run.mesh, plan.compiled
    cells = [str(plan.topology), str(mesh.data), str(mesh.fsdp), str(mesh.tensor), plan.run.model.remat]
    if isinstance(compiled, DoesNotFit):
        return [*cells, f"{compiled.needed_bytes / GIB:.1f}: too many", "", "", "", ""]
    cost = plan.estimate
    bounds = (cost.best, cost.worst)
    dollars = [plan.dollars(seconds) for seconds in bounds]
    return [
        *cells,
        f"{compiled.peak_bytes / GIB:.1f}",
        " - ".join(f"{seconds:.3f}" for seconds in bounds),
        " - ".join(f"{100 * cost.mfu(seconds):.0f}" for seconds in reversed(bounds)),
        " - ".join(f"{plan.days(seconds):.2f}" for seconds in bounds),
        " - ".join(f"{some:,.0f}" for some in dollars if some is not None),
    ]
