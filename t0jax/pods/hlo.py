"""What a compiled TPU program costs, read from its text: the compiler's cycles, and the bytes that collectives move.

Loops are counted by their trip counts, which `cost_analysis()` does not do. An operation's `estimated_cycles` stand in its
line; collectives and Pallas kernels have none.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

COLLECTIVES = ("all-gather", "all-reduce", "reduce-scatter", "all-to-all", "collective-permute")
_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2, "f64": 8, "s64": 8, "u64": 8}
_LINE = re.compile(r"\s+(?:ROOT )?%?([\w.\-]+) = (.*)")
_CALLED = re.compile(r"(?:calls|to_apply)=%?([\w.\-]+)")


@dataclass(frozen=True)
class Instruction:
    """One line of a computation."""

    name: str
    type: str
    opcode: str
    rest: str
    """Operands and attributes."""

    def sizes(self) -> list[int]:
        """Bytes of each array of the result."""
        arrays = re.findall(r"\b(pred|[a-z]+\d+)\[([\d,]*)\]", self.type)
        return [_BYTES.get(kind, 4) * math.prod(map(int, filter(None, shape.split(",")))) for kind, shape in arrays]


@dataclass
class Program:
    """One run of a compiled program, on one chip."""

    cycles: int = 0
    """Of all that is no collective and no Pallas kernel."""
    cycles_of: Counter[str] = field(default_factory=Counter)
    """By the name that JAX gave the operation."""
    ici_bytes: Counter[str] = field(default_factory=Counter)
    """That a ring moves through a chip inside a slice, by kind of collective."""
    dcn_bytes: int = 0
    """That a chip sends to other slices."""
    collectives: Counter[str] = field(default_factory=Counter)
    """How many there are, by kind."""
    kernels: Counter[str] = field(default_factory=Counter)
    """Calls of Pallas kernels by name."""


def read_program(text: str, devices: int, slices: int = 1) -> Program:
    """The costs in the text of a compiled program on `devices` chips of `slices` slices."""
    computations, entry = _computations(text)
    program = Program()
    _Walk(computations, program, devices, slices).visit(entry, 1)
    return program


@dataclass
class _Walk:
    computations: Mapping[str, list[Instruction]]
    program: Program
    devices: int
    slices: int

    def visit(self, name: str, times: int) -> None:
        """Count a computation that runs `times` times."""
        seen: set[str] = set()  # of an asynchronous collective start, steps and end are fused apart, under one channel
        for line in self.computations[name]:
            self._count(line, times)
            if line.opcode == "while":
                condition, body = (_attribute(line, key) for key in ("condition", "body"))
                self.visit(body, times * self._trips(condition))
            elif line.opcode in ("call", "conditional"):
                for called in _called(line):
                    self.visit(called, times)
            elif line.opcode == "fusion" or line.opcode.endswith("-start"):
                for called in _called(line):
                    self._count_inside(called, times, seen)
            if line.opcode.removesuffix("-start") in COLLECTIVES:
                self._count_collective(line, times, seen, is_scatter=False)

    def _trips(self, condition: str) -> int:
        """How often a loop runs: the bound that its counter is compared with."""
        bounds = [
            int(bound)
            for line in self.computations[condition]
            if line.opcode == "constant" and re.match(r"[us]32\[\]", line.type)
            for bound in re.findall(r"^(\d+)\)", line.rest)
        ]
        return max(bounds, default=1)

    def _count(self, line: Instruction, times: int) -> None:
        cycles = re.search(r'"estimated_cycles":"(\d+)"', line.rest)
        if cycles:
            self.program.cycles += times * int(cycles[1])
            named = re.search(r'op_name="([^"]*)"', line.rest)
            self.program.cycles_of[named[1] if named else line.opcode] += times * int(cycles[1])
        if line.opcode == "send" and "megascale" in line.rest:
            kind = re.search(r'_xla_megascale_transfer_type="(\w+)"', line.rest)
            others = self.slices - 1
            share = 2 * others / self.slices if kind and kind[1] == "ALL_REDUCE" else others
            self.program.dcn_bytes += round(times * share * line.sizes()[0])
        self._count_kernel(line, times)

    def _count_kernel(self, line: Instruction, times: int) -> None:
        if line.opcode == "custom-call" and '"tpu_custom_call"' in line.rest:
            self.program.kernels[re.sub(r"[.\d]+$", "", line.name)] += times

    def _count_inside(self, name: str, times: int, seen: set[str]) -> None:
        """Of a fused computation: its cycles stand at its call, but not its collectives and kernels."""
        for line in self.computations.get(name, ()):
            self._count_kernel(line, times)
            if line.opcode.removesuffix("-start") in COLLECTIVES:
                self._count_collective(line, times, seen, is_scatter="reduce-scatter" in name)
            for called in _called(line) if line.opcode == "fusion" else ():
                self._count_inside(called, times, seen)

    def _count_collective(self, line: Instruction, times: int, seen: set[str], is_scatter: bool) -> None:
        channels = re.findall(r"channel_id=(\d+)", line.rest)
        if not seen.isdisjoint(channels):
            return
        seen.update(channels)
        kind, sizes = line.opcode.removesuffix("-start"), line.sizes()
        moved = max(sizes) if line.opcode.endswith("-start") else sum(sizes)  # a start's result has the input too
        group = _group(line, self.devices)
        others = group - 1
        if kind == "all-reduce" and is_scatter:  # the compiler fuses the slice of what is kept
            kind, share = "reduce-scatter", others / group
        else:
            share = {"all-reduce": 2 * others / group, "reduce-scatter": others, "collective-permute": 1.0}.get(
                kind, others / group
            )
        self.program.ici_bytes[kind] += round(times * share * moved)
        self.program.collectives[kind] += times


def _computations(text: str) -> tuple[dict[str, list[Instruction]], str]:
    """The instructions of every computation, and the name of the one that is run."""
    computations: dict[str, list[Instruction]] = {}
    entry, current = "", ""
    for line in text.splitlines():
        head = re.match(r"(ENTRY )?%?([\w.\-]+) .*\{\s*$", line)
        if head:
            current = head[2]
            computations[current] = []
            entry = current if head[1] else entry
        elif current and (parsed := _LINE.match(line)):
            computations[current].append(_instruction(*parsed.groups()))
    return computations, entry


def _instruction(name: str, text: str) -> Instruction:
    depth = place = 0
    while text[place] != " " or depth:  # a type has spaces between the brackets of a tuple only
        depth += (text[place] in "([{") - (text[place] in ")]}")
        place += 1
    opcode, _, rest = text[place + 1 :].partition("(")
    return Instruction(name, text[:place], opcode, rest)


def _called(line: Instruction) -> Iterator[str]:
    """The computations that a line calls, of a conditional all of its branches."""
    yield from _CALLED.findall(line.rest)
    branches = re.search(r"branch_computations=\{([^}]*)\}", line.rest)
    yield from re.findall(r"%?([\w.\-]+)", branches[1]) if branches else ()
    yield from re.findall(r"(?:true|false)_computation=%?([\w.\-]+)", line.rest)


def _attribute(line: Instruction, key: str) -> str:
    found = re.search(rf"{key}=%?([\w.\-]+)", line.rest)
    assert found, f"a loop without {key}: {line.name}"
    return found[1]


def _group(line: Instruction, devices: int) -> int:
    """How many chips take part in a collective together."""
    if named := re.search(r"replica_groups=mesh\[([^\]]*)\] *\{([^}]*)\}", line.rest):
        sizes = dict(re.findall(r"'(\w+)'=(\d+)", named[1]))
        return math.prod(int(sizes[axis]) for axis in re.findall(r"'(\w+)'", named[2]))
    if counted := re.search(r"replica_groups=\[\d+,(\d+)\]", line.rest):
        return int(counted[1])
    if listed := re.search(r"replica_groups=\{\{([\d,]+)\}", line.rest):
        return len(listed[1].split(","))
    return devices
