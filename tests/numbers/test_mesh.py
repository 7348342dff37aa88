"""Meshes fit the devices or say why not; logical axes find their place."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from t0jax.config import MeshConfig, ModelConfig, OptimizerConfig
from t0jax.errors import InputError
from t0jax.mesh import RULES, check_hosts, make_mesh, place_batch, sharding_of
from t0jax.model.parameters import logical_axes
from t0jax.training.step import abstract_state


def sizes(**axes: int) -> tuple[int, ...]:
    return tuple(make_mesh(MeshConfig(**axes)).shape.values())


def test_minus_one_takes_the_devices_that_are_left() -> None:
    assert sizes() == (8, 1, 1)
    assert sizes(data=2, fsdp=-1, tensor=2) == (2, 2, 2)
    assert sizes(data=2, fsdp=4) == (2, 4, 1)


@pytest.mark.parametrize("axes", [{"data": 3}, {"data": -1, "fsdp": 3}, {"data": 16}])
def test_a_mesh_that_does_not_fit_says_so(axes: dict[str, int]) -> None:
    with pytest.raises(InputError, match="does not fit 8 devices"):
        make_mesh(MeshConfig(**axes))


def test_every_logical_axis_of_the_model_has_a_rule() -> None:
    names = {axis for axes in jax.tree.leaves(logical_axes(ModelConfig())) for axis in axes}
    assert names <= set(RULES)


def test_kernels_lie_over_fsdp_and_tensor() -> None:
    mesh = make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
    shardings = sharding_of(mesh, logical_axes(ModelConfig()))
    assert shardings["encoder"]["layers"]["mlp"]["wi_0"]["kernel"].spec == PartitionSpec(None, "fsdp", "tensor")
    assert shardings["token_embedder"]["embedding"].spec == PartitionSpec("tensor", "fsdp")


def test_a_model_that_cannot_be_split_says_so() -> None:
    mesh = make_mesh(MeshConfig(data=2, tensor=4))
    with pytest.raises(InputError, match=r"'heads' of .*rel_embedding is 6 long .* tensor=4"):
        abstract_state(ModelConfig(), OptimizerConfig(), mesh)


def test_rows_lie_over_data_and_fsdp() -> None:
    mesh = make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
    placed = place_batch(mesh, {"tokens": np.arange(8, dtype=np.int32).reshape(8, 1)})["tokens"]
    assert {shard.data.shape for shard in placed.addressable_shards} == {(2, 1)}
    with pytest.raises(InputError, match="6 rows cannot be split over data x fsdp = 4"):
        place_batch(mesh, {"tokens": np.zeros((6, 1), np.int32)})
    with pytest.raises(InputError, match=r"8 rows cannot be split over data x fsdp = 4 in 4 microbatches.*multiple of 16"):
        place_batch(mesh, {"tokens": np.zeros((8, 1), np.int32)}, microbatches=4)


def test_hosts_do_not_share_rows() -> None:
    devices = np.array([SimpleNamespace(process_index=number // 4) for number in range(8)])
    check_hosts(devices.reshape(2, 1, 4))
    with pytest.raises(InputError, match="tensor=8 lies across hosts"):
        check_hosts(devices.reshape(1, 1, 8))
