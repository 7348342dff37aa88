"""Checkpoints between t0jax, t5x and Hugging Face: every way round, to the bit."""

import hashlib
import json
import math
import pathlib
from typing import Any

import flax.serialization
import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from flax.traverse_util import flatten_dict
from tiny_checkpoint import FACTORED, T5_1_0, T5_1_1, assert_same, converted, write_own

from t0jax.checkpoints import to_hf
from t0jax.checkpoints.forms import open_form
from t0jax.checkpoints.passport import read_passport
from t0jax.config import ModelConfig


@pytest.mark.parametrize("model", [T5_1_1, T5_1_0], ids=["T5 1.1", "T5 1.0"])
def test_round_trips_through_every_form_are_bit_equal(tmp_path: pathlib.Path, model: ModelConfig) -> None:
    write_own(tmp_path / "own", model)
    own = open_form(tmp_path / "own")
    native = converted(tmp_path / "own", tmp_path / "t5x", "t5x")
    assert_same(own, native)
    assert_same(own, converted(tmp_path / "t5x", tmp_path / "again", "orbax", scan=False))
    assert_same(own, converted(tmp_path / "again", tmp_path / "stacked", "orbax"))
    theirs = converted(tmp_path / "t5x", tmp_path / "hf", "hf")
    assert_same(own, theirs, with_slots=False)
    assert_same(own, converted(tmp_path / "hf", tmp_path / "back", "orbax"), with_slots=False)
    assert_same(own, converted(tmp_path / "hf", tmp_path / "native", "t5x"), with_slots=False)
    for form in (own, native, theirs):
        assert form.model == model.__class__(**{**vars(model), "dropout_rate": form.model.dropout_rate, "scan_layers": True})
        assert form.step == 7


