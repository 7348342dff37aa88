"""An adapter is trained beside frozen weights, saved alone, and merged into them without a change of what the model says."""

import dataclasses
import json
import pathlib
import shutil
from typing import Any

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from tiny_checkpoint import converted
from tiny_run import MODEL, NumberedFeed, tiny_run

from t0jax.batch import synthetic_batch
from t0jax.checkpoints.forms import open_form
from t0jax.cli.inspect import describe
from t0jax.cli.weights import open_model
from t0jax.config import MeshConfig, ModelConfig, OptimizerConfig, Run, TrainConfig
from t0jax.errors import InputError
from t0jax.mesh import make_mesh, place_batch
from t0jax.model.adapters import is_trained
from t0jax.model.parameters import init_parameters, parameter_table
from t0jax.model.t5 import T5
from t0jax.training.loop import Hook, train
from t0jax.training.step import State, initial_state, make_step, state_shardings

BATCH = synthetic_batch(batch_size=8, inputs_length=16, targets_length=8, vocab_size=64, segments=2)
KINDS = pytest.mark.parametrize("kind", ["ia3", "lora"])
MERGED = 2e-6
"""Of the largest logit: (x W) l and x (W l) are rounded apart. 4e-7 was found."""


def adapted(kind: str, **changes: Any) -> ModelConfig:
    return dataclasses.replace(MODEL, adapter=kind, adapter_rank=2, num_decoder_layers=2, **changes)


def logits(config: ModelConfig, params: Any) -> np.ndarray:
    return np.asarray(jax.jit(T5(config).apply)({"params": params}, BATCH))


def run_on(base: pathlib.Path, folder: pathlib.Path, kind: str) -> Run:
    return tiny_run(folder, model=adapted(kind), initial_checkpoint_path=str(base), train_steps="+12")


