"""Checkpoints that are not whole, not sound or not the run's: one sentence with the tensor, both shapes and the remedy."""

import dataclasses
import importlib.util
import json
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import flax.serialization
import flax.traverse_util
import numpy as np
import pytest
from tiny_checkpoint import T5_1_1, converted, write_own

from t0jax.checkpoints.conversion import destination_of
from t0jax.checkpoints.form import check_model
from t0jax.checkpoints.forms import open_form
from t0jax.errors import InputError

Tree = dict[str, np.ndarray]
WO = "encoder/layers_1/mlp/wo/kernel"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("own")
    write_own(folder)
    return folder


@pytest.fixture(scope="module")
def values(own: pathlib.Path) -> Tree:
    return {name: tensor.read() for name, tensor in open_form(own).parameters.items()}


@pytest.fixture(scope="module")
def native(own: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return pathlib.Path(converted(own, tmp_path_factory.mktemp("t5x"), "t5x").path)


@pytest.fixture(scope="module")
def theirs(own: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return pathlib.Path(converted(own, tmp_path_factory.mktemp("hf") / "model", "hf").path)


def write_native(path: pathlib.Path, target: Tree, states: Tree | None = None) -> pathlib.Path:
    unflatten = flax.traverse_util.unflatten_dict
    state = {"step": np.asarray(7, np.int32), "param_states": unflatten(states or {}, sep="/")}
    content = {"version": 3, "optimizer": {"target": unflatten(target, sep="/"), "state": state}}
    path.write_bytes(flax.serialization.msgpack_serialize(content))
    return path


def without(values: Tree) -> Tree:
    return {name: one for name, one in values.items() if name != WO}


def with_one_more(values: Tree) -> Tree:
    return values | {"encoder/layers_1/mlp/wi_2/kernel": values[WO]}


def narrower(values: Tree) -> Tree:
    return values | {WO: values[WO][:20]}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (without, rf"not whole: of {WO} the checkpoint does not have it and its own model has \(24, 16\); copy it again"),
        (with_one_more, r"wi_2/kernel the checkpoint holds \(24, 16\) and its own model does not have it; copy it again"),
        (narrower, rf"of {WO} the checkpoint holds \(20, 16\) and its own model has \(24, 16\); copy it again"),
    ],
)
def test_a_tensor_too_few_too_many_or_misshapen(
    tmp_path: pathlib.Path, values: Tree, spoil: Callable[[Tree], Tree], words: str
) -> None:
    path = write_native(tmp_path / "checkpoint", spoil(values))
    with pytest.raises(InputError, match=words):
        converted(path, tmp_path / "hf", "hf")
    assert not (tmp_path / "hf").exists()