def test_a_relative_path_is_opened(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_own(tmp_path / "own", T5_1_1)
    monkeypatch.chdir(tmp_path)
    assert_same(open_form("own"), open_form(tmp_path / "own"))


def test_factored_statistics_go_to_t5x_and_back(tmp_path: pathlib.Path) -> None:
    write_own(tmp_path / "own", FACTORED)
    native = converted(tmp_path / "own", tmp_path / "t5x", "t5x")
    assert native.slots["token_embedder/embedding/v_row"].shape == (128,)
    assert native.slots["token_embedder/embedding/v_col"].shape == (160,)
    assert_same(native, converted(tmp_path / "t5x", tmp_path / "back", "orbax"))
    assert_same(native, open_form(tmp_path / "own"))


def raw_safetensors(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The format by its specification, independent of the reader under test."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    assert header.pop("__metadata__") == {"format": "pt"}
    found = {}
    for name, entry in header.items():
        assert entry["dtype"] == "F32"
        begin, end = (8 + length + at for at in entry["data_offsets"])
        found[name] = np.frombuffer(raw[begin:end], np.float32).reshape(entry["shape"])
    return found


def test_hugging_face_s_names_and_orientation(tmp_path: pathlib.Path) -> None:
    params = write_own(tmp_path / "own").params
    converted(tmp_path / "own", tmp_path / "hf", "hf")
    stored = raw_safetensors(tmp_path / "hf/model.safetensors")
    encoder, decoder = params["encoder"]["layers"], params["decoder"]["layers"]
    golden: dict[str, Any] = {
        "shared.weight": params["token_embedder"]["embedding"],
        "lm_head.weight": params["decoder"]["logits_dense"]["kernel"].T,
        "encoder.block.1.layer.0.SelfAttention.q.weight": encoder["attention"]["query"]["kernel"][1].T,
        "encoder.block.1.layer.0.SelfAttention.o.weight": encoder["attention"]["out"]["kernel"][1].T,
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": params["encoder"]["relpos_bias"][
            "rel_embedding"
        ].T,
        "encoder.block.0.layer.0.layer_norm.weight": encoder["pre_attention_layer_norm"]["scale"][0],
        "encoder.block.1.layer.1.DenseReluDense.wi_1.weight": encoder["mlp"]["wi_1"]["kernel"][1].T,
        "encoder.block.1.layer.1.layer_norm.weight": encoder["pre_mlp_layer_norm"]["scale"][1],
        "encoder.final_layer_norm.weight": params["encoder"]["encoder_norm"]["scale"],
        "decoder.block.2.layer.0.SelfAttention.k.weight": decoder["self_attention"]["key"]["kernel"][2].T,
        "decoder.block.2.layer.1.EncDecAttention.v.weight": decoder["encoder_decoder_attention"]["value"]["kernel"][2].T,
        "decoder.block.2.layer.1.layer_norm.weight": decoder["pre_cross_attention_layer_norm"]["scale"][2],
        "decoder.block.2.layer.2.DenseReluDense.wo.weight": decoder["mlp"]["wo"]["kernel"][2].T,
        "decoder.block.2.layer.2.layer_norm.weight": decoder["pre_mlp_layer_norm"]["scale"][2],
    }
    for name, values in golden.items():
        np.testing.assert_array_equal(stored[name], np.asarray(values), err_msg=name)
    # 2 layers of 9 tensors and 3 of 14, a bias and a norm for each stack, the embedding, the logits
    assert len(stored) == 2 * 9 + 3 * 14 + 4 + 2


def test_t5x_s_files_are_as_t5x_writes_them(tmp_path: pathlib.Path) -> None:
    state = write_own(tmp_path / "own", FACTORED)
    folder = pathlib.Path(converted(tmp_path / "own", tmp_path / "t5x", "t5x").path)
    assert folder.name == "checkpoint_7"
    index = flax.serialization.msgpack_restore((folder / "checkpoint").read_bytes())
    assert index["version"] == 3
    leaves = flatten_dict(index["optimizer"]["state"]["param_states"]["token_embedder"])
    row = state.opt_state.v_row["token_embedder"]["embedding"]
    np.testing.assert_array_equal(leaves["embedding", "v_row"], np.asarray(row))
    assert leaves["embedding", "m"].shape == leaves["embedding", "v"].shape == (1,)
    assert int(index["optimizer"]["state"]["step"]) == 7
    spec = index["optimizer"]["target"]["encoder"]["layers_0"]["mlp"]["wo"]["kernel"]
    assert spec["kvstore"] == {"driver": "file", "path": "target.encoder.layers_0.mlp.wo.kernel/"}
    zarr = json.loads((folder / spec["kvstore"]["path"] / ".zarray").read_text())
    assert (zarr["dtype"], zarr["compressor"], zarr["dimension_separator"]) == ("<f4", None, ".")
    assert zarr["shape"] == spec["metadata"]["shape"] == [24, 128]


def test_without_statistics_t5x_gets_fresh_ones(tmp_path: pathlib.Path) -> None:
    write_own(tmp_path / "own", FACTORED)
    converted(tmp_path / "own", tmp_path / "hf", "hf")
    native = converted(tmp_path / "hf", tmp_path / "t5x", "t5x")
    like = open_form(tmp_path / "own").slots
    assert {name: tensor.shape for name, tensor in native.slots.items()} == {name: one.shape for name, one in like.items()}
    assert not any(tensor.read().any() for tensor in native.slots.values())
    passport = read_passport(native.path)
    assert passport is not None
    assert passport["statistics"] == "fresh (zeros)"
    assert passport["came_from"]["source"]["path"] == str(open_form(tmp_path / "own").path)


def test_shards_hold_all_tensors_once_and_none_is_too_large(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(to_hf, "_SHARD_BYTES", 20_000)
    write_own(tmp_path / "own")
    theirs = converted(tmp_path / "own", tmp_path / "hf", "hf")
    shards = sorted((tmp_path / "hf").glob("*.safetensors"))
    assert len(shards) > 2
    assert shards[0].name == f"model-00001-of-{len(shards):05d}.safetensors"
    index = json.loads((tmp_path / "hf/model.safetensors.index.json").read_text())
    stored = {name: (shard.name, values) for shard in shards for name, values in raw_safetensors(shard).items()}
    assert index["weight_map"] == {name: shard for name, (shard, _) in stored.items()}
    sizes = {shard.name: sum(v.nbytes for at, v in stored.values() if at == shard.name) for shard in shards}
    assert max(sizes.values()) <= 20_000
    assert index["metadata"]["total_size"] == sum(sizes.values())
    assert_same(theirs, open_form(tmp_path / "own"), with_slots=False)


def test_bfloat16_is_rounded_to_the_nearest_and_said_so(tmp_path: pathlib.Path) -> None:
    write_own(tmp_path / "own")
    own = open_form(tmp_path / "own")
    for kind in ("hf", "t5x", "orbax"):
        form = converted(tmp_path / "own", tmp_path / kind, kind, dtype="bfloat16")  # type: ignore[arg-type]
        for name, tensor in form.parameters.items():
            assert tensor.dtype.name == "bfloat16"
            wide, exact = tensor.read().astype(np.float32), own.parameters[name].read()
            assert (np.abs(wide - exact) <= np.abs(exact) * 2**-8).all(), "half of bfloat16's last place"
        passport = read_passport(form.path)
        assert passport is not None
        assert passport["tensors"]["token_embedder/embedding"]["source_dtype"] == "float32"
        assert not passport["logits"]["are_equal"]
    assert_same(form, converted(tmp_path / "hf", tmp_path / "back", "orbax", dtype="bfloat16"), with_slots=False)


def test_t5x_s_own_checkpoint_reads_as_flax_reads_it(shared_models: pathlib.Path) -> None:
    path = shared_models / "t5x_tiny_checkpoint/test_t5_tiny.checkpoint_0"
    form = open_form(path)
    golden = flax.serialization.msgpack_restore(path.read_bytes())["optimizer"]
    for name, values in flatten_dict(golden["target"], sep="/").items():
        np.testing.assert_array_equal(form.parameters[name].read(), values, err_msg=name)
    states = flatten_dict(golden["state"]["param_states"], sep="/")
    for name, tensor in form.slots.items():
        np.testing.assert_array_equal(tensor.read(), states[name], err_msg=name)
    assert sum(tensor.size for tensor in form.parameters.values()) == 518_240
    assert (form.model.num_heads, form.model.head_dim, form.model.vocab_size) == (4, 3, 32_128)


def test_arrays_that_flax_writes_in_chunks_are_one_again(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_own(tmp_path / "own")
    own = open_form(tmp_path / "own")
    tree = flax.traverse_util.unflatten_dict({name: tensor.read() for name, tensor in own.parameters.items()}, sep="/")
    monkeypatch.setattr(flax.serialization, "MAX_CHUNK_SIZE", 1000)
    content = {"version": 3, "optimizer": {"target": tree, "state": {"step": np.asarray(7, np.int32), "param_states": {}}}}
    (tmp_path / "checkpoint").write_bytes(flax.serialization.msgpack_serialize(content))
    form = open_form(tmp_path / "checkpoint")
    assert_same(form, own, with_slots=False)
    part = form.parameters["token_embedder/embedding"].read((slice(30, 50), slice(3, 9)))
    np.testing.assert_array_equal(part, own.parameters["token_embedder/embedding"].read()[30:50, 3:9])


def test_t5x_s_orbax_form_is_read(tmp_path: pathlib.Path) -> None:
    write_own(tmp_path / "own")
    own = open_form(tmp_path / "own")
    unflatten = flax.traverse_util.unflatten_dict
    target = unflatten({name: tensor.read() for name, tensor in own.parameters.items()}, sep="/")
    states = {name: tensor.read() for name, tensor in own.slots.items()}
    states |= {f"{name}/m": np.zeros(1, np.float32) for name in own.parameters}
    tree = {"target": target, "state": {"step": np.int32(7), "param_states": unflatten(states, sep="/")}}
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler(use_ocdbt=True)) as checkpointer:
        checkpointer.save(tmp_path / "t5x/checkpoint_7/state", jax.tree.map(jax.numpy.asarray, tree))
    form = open_form(tmp_path / "t5x")
    assert (form.kind, form.step) == ("t5x", 7)
    assert_same(form, own)


def test_the_passport_says_where_every_tensor_came_from(tmp_path: pathlib.Path) -> None:
    write_own(tmp_path / "own")
    passport = read_passport(converted(tmp_path / "own", tmp_path / "t5x", "t5x").path)
    assert passport is not None
    assert passport["source"]["step"] == passport["step"] == 7
    assert passport["recipe"] == (tmp_path / "own/checkpoint_7/config.gin").read_text() == "# how it was trained\n"
    assert passport["logits"]["compared"] and passport["logits"]["are_equal"]
    assert math.isfinite(passport["logits"]["largest_logit"])
    own = open_form(tmp_path / "own")
    assert passport["tensors"].keys() == own.parameters.keys() | own.slots.keys()
    entry = passport["tensors"]["decoder/decoder_norm/scale"]
    values = own.parameters["decoder/decoder_norm/scale"].read()
    assert entry == {"shape": [16], "dtype": "float32", "sha256": hashlib.sha256(values.tobytes()).hexdigest()}
