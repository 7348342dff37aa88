"""Conversions that are killed, and how much memory they take; any form onto a mesh, and into training."""

import dataclasses
import json
import pathlib
import subprocess
import sys
from typing import Any

import jax
import numpy as np
import pytest
from tiny_checkpoint import T5_1_1, assert_same, converted, write_own
from tiny_run import NumberedFeed, tiny_run

from t0jax import cli
from t0jax.checkpoints.forms import open_form
from t0jax.checkpoints.load import read_parameters, restore_parameters
from t0jax.checkpoints.tensor import Tensor
from t0jax.cli import infer
from t0jax.cli.recipe import read_run
from t0jax.config import MeshConfig, OptimizerConfig
from t0jax.errors import InputError
from t0jax.mesh import make_mesh
from t0jax.training.loop import train
from t0jax.training.step import abstract_state

CONVERTING = """
import os, resource, signal, sys
if len(sys.argv) > 5:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[5]),) * 2)
from t0jax.checkpoints import conversion, proof
source, target, form, limit = sys.argv[1:5]
writer = conversion.WRITERS[form]
puts = []
class Counted(writer):
    def put(self, name, values):
        if len(puts) >= int(limit):
            os.kill(os.getpid(), signal.SIGKILL)
        puts.append(name)
        super().put(name, values)
conversion.WRITERS = {form: Counted}
proof.LARGEST = 0  # the logits are another test's
import jax
jax.devices()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
from t0jax.cli import main
status = main(["convert", "--from", source, "--to", target, "--format", form])
print(len(puts), before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
sys.exit(status)
"""


def convert_apart(
    source: pathlib.Path, target: pathlib.Path, form: str, limit: int, *more: int
) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", CONVERTING, str(source), str(target), form, str(limit), *map(str, more)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("own")
    write_own(folder)
    return folder


@pytest.mark.parametrize("form", ["t5x", "hf", "orbax"])
def test_a_conversion_that_is_killed_looks_never_whole_and_goes_on(
    tmp_path: pathlib.Path, own: pathlib.Path, form: str
) -> None:
    source = open_form(own)
    tensors = len(source.parameters) + (0 if form == "hf" else len(source.slots))
    target = tmp_path / "new"
    assert convert_apart(own, target, form, 30).returncode == -9
    with pytest.raises(InputError, match=r"There is no checkpoint at|holds no whole checkpoint"):
        open_form(target)
    left = next(tmp_path.rglob("*.converting"))
    for place in (left, left / target.name, left / "checkpoint_7"):
        with pytest.raises(InputError):
            open_form(place)
    done = convert_apart(own, target, form, 10_000)
    assert done.returncode == 0, done.stderr
    again = int(done.stdout.split()[-3])
    assert tensors - 30 <= again < tensors - 20, "what was finished is not done again, only what was under way"
    assert not list(tmp_path.rglob("*.converting"))
    assert_same(open_form(target), source, with_slots=form != "hf")


@pytest.mark.parametrize("form", ["hf", "orbax"])
def test_a_full_disk_is_one_sentence_and_the_conversion_goes_on(tmp_path: pathlib.Path, own: pathlib.Path, form: str) -> None:
    full = convert_apart(own, tmp_path / "new", form, 10_000, 8_000)  # no file may have more bytes than these
    assert full.returncode == 2, full.stderr
    assert "could not be written" in full.stderr and "give the same command again" in full.stderr
    assert "Traceback" not in full.stderr
    assert convert_apart(own, tmp_path / "new", form, 10_000).returncode == 0
    assert_same(open_form(tmp_path / "new"), open_form(own), with_slots=form != "hf")


def test_the_remains_of_another_conversion_are_not_taken(tmp_path: pathlib.Path) -> None:
    write_own(tmp_path / "a")
    write_own(tmp_path / "b", dataclasses.replace(T5_1_1, emb_dim=24))
    assert convert_apart(tmp_path / "a", tmp_path / "new", "hf", 30).returncode == -9
    converted(tmp_path / "b", tmp_path / "new", "hf")
    assert_same(open_form(tmp_path / "new"), open_form(tmp_path / "b"), with_slots=False)


@pytest.mark.slow
@pytest.mark.parametrize(("source", "form"), [("orbax", "hf"), ("hf", "t5x")])
def test_a_conversion_holds_few_tensors_at_a_time(tmp_path: pathlib.Path, source: str, form: str) -> None:
    layers = {"num_encoder_layers": 8, "num_decoder_layers": 8}
    write_own(tmp_path / "orbax", dataclasses.replace(T5_1_1, emb_dim=512, num_heads=8, head_dim=64, mlp_dim=1024, **layers))
    if source != "orbax":
        assert convert_apart(tmp_path / "orbax", tmp_path / source, source, 10_000).returncode == 0
    done = convert_apart(tmp_path / source, tmp_path / "new", form, 10_000)
    assert done.returncode == 0, done.stderr
    _, before, peak = map(int, done.stdout.split()[-3:])
    numbers = sum(tensor.size for tensor in open_form(tmp_path / source).parameters.values())
    assert numbers > 45e6, "180 MB and more"
    # The largest tensor has 2 MB; threads, buffers and caches of TensorStore make up the rest.
    assert (peak - before) * 1024 < numbers * 4 / 2


def counted(tensor: Tensor, reads: list[int]) -> Tensor:
    def read(part: Any) -> np.ndarray:
        values = tensor.read_part(part)
        reads.append(values.nbytes)
        return values

    return Tensor(tensor.shape, tensor.dtype, read)


