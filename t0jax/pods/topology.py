"""TPU slices by name: `v5p:2x2x4`, or the accelerator type `v5p-32`; what a chip has, which shapes there are."""

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from t0jax.errors import InputError, did_you_mean

GIB = 2**30


@dataclass(frozen=True)
class Chip:
    """One TPU chip, which is one JAX device. Sources: Google's pages on each generation; libtpu for what programs may use."""

    name: str
    device_kind: str
    """As JAX names it; training/throughput.py has its peak."""
    hbm_gib: float
    """What the compiler lets a program use."""
    clock_ghz: float
    """Peak FLOP/s by FLOPs a cycle of the matrix units: turns the compiler's cycles into seconds."""
    ici_bytes: float
    """Bytes a second that collectives move through a chip, in one direction: nine tenths of half the documented rate."""
    dcn_bytes: float
    """Bytes a second of a chip's share in its host's network, between slices."""
    dimensions: int
    most_chips: int
    """Of one slice."""
    type_prefix: str
    """Of the accelerator type, such as v5litepod-16."""
    cores: int
    """That the accelerator type counts for one chip."""
    chips_per_host: int = 4


CHIPS: Mapping[str, Chip] = {
    chip.name: chip
    for chip in (
        Chip("v4", "TPU v4", 30.75, 1.05, 135e9, 6.25e9, 3, 4096, "v4", 2),
        Chip("v5e", "TPU v5 lite", 15.75, 1.5, 90e9, 3.125e9, 2, 256, "v5litepod", 1),
        Chip("v5p", "TPU v5", 95.74, 1.75, 270e9, 6.25e9, 3, 6144, "v5p", 2),
        Chip("v6e", "TPU v6 lite", 31.25, 1.75, 180e9, 12.5e9, 2, 256, "v6e", 1),
    )
}
"""By the name in front of a topology. v4's network is not published: it counts as v5p's."""

_SMALL = {2: ("2x2", "2x4", "4x4", "4x8", "8x8", "8x16", "16x16"), 3: ("2x2x1", "2x2x2", "2x2x4", "2x4x4")}


@dataclass(frozen=True)
class Topology:
    """`slices` equal slices of TPU chips."""

    chip: Chip
    shape: tuple[int, ...]
    slices: int = 1

    @property
    def name(self) -> str:
        """Of one slice, as JAX and libtpu write it."""
        return f"{self.chip.name}:{'x'.join(map(str, self.shape))}"

    @property
    def accelerator_type(self) -> str:
        """Of one slice, as Google Cloud writes it."""
        return f"{self.chip.type_prefix}-{math.prod(self.shape) * self.chip.cores}"

    @property
    def chips(self) -> int:
        """Of all slices."""
        return math.prod(self.shape) * self.slices

    @property
    def hosts(self) -> int:
        """VMs of all slices, each of which runs one process. Flat slices of up to 8 chips are one VM."""
        each = self.chips // self.slices
        is_one = self.chip.dimensions == 2 and each <= 8
        return self.slices * (1 if is_one else each // self.chip.chips_per_host)

    def __str__(self) -> str:
        return self.name if self.slices == 1 else f"{self.slices} x {self.name}"


def parse_topology(text: str, slices: int = 1) -> Topology:
    """The topology that `v5p:2x2x4` or `v5p-32` names; an InputError for one that does not exist names the nearest that do."""
    if slices < 1:
        raise InputError(f"--num_slices is {slices}; it must be above 0.")
    as_shape, as_type = re.fullmatch(r"(\w+):(\d+(?:x\d+)*)", text), re.fullmatch(r"(\w+)-(\d+)", text)
    if as_shape:
        chip = _chip(as_shape[1], text)
        shape = tuple(map(int, as_shape[2].split("x")))
        if not _exists(chip, shape):
            raise InputError(f"There is no slice {text}: of {math.prod(shape)} chips. {_offer(chip, math.prod(shape))}")
        return Topology(chip, shape, slices)
    if as_type:
        chip = _chip(as_type[1], text)
        for shape in shapes(chip):
            if math.prod(shape) * chip.cores == int(as_type[2]):
                return Topology(chip, shape, slices)
        raise InputError(f"There is no accelerator type {text}. {_offer(chip, int(as_type[2]) // chip.cores)}")
    raise InputError(
        f"{text!r} names no TPU slice: write its shape or its accelerator type, as in v5p:2x2x4, v5p-32 or v5litepod-32."
    )


def shapes(chip: Chip) -> Iterator[tuple[int, ...]]:
    """The shapes of a chip's slices, from the smallest; of those of equal size the most compact one."""
    yield from (tuple(map(int, shape.split("x"))) for shape in _SMALL[chip.dimensions])
    if chip.dimensions == 3:
        sides = range(4, 4 * round(chip.most_chips ** (1 / 3) / 4) + 9, 4)
        cubes = sorted(itertools.combinations_with_replacement(sides, 3), key=lambda shape: (math.prod(shape), shape[-1]))
        by_size = {math.prod(shape): shape for shape in reversed(cubes)}
        yield from (by_size[size] for size in sorted(by_size) if size <= chip.most_chips)


def _chip(name: str, text: str) -> Chip:
    for chip in CHIPS.values():
        if name in (chip.name, chip.type_prefix):
            return chip
    raise InputError(f"{text!r} is of no TPU that t0jax can plan for: {', '.join(CHIPS)}.{did_you_mean(name, CHIPS)}")


def _exists(chip: Chip, shape: tuple[int, ...]) -> bool:
    if shape in shapes(chip):
        return True
    is_cubes = len(shape) == chip.dimensions == 3 and all(size % 4 == 0 and size > 0 for size in shape)
    return is_cubes and list(shape) == sorted(shape) and math.prod(shape) <= chip.most_chips


def _offer(chip: Chip, chips: int) -> str:
    """The slices of a chip next to a size."""
    known = [Topology(chip, shape) for shape in shapes(chip)]
    near = sorted(known, key=lambda one: abs(math.log(one.chips / max(chips, 1))))[:3]
    names = ", ".join(f"{one.name} ({one.accelerator_type})" for one in sorted(near, key=lambda one: one.chips))
    more = "; larger ones are of cubes, a multiple of 4 along each side, the longest side last" if chip.dimensions == 3 else ""
    return f"Near it there are {names}{more}."
