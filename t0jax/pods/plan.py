"""From what the compiler says to what a person asks: does it fit, how long does it take, what does it cost."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from t0jax.config import Run
from t0jax.model.flops import forward_flops, step_flops
from t0jax.pods.compiler import Compiled, DoesNotFit, Request, compile_step
from t0jax.pods.hlo import Program
from t0jax.pods.topology import GIB, Topology
from t0jax.training.throughput import peak_flops

HOUR, DAY = 3600.0, 86400.0


@dataclass(frozen=True)
class Estimate:
    """How long a step takes, in seconds, by the compiler's cycles and the bytes of its collectives."""

    compute: float
    ici: float
    dcn: float
    ideal: float
    """Model FLOPs at the chips' peak."""

    @property
    def best(self) -> float:
        """Collectives hide behind what is computed, as far as they can."""
        return max(self.compute, self.ici, self.dcn)

    @property
    def worst(self) -> float:
        """Nothing hides."""
        return self.compute + self.ici + self.dcn

    def mfu(self, seconds: float) -> float:
        """Model FLOPs utilisation of a step that takes so long."""
        return self.ideal / seconds


@dataclass(frozen=True)
class Plan:
    """One run on one topology."""

    run: Run
    topology: Topology
    steps: int
    """Of training that are to be done; of an evaluation batches, 1."""
    price: float | None
    """Dollars of a chip and hour."""
    compiled: Compiled | DoesNotFit
    is_evaluation: bool = False

    @property
    def fits(self) -> bool:
        """Whether the compiler found room."""
        return isinstance(self.compiled, Compiled)

    @property
    def flops(self) -> int:
        """Model FLOPs of a step on all chips; of an evaluation's batch one forward pass."""
        data = self.run.data
        lengths = data.task_feature_lengths
        count = forward_flops if self.is_evaluation else step_flops
        return count(self.run.model, data.batch_size, lengths["inputs"], lengths["targets"])

    @property
    def estimate(self) -> Estimate:
        """Of a step."""
        assert isinstance(self.compiled, Compiled)
        return estimate(self.compiled.program, self.topology, self.flops)

    def days(self, seconds: float) -> float:
        """Of all steps, if each takes so many seconds: no start-up, no compilation, no saving that is not hidden."""
        return self.steps * seconds / DAY

    def dollars(self, seconds: float) -> float | None:
        """Of all steps on all chips."""
        return None if self.price is None else self.days(seconds) * 24 * self.topology.chips * self.price


def estimate(program: Program, topology: Topology, flops: int) -> Estimate:
    """Seconds of a step: cycles by the clock, bytes by the links. What a Pallas kernel takes is not in the program's cycles."""
    chip = topology.chip
    peak = peak_flops(chip.device_kind)
    assert peak is not None, chip.device_kind
    return Estimate(
        compute=program.cycles / (chip.clock_ghz * 1e9),
        ici=sum(program.ici_bytes.values()) / chip.ici_bytes,
        dcn=program.dcn_bytes / chip.dcn_bytes,
        ideal=flops / topology.chips / peak,
    )


def make_plan(request: Request, steps: int, price: float | None) -> Plan:
    """Compile and plan."""
    return Plan(request.run, request.topology, steps, price, compile_step(request), request.is_evaluation)


def memory(compiled: Compiled) -> dict[str, int]:
    """What fills a chip's memory at its peak, in bytes: what is kept, and what a step needs besides."""
    kept = {**compiled.state_bytes, "batch": compiled.batch_bytes}
    return {**kept, "gradients, activations and workspace": max(compiled.peak_bytes - sum(kept.values()), 0)}


def cycles_by_part(program: Program) -> dict[str, int]:
    """The compiler's cycles by part of the network and direction, the largest first."""
    parts: Counter[str] = Counter()
    for name, cycles in program.cycles_of.items():
        parts[_part(name)] += cycles
    return dict(parts.most_common())


_DIRECTIONS = (("rematted_computation", "recomputed"), ("transpose(", "backward"), ("jvp(", "forward"))
_PARTS = (
    "encoder_decoder_attention",
    "self_attention",
    "attention",
    "mlp",
    "layer_norm",
    "relpos_bias",
    "token_embedder",
    "logits",
)


def _part(name: str) -> str:
    """`forward encoder attention`, of an operation's name in JAX."""
    direction = next((word for mark, word in _DIRECTIONS if mark in name), None)
    if direction is None:
        return "optimizer and the rest"
    stack = next((word for word in ("encoder/", "decoder/") if word in name), "").rstrip("/")
    part = next((part for part in _PARTS if part in name), "the rest")
    return " ".join(filter(None, (direction, stack, part)))


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan as JSON values: bytes, seconds, shares of 1, days and dollars."""
    topology, run = plan.topology, plan.run
    said: dict[str, Any] = {
        "topology": topology.name,
        "accelerator_type": topology.accelerator_type,
        "num_slices": topology.slices,
        "chips": topology.chips,
        "hosts": topology.hosts,
        "mesh": {"data": run.mesh.data, "fsdp": run.mesh.fsdp, "tensor": run.mesh.tensor},
        "remat": run.model.remat,
        "batch_size": run.data.batch_size,
        "microbatches": run.train.microbatches,
        "fits": plan.fits,
        "hbm_bytes": round(topology.chip.hbm_gib * GIB),
        "compile_seconds": round(plan.compiled.compile_seconds, 1),
        "model_flops": plan.flops,
    }
    if isinstance(plan.compiled, DoesNotFit):
        return said | {"needed_bytes": plan.compiled.needed_bytes}
    program, cost = plan.compiled.program, plan.estimate
    bounds = {"best": cost.best, "worst": cost.worst}
    return said | {
        "peak_bytes": plan.compiled.peak_bytes,
        "memory": memory(plan.compiled),
        "cycles": program.cycles,
        "cycles_by_part": cycles_by_part(program),
        "kernel_calls": dict(program.kernels),
        "collective_bytes": dict(program.ici_bytes) | ({"between slices": program.dcn_bytes} if topology.slices > 1 else {}),
        "seconds": {
            "ideal": cost.ideal,
            "compute": cost.compute,
            "collectives": cost.ici,
            "between_slices": cost.dcn,
            **bounds,
        },
        "mfu": _each(bounds, cost.mfu),
        "steps": plan.steps,
        "days": _each(bounds, plan.days),
        "dollars": _each(bounds, plan.dollars),
        "price_per_chip_hour": plan.price,
        "checkpoint_bytes": plan.compiled.checkpoint_bytes,
    }


def _each(bounds: Mapping[str, float], of: Any) -> dict[str, Any]:
    return {name: of(seconds) for name, seconds in bounds.items()}
