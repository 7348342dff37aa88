"""PyTorch's files, written here as torch.save lays them out: read without torch, and without running anything."""

import collections
import json
import pathlib
import pickle
import sys
import types
import zipfile
from typing import Any

import numpy as np
import pytest
from etils import epath
from tiny_checkpoint import assert_same, converted, write_own

from t0jax.checkpoints.forms import open_form
from t0jax.checkpoints.names import to_hf
from t0jax.checkpoints.torch_zip import read_torch
from t0jax.errors import InputError


def _torch_like(path: pathlib.Path, state: Any, storages: list[np.ndarray]) -> pathlib.Path:
    """A file as torch.save of 1.6 and later lays it out, written without torch."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            if isinstance(obj, types.SimpleNamespace):
                return ("storage", sys.modules["torch"].FloatStorage, str(obj.key), "cpu", storages[obj.key].size)
            return None

    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("archive/data.pkl", "w") as stream:
            Pickler(stream, protocol=2).dump(state)
        for key, storage in enumerate(storages):
            archive.writestr(f"archive/data/{key}", storage.tobytes())
    return path


@pytest.fixture
def torch_names(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The two names of torch's that a state_dict's pickle mentions."""
    utils, torch = types.ModuleType("torch._utils"), types.ModuleType("torch")
    for module, name in ((torch, "FloatStorage"), (utils, "_rebuild_tensor_v2")):
        setattr(module, name, type(name, (), {"__module__": module.__name__, "__init__": lambda self, *arguments: None}))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return utils


class _Call:
    """Pickles as a call of `function`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def test_pytorch_s_files_are_read_without_torch(tmp_path: pathlib.Path, torch_names: Any) -> None:
    storage = np.arange(60, dtype=np.float32)
    rebuild, handle = torch_names._rebuild_tensor_v2, types.SimpleNamespace(key=0)
    hooks: Any = collections.OrderedDict()
    state = collections.OrderedDict(
        plain=_Call(rebuild, handle, 10, (5, 4), (4, 1), False, hooks),
        turned=_Call(rebuild, handle, 0, (5, 4), (1, 5), False, hooks),
    )
    found = read_torch(epath.Path(_torch_like(tmp_path / "a.bin", state, [storage])))
    np.testing.assert_array_equal(found["plain"].read(), storage[10:30].reshape(5, 4))
    np.testing.assert_array_equal(found["turned"].read(), storage[:20].reshape(4, 5).T)
    np.testing.assert_array_equal(found["plain"].read((slice(1, 3), slice(2, 4))), storage[10:30].reshape(5, 4)[1:3, 2:])


def test_a_pickle_that_would_run_something_is_refused_before_it_does(tmp_path: pathlib.Path, torch_names: Any) -> None:
    witness = tmp_path / "witness"
    for function, argument in ((pathlib.Path.touch, witness), (eval, f"open({str(witness)!r}, 'w')")):
        path = _torch_like(tmp_path / "a.bin", {"weight": _Call(function, argument)}, [])
        with pytest.raises(InputError, match=r"a\.bin is refused, it asks for .*give the same model as model\.safetensors"):
            read_torch(epath.Path(path))
    assert not witness.exists()
    outside = _Call(torch_names._rebuild_tensor_v2, types.SimpleNamespace(key=0), 50, (5, 4), (4, 1), False, None)
    path = _torch_like(tmp_path / "b.bin", {"weight": outside}, [np.zeros(60, np.float32)])
    with pytest.raises(InputError, match="a tensor of 20 numbers at 50 in a storage of 60"):
        read_torch(epath.Path(path))
    path.write_bytes(b"\x80\x02 before torch 1.6")
    with pytest.raises(InputError, match=r"no zip file .*older than torch 1\.6"):
        read_torch(epath.Path(path))


def test_sharded_pytorch_files_are_one_model(tmp_path: pathlib.Path, torch_names: Any) -> None:
    write_own(tmp_path / "own")
    own = open_form(tmp_path / "own")
    converted(tmp_path / "own", tmp_path / "hf", "hf")
    stored = {}
    for name, tensor in own.parameters.items():
        theirs, is_transposed = to_hf(name)
        stored[theirs] = np.ascontiguousarray(tensor.read().T if is_transposed else tensor.read())
    (tmp_path / "hf/model.safetensors").unlink()
    weight_map = {}
    for number in (1, 2):
        shard = f"pytorch_model-{number:05d}-of-00002.bin"
        names = sorted(stored)[number - 1 :: 2]
        state: Any = collections.OrderedDict()
        for key, name in enumerate(names):
            shape = stored[name].shape
            strides = tuple(step // 4 for step in stored[name].strides)
            handle = types.SimpleNamespace(key=key)
            state[name] = _Call(torch_names._rebuild_tensor_v2, handle, 0, shape, strides, False, None)
        _torch_like(tmp_path / "hf" / shard, state, [stored[name] for name in names])
        weight_map |= dict.fromkeys(names, shard)
    (tmp_path / "hf/pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert_same(open_form(tmp_path / "hf"), own, with_slots=False)
