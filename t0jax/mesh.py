"""Devices on three axes, one table from logical axes to mesh axes, and the start of a run on many hosts."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from t0jax.config import MeshConfig
from t0jax.errors import InputError

AXES = ("data", "fsdp", "tensor")

RULES: Mapping[str, str | tuple[str, ...] | None] = {
    "batch": ("data", "fsdp"),
    "length": None,
    "vocab": "tensor",
    "embed": "fsdp",
    "mlp": "tensor",
    "joined_kv": "tensor",
    "heads": "tensor",
    "relpos_buckets": None,
    "layers": None,
}
"""Along which axes of the mesh each logical axis is split."""


def make_mesh(config: MeshConfig, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """All devices (or these) as data x fsdp x tensor; an InputError when the sizes do not multiply to their number."""
    devices = jax.devices() if devices is None else list(devices)
    sizes = [config.data, config.fsdp, config.tensor]
    given = math.prod(size for size in sizes if size != -1)
    if -1 in sizes and len(devices) % given == 0:
        sizes[sizes.index(-1)] = len(devices) // given
    if math.prod(sizes) != len(devices):
        named = ", ".join(f"{axis}={size}" for axis, size in zip(AXES, sizes, strict=True))
        raise InputError(
            f"A mesh of {named} does not fit {len(devices)} devices: set MeshConfig so that the sizes multiply to "
            f"{len(devices)}, or one of them to -1."
        )
    slices = len({getattr(device, "slice_index", 0) for device in devices if device.platform == "tpu"})
    if slices > 1:
        return _across_slices(sizes, slices, devices)
    return jax.make_mesh(tuple(sizes), AXES, axis_types=(AxisType.Auto,) * len(AXES), devices=devices)


def _across_slices(sizes: Sequence[int], slices: int, devices: Sequence[jax.Device]) -> Mesh:
    """Only the axis `data` crosses slices: between them gradients travel, once a step, and nothing else."""
    data, *inside = sizes
    if data % slices:
        raise InputError(
            f"MeshConfig.data={data} does not divide over {slices} slices, between which only data parallelism goes: "
            f"make it a multiple of {slices}, as in --gin.MeshConfig.data={slices}."
        )
    layout = mesh_utils.create_hybrid_device_mesh((data // slices, *inside), (slices, 1, 1), devices)
    return Mesh(layout, AXES, axis_types=(AxisType.Auto,) * len(AXES))


def check_hosts(devices: np.ndarray) -> None:
    """An InputError when devices that share rows (the last axis of the mesh) are of several hosts, which read apart."""
    for group in devices.reshape(-1, devices.shape[-1]):
        if len({device.process_index for device in group}) > 1:
            raise InputError(
                f"MeshConfig.tensor={len(group)} lies across hosts, each of which reads rows of its own: choose a divisor of "
                "the devices of one host."
            )


def _spec(axes: Sequence[str | None]) -> PartitionSpec:
    return PartitionSpec(*(None if axis is None else RULES[axis] for axis in axes))


def sharding_of(mesh: Mesh, logical_axes: Any) -> Any:
    """A tree of PartitionSpecs of logical names as the tree of their shardings on this mesh."""
    return jax.tree.map(lambda axes: NamedSharding(mesh, _spec(axes)), logical_axes)


def check_divides(mesh: Mesh, abstract: Any, logical_axes: Any) -> None:
    """An InputError naming the first dimension that cannot be split evenly over the mesh."""

    def leaf(path: Any, axes: PartitionSpec, array: Any) -> None:
        for axis, size in zip(axes, array.shape, strict=True):
            over = RULES[axis] if axis is not None else None
            parts = mesh.shape[over] if isinstance(over, str) else 1
            if size % parts:
                name = "/".join(str(getattr(part, "key", getattr(part, "name", part))) for part in path)
                raise InputError(
                    f"The axis '{axis}' of {name} is {size} long and cannot be split over {over}={parts}: "
                    f"choose MeshConfig.{over} among the divisors of {size}."
                )

    jax.tree_util.tree_map_with_path(leaf, logical_axes, abstract)


def constrain_to(mesh: Mesh) -> Callable[[Array, tuple[str | None, ...]], Array]:
    """The function that lays activations out over this mesh by the logical names of their axes."""
    if mesh.size == 1:
        return lambda array, axes: array
    return lambda array, axes: jax.lax.with_sharding_constraint(array, NamedSharding(mesh, _spec(axes)))


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Rows over data and fsdp, whole rows on each device."""
    return NamedSharding(mesh, _spec(("batch",)))


def replicated(mesh: Mesh) -> NamedSharding:
    """The same on every device."""
    return NamedSharding(mesh, PartitionSpec())


def place_batch(mesh: Mesh, batch: Mapping[str, np.ndarray], microbatches: int = 1) -> dict[str, Array]:
    """This process's rows of a global batch as global arrays on the mesh; an InputError when rows do not divide."""
    check_rows(mesh, len(next(iter(batch.values()))) * jax.process_count(), microbatches)
    sharding = batch_sharding(mesh)
    return {name: jax.make_array_from_process_local_data(sharding, value) for name, value in batch.items()}


def check_rows(mesh: Mesh, rows: int, microbatches: int = 1) -> None:
    """An InputError when a global batch of `rows` does not divide over the mesh, in that many parts."""
    ways = mesh.shape["data"] * mesh.shape["fsdp"]
    if rows % (ways * microbatches):
        parts = f" in {microbatches} microbatches" if microbatches > 1 else ""
        raise InputError(
            f"A batch of {rows} rows cannot be split over data x fsdp = {ways}{parts}: make batch_size a multiple of "
            f"{ways * microbatches}."
        )


def start_distributed() -> None:
    """Join the other processes of a run when the environment asks for it; nothing for a run of one process.

    Asked for by T0JAX_DISTRIBUTED=1 (the platform knows the rest, as on a TPU pod) or by JAX_COORDINATOR_ADDRESS,
    JAX_NUM_PROCESSES and JAX_PROCESS_ID. Must come before the first use of a device.
    """
    address = os.environ.get("JAX_COORDINATOR_ADDRESS")
    if address is not None:
        count, index = os.environ.get("JAX_NUM_PROCESSES"), os.environ.get("JAX_PROCESS_ID")
        if count is None or index is None:
            raise InputError(
                "JAX_COORDINATOR_ADDRESS is set, but not both of JAX_NUM_PROCESSES and JAX_PROCESS_ID: set all three."
            )
        jax.distributed.initialize(address, int(count), int(index))
    elif os.environ.get("T0JAX_DISTRIBUTED") == "1":
        jax.distributed.initialize()