def test_values_that_are_not_finite(tmp_path: pathlib.Path, values: Tree) -> None:
    broken = values[WO].copy()
    broken[3, :2] = np.nan, np.inf
    path = write_native(tmp_path / "checkpoint", values | {WO: broken})
    with pytest.raises(InputError, match=rf"{WO} of .*checkpoint holds 2 of 384 values that are not finite"):
        converted(path, tmp_path / "hf", "hf")
    assert not (tmp_path / "hf").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"vocab_size": 128},
            r"embedding the checkpoint holds \(160, 16\) and this run has \(128, 16\); set .*vocab_size = 160.*padded",
        ),
        (
            {"vocab_size": 192},
            r"embedding the checkpoint holds \(160, 16\) and this run has \(192, 16\); set .*vocab_size = 160",
        ),
        ({"num_encoder_layers": 3}, r"encoder/layers_2/.* the checkpoint does not have it and this run has .*`t0jax inspect`"),
        ({"logits_via_embedding": True}, r"logits_dense/kernel the checkpoint holds \(16, 160\) and this run does not have it"),
    ],
)
def test_another_model_than_the_run_s(own: pathlib.Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_model(open_form(own), dataclasses.replace(T5_1_1, **change))


def test_t5x_s_scanned_layout(tmp_path: pathlib.Path, values: Tree) -> None:
    scanned = {name: one for name, one in values.items() if "layers" not in name and "relpos" not in name}
    scanned["encoder/encoder/relpos_bias/rel_embedding"] = np.ones((2, 2, 32), np.float32)
    path = write_native(tmp_path / "checkpoint", scanned)
    with pytest.raises(InputError, match=r"lacks encoder/relpos_bias/rel_embedding.*scalable_t5.*give an unscanned one"):
        converted(path, tmp_path / "hf", "hf")


def test_momentum_and_incomplete_statistics(tmp_path: pathlib.Path, own: pathlib.Path, values: Tree) -> None:
    states = {name: tensor.read() for name, tensor in open_form(own).slots.items()}
    path = write_native(tmp_path / "checkpoint", values, states | {f"{WO}/m": values[WO]})
    with pytest.raises(InputError, match=rf"trained with momentum \({WO}/m is \(24, 16\)\).*--without_optimizer"):
        converted(path, tmp_path / "t5x", "t5x")
    del states[f"{WO}/v_col"]
    path = write_native(tmp_path / "checkpoint", values, states)
    with pytest.raises(InputError, match=rf"but not v_col of {WO}: copy it again, or leave the statistics"):
        converted(path, tmp_path / "t5x", "t5x")


def truncated(path: pathlib.Path, copy: pathlib.Path, keep: float) -> pathlib.Path:
    raw = path.read_bytes()
    copy.write_bytes(raw[: int(len(raw) * keep)])
    return copy


@pytest.mark.parametrize("keep", [0.999, 0.5, 0.001])
def test_a_truncated_index_of_t5x(tmp_path: pathlib.Path, values: Tree, keep: float) -> None:
    path = write_native(tmp_path / "whole", values)
    with pytest.raises(InputError, match=r"is cut short|damaged|no flax checkpoint"):
        open_form(truncated(path, tmp_path / "checkpoint", keep))


@pytest.mark.parametrize("keep", [0.999, 0.5, 0.0001])
def test_a_truncated_safetensors_file(tmp_path: pathlib.Path, theirs: pathlib.Path, keep: float) -> None:
    (tmp_path / "config.json").write_text((theirs / "config.json").read_text())
    truncated(theirs / "model.safetensors", tmp_path / "model.safetensors", keep)
    with pytest.raises(InputError, match=r"model\.safetensors is cut short"):
        open_form(tmp_path)


@pytest.mark.parametrize("is_lost", [True, False], ids=["lost", "truncated"])
def test_a_chunk_that_is_lost_or_truncated_is_no_zero(
    tmp_path: pathlib.Path, own: pathlib.Path, native: pathlib.Path, is_lost: bool
) -> None:
    folder = tmp_path / "checkpoint_7"
    shutil.copytree(native, folder)
    chunk = folder / f"target.{WO.replace('/', '.')}/0.0"
    chunk.write_bytes(chunk.read_bytes()[:100])
    if is_lost:
        chunk.unlink()
    with pytest.raises(InputError, match=rf"target/{WO} at .* cannot be read, a part of it is lost or damaged .*copy"):
        converted(folder, tmp_path / "hf", "hf")
    assert not (tmp_path / "hf").exists()


def test_a_missing_shard_and_a_foreign_model(tmp_path: pathlib.Path, theirs: pathlib.Path) -> None:
    config = json.loads((theirs / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config))
    index = {"weight_map": {"shared.weight": "model-00001-of-00002.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(
        InputError, match=r"lacks model-00001-of-00002.safetensors, which its model.safetensors.index.json names"
    ):
        open_form(tmp_path)
    (tmp_path / "model.safetensors.index.json").rename(tmp_path / "hidden")
    (tmp_path / "model.safetensors").write_bytes((theirs / "model.safetensors").read_bytes())
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "bart"}))
    with pytest.raises(InputError, match="is a 'bart' model; only 't5' is read"):
        open_form(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"feed_forward_proj": "gated-silu"}))
    with pytest.raises(InputError, match=r"feed_forward_proj 'gated-silu'; T5's are relu, gated-gelu"):
        open_form(tmp_path)


def test_what_is_no_checkpoint_says_what_was_looked_for(tmp_path: pathlib.Path) -> None:
    with pytest.raises(InputError, match="There is no checkpoint at"):
        open_form(tmp_path / "nowhere")
    if importlib.util.find_spec("gcsfs") is None and importlib.util.find_spec("tensorflow") is None:
        with pytest.raises(InputError, match=r"gs://bucket/a cannot be reached from this installation: .*gcsfs"):
            open_form("gs://bucket/a")
    with pytest.raises(InputError, match=r"holds no whole checkpoint: looked for .*t5x.*Hugging Face"):
        open_form(tmp_path)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "model.ckpt-1000000"')
    with pytest.raises(InputError, match=r"is a TensorFlow checkpoint of Mesh TensorFlow's T5: convert it with t5x"):
        open_form(tmp_path)
    with pytest.raises(InputError, match="is an unfinished conversion"):
        (tmp_path / "a.converting").mkdir()
        open_form(tmp_path / "a.converting")


def test_destinations_that_cannot_be(tmp_path: pathlib.Path, own: pathlib.Path) -> None:
    with pytest.raises(InputError, match=r"is there already: give another destination"):
        destination_of(str(own), "orbax", 7)
    with pytest.raises(InputError, match=r"named checkpoint_9, but the checkpoint is at step 7: name it checkpoint_7"):
        destination_of(str(tmp_path / "checkpoint_9"), "t5x", 7)
    with pytest.raises(InputError, match=r"gs://bucket/a is in a bucket: convert to a folder here"):
        destination_of("gs://bucket/a", "hf", 7)