@pytest.mark.parametrize("kind", ["t5x", "hf", "orbax"])
@pytest.mark.parametrize("scan", [True, False], ids=["scanned", "unscanned"])
def test_any_form_lies_on_a_mesh_as_it_lay_on_one_device(tmp_path: pathlib.Path, kind: Any, scan: bool) -> None:
    params = write_own(tmp_path / "own").params
    form = converted(tmp_path / "own", tmp_path / "new", kind, scan=not scan)
    model = dataclasses.replace(T5_1_1, scan_layers=scan)
    mesh = make_mesh(MeshConfig(data=1, fsdp=2, tensor=2), jax.devices()[:4])
    like = abstract_state(model, OptimizerConfig(), mesh).params
    read = restore_parameters(form, model, like)
    own = read_parameters(open_form(tmp_path / "own"), model, like)
    jax.tree.map(lambda one, other: np.testing.assert_array_equal(np.asarray(one), np.asarray(other)), read, own)
    jax.tree.map(lambda leaf, wanted: leaf.sharding.is_equivalent_to(wanted.sharding, leaf.ndim) or pytest.fail(), read, like)
    if scan:
        jax.tree.map(lambda one, other: np.testing.assert_array_equal(np.asarray(one), np.asarray(other)), read, params)


def test_a_part_of_a_tensor_is_read_as_a_part(tmp_path: pathlib.Path, own: pathlib.Path) -> None:
    form = converted(own, tmp_path / "new", "t5x")
    reads: list[int] = []
    counting = dataclasses.replace(form, parameters={name: counted(one, reads) for name, one in form.parameters.items()})
    mesh = make_mesh(MeshConfig(data=2, fsdp=2, tensor=2))
    like = abstract_state(T5_1_1, OptimizerConfig(), mesh).params
    read_parameters(counting, T5_1_1, like)
    # Eight devices, each part lies on two or more of them and is read once.
    assert sum(reads) == sum(one.size * 4 for one in form.parameters.values())
    assert max(reads) < 160 * 16 * 4


def test_training_begins_with_t5x_s_checkpoint_and_says_so(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = dataclasses.replace(T5_1_1, dtype="float32")
    state = write_own(tmp_path / "own", model, step=1_100_000)
    native = str(converted(tmp_path / "own", tmp_path / "t5x", "t5x").path)
    ends = {}
    for name, path, statistics in (("a", str(tmp_path / "own"), True), ("b", native, True), ("c", native, False)):
        settings = {"initial_checkpoint_path": path, "restore_optimizer": statistics, "train_steps": "+2"}
        ends[name] = train(tiny_run(tmp_path / name, model=model, **settings), NumberedFeed(), config_text="")
        said = capsys.readouterr()
        assert f"at step 1100000, with {'its' if statistics else 'fresh'} statistics of the optimizer" in said.out + said.err
    assert int(ends["c"].step) == int(ends["c"].opt_state.step) == 1_100_002
    jax.tree.map(lambda one, other: np.testing.assert_array_equal(np.asarray(one), np.asarray(other)), ends["a"], ends["b"])
    embeddings = [np.asarray(end.params["token_embedder"]["embedding"]) for end in (ends["b"], ends["c"], state)]
    assert not np.array_equal(embeddings[0], embeddings[1])
    assert not np.array_equal(embeddings[0], embeddings[2])


def test_the_commands_convert_and_inspect(
    tmp_path: pathlib.Path, own: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["convert", "--from", str(own), "--to", str(tmp_path / "hf"), "--format", "hf"]) == 0
    assert "the logits of both sides are equal; optimizer: none" in capsys.readouterr().out
    assert cli.main(["inspect", str(tmp_path / "hf"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["step"], found["dtype"], found["optimizer"]) == (7, "float32", "none")
    assert found["parameters"] == sum(tensor.size for tensor in open_form(own).parameters.values())
    assert "from " + str(own / "checkpoint_7") in found["provenance"]
    assert found["model"]["vocab_size"] == 160
    again = ["convert", "--from", str(tmp_path / "hf"), "--to", str(tmp_path / "new"), "--format", "orbax", "--step", "1100000"]
    assert cli.main(again) == 0
    assert cli.main(["inspect", str(tmp_path / "new")]) == 0
    assert "1,100,000" in capsys.readouterr().out
    assert cli.main([*again[:-1], "5", "--from", str(own)]) == 2
    assert "--step is 5, but" in capsys.readouterr().err


def test_infer_knows_the_model_of_any_form(tmp_path: pathlib.Path, own: pathlib.Path) -> None:
    form = converted(own, tmp_path / "hf", "hf")
    files, bindings = infer._recipe_of(str(tmp_path / "hf"))
    described = read_run(files, [*bindings, "ModelConfig.dtype=float32"])
    assert described.model == dataclasses.replace(form.model, dtype="float32")


def test_a_vocabulary_with_more_pieces_than_the_model_has_rows(
    tmp_path: pathlib.Path, own: pathlib.Path, t5_vocabulary: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["convert", "--from", str(own), "--to", str(tmp_path / "hf"), "--format", "hf"]
    assert cli.main([*command, "--vocabulary", str(t5_vocabulary)]) == 2
    assert "has 32000 pieces, but the model 160 rows: give the model's own" in capsys.readouterr().err
    assert not (tmp_path / "hf").exists()