def opened(run: Run, path: Any) -> Any:
    return open_model(dataclasses.replace(run, evaluate=dataclasses.replace(run.evaluate, checkpoint_path=str(path))))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Three steps of ordinary training."""
    folder = tmp_path_factory.mktemp("base")
    train(tiny_run(folder, model=adapted("none"), train_steps=3), NumberedFeed(), config_text="")
    return folder / "checkpoint_3"


Trained = tuple[Run, State, pathlib.Path]


@pytest.fixture(scope="module", params=["ia3", "lora"])
def trained(base: pathlib.Path, tmp_path_factory: pytest.TempPathFactory, request: Any) -> Trained:
    """Twelve steps of an adapter: the run, what it ends with, and where."""
    run = run_on(base, tmp_path_factory.mktemp(request.param), request.param)
    return run, train(run, NumberedFeed(), config_text=""), pathlib.Path(str(run.train.model_dir)) / "checkpoint_12"


@KINDS
@pytest.mark.parametrize("scan_layers", [True, False], ids=["scanned", "unscanned"])
@pytest.mark.parametrize("form", [{}, {"mlp_activations": ("relu",), "logits_via_embedding": True}], ids=["1.1", "1.0"])
def test_a_fresh_adapter_changes_nothing(kind: str, scan_layers: bool, form: dict[str, Any]) -> None:
    config = adapted(kind, scan_layers=scan_layers, **form)
    plain = dataclasses.replace(config, adapter="none")
    params = init_parameters(config, jax.random.key(0))
    assert any(path[-1] in ("ia3", "lora_b") for path in flatten_dict(params))
    np.testing.assert_array_equal(logits(config, params), logits(plain, init_parameters(plain, jax.random.key(0))))


@KINDS
def test_what_is_adapted_is_what_t_few_adapts(kind: str) -> None:
    """Its configs/ia3.json and lora.json: k, v and wi_1, or every kernel with the norms."""
    config = dataclasses.replace(adapted(kind), num_encoder_layers=1)
    own = [path for path in parameter_table(config) if is_trained(config, path)]
    of_attentions, norms = 3, 3 + 2 + 2  # self, self, cross; before each part, and at the end of each stack
    assert len(own) == (2 * of_attentions + 2 if kind == "ia3" else 2 * (4 * of_attentions + 3 * 2) + norms)
    kernels = {path[-2] for path in own if path[-1] in ("ia3", "lora_a")}
    assert kernels == ({"key", "value", "wi_1"} if kind == "ia3" else {"query", "key", "value", "out", "wi_0", "wi_1", "wo"})


def test_only_the_adapter_is_trained_has_statistics_and_is_saved(trained: Trained, base: pathlib.Path) -> None:
    run, state, folder = trained
    before, changed = flatten_dict(opened(run, base).params), set()
    for path, leaf in flatten_dict(state.params).items():
        fresh = before.get(path, 1.0 if path[-1] == "ia3" else 0.0)
        changed |= {path} if (np.asarray(leaf) != np.asarray(fresh)).any() else set()
    own = {path for path in parameter_table(run.model) if is_trained(run.model, path)}
    assert changed == own == set(flatten_dict(state.opt_state.v))
    stored = {name.replace("/layers_0/", "/layers/").replace("/layers_1/", "/layers/") for name in open_form(folder).adapter}
    assert stored == {"/".join(path) for path in own}
    assert json.loads((folder / "base.json").read_text())["step"] == 3 and int(state.step) == 12


def test_merged_equals_unmerged_in_every_form(trained: Trained, base: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run, state, folder = trained
    expected = logits(run.model, state.params)
    plain = dataclasses.replace(run.model, adapter="none")
    assert np.abs(expected - logits(plain, opened(run, base).params)).max() > 1e-2 * np.abs(expected).max()
    merged = [folder, *(converted(folder, tmp_path / kind, kind).path for kind in ("orbax", "t5x", "hf"))]
    for path in merged:
        found = logits(plain, opened(run, path).params)
        assert np.abs(found - expected).max() < MERGED * np.abs(expected).max(), path
    said = describe(open_form(folder))
    assert f"an adapter ({run.model.adapter}) on {base}" in said["layout"] and said["optimizer"] == "none"


@KINDS
def test_a_stopped_adapter_resumes_bit_for_bit(kind: str, base: pathlib.Path, tmp_path: pathlib.Path) -> None:
    class Killed(Exception):
        pass

    def kill(step: int, state: State) -> None:
        if step == 7:
            raise Killed

    straight, stopped = (run_on(base, tmp_path / name, kind) for name in ("straight", "stopped"))
    expected = train(straight, NumberedFeed(), config_text="")
    with pytest.raises(Killed):
        train(stopped, NumberedFeed(), config_text="", hooks=[Hook(1, kill)])
    found = train(stopped, NumberedFeed(), config_text="")
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(np.asarray(a), np.asarray(b)), found, expected)


def test_an_adapter_knows_its_base(trained: Trained, base: pathlib.Path, tmp_path: pathlib.Path) -> None:
    run, _, folder = trained
    other = shutil.copytree(base, tmp_path / "checkpoint_3")
    copied = shutil.copytree(folder, tmp_path / "adapter/checkpoint_12")
    record = json.loads((copied / "base.json").read_text())

    def moved_to(place: pathlib.Path) -> None:
        (copied / "base.json").write_text(json.dumps(record | {"path": str(place)}))

    moved_to(other)
    assert open_form(copied).adapter.keys() == open_form(folder).adapter.keys()
    train(
        tiny_run(tmp_path / "more", model=adapted("none"), initial_checkpoint_path=str(base), train_steps="+1"),
        NumberedFeed(),
        config_text="",
    )
    moved_to(tmp_path / "more/checkpoint_4")
    with pytest.raises(InputError, match=r"was trained on another checkpoint than .*more/checkpoint_4"):
        open_form(copied)
    moved_to(tmp_path / "gone")
    with pytest.raises(InputError, match=r"is an adapter, and its base cannot be opened: There is no checkpoint at .*gone"):
        open_form(copied)
    wrong = dataclasses.replace(run.train, initial_checkpoint_path=str(tmp_path / "more"), model_dir=str(tmp_path / "adapter"))
    with pytest.raises(InputError, match="was trained on another checkpoint"):
        train(dataclasses.replace(run, train=wrong), NumberedFeed(), config_text="")


def test_an_adapter_upon_an_adapter_begins_with_both(trained: Trained, tmp_path: pathlib.Path) -> None:
    run, state, folder = trained
    upon = run_on(folder, tmp_path / "upon", "ia3")
    seen: list[Any] = []
    train(
        upon,
        NumberedFeed(),
        config_text="",
        hooks=[Hook(100, lambda step, state: seen.append(logits(upon.model, state.params)))],
    )
    expected = logits(run.model, state.params)
    assert np.abs(seen[0] - expected).max() < MERGED * np.abs(expected).max()


def test_what_an_adapter_needs_is_said(tmp_path: pathlib.Path) -> None:
    run = tiny_run(tmp_path, model=adapted("ia3"))
    with pytest.raises(InputError, match=r"An adapter \(ia3\) is trained beside the weights of a checkpoint: give INITIAL"):
        train(run, NumberedFeed(), config_text="")
    for rank in (0, 17):
        with pytest.raises(InputError, match=r"adapter_rank is .* must be above 0 and at most 16"):
            dataclasses.replace(MODEL, adapter="lora", adapter_rank=rank)
    with pytest.raises(InputError, match="adapter is 'lorra'"):
        dataclasses.replace(MODEL, adapter="lorra")


@KINDS
def test_sharded_equals_single_device(kind: str) -> None:
    model = dataclasses.replace(adapted(kind), adapter_rank=2)

    def stepped(mesh_config: MeshConfig, devices: int) -> Any:
        mesh = make_mesh(mesh_config, jax.devices()[:devices])
        state = jax.device_put(first, state_shardings(model, OptimizerConfig(), mesh))
        return make_step(model, OptimizerConfig(), TrainConfig(), mesh)(state, place_batch(mesh, BATCH), jax.random.key(0))

    one = make_mesh(MeshConfig(), jax.devices()[:1])
    first = jax.tree.map(np.asarray, initial_state(model, OptimizerConfig(), one, jax.random.key(0)))
    (found, metrics), (expected, expected_metrics) = stepped(MeshConfig(data=2, fsdp=2, tensor=2), 8), stepped(MeshConfig(), 1)
    assert float(metrics["loss"]) == pytest.approx(float(expected_metrics["loss"]), rel=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), found.params, expected.params)
