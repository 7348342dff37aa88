"""The real TPU compiler, which needs no TPU, on a small model: what fits, what does not, and several slices."""

import json

import pytest

from t0jax.cli import main
from t0jax.cli.recipe import read_run
from t0jax.errors import InputError
from t0jax.model.parameters import count_parameters
from t0jax.pods.compiler import Compiled, DoesNotFit, Request, check_compiler, compile_step
from t0jax.pods.topology import GIB, parse_topology

pytest.importorskip("libtpu", reason="no TPU compiler: install the extra tpu")
SMALL = [
    "ModelConfig.scan_layers=True",
    "ModelConfig.num_encoder_layers=3",
    "ModelConfig.num_decoder_layers=3",
    "BATCH_SIZE=16",
    "DataConfig.num_streams=4",
]


def compiled(topology: str, *bindings: str, slices: int = 1, is_evaluation: bool = False) -> Compiled | DoesNotFit:
    run = read_run(["runs/demo.gin"], [*SMALL, *bindings], is_sketch=True)
    return compile_step(Request(run, parse_topology(topology, slices), is_evaluation))


def test_a_step_fits_and_its_loops_and_collectives_are_seen() -> None:
    answer = compiled("v5e:2x2", "MeshConfig.data=1", "MeshConfig.fsdp=4")
    assert isinstance(answer, Compiled)
    model = read_run(["runs/demo.gin"], SMALL, is_sketch=True).model
    gathered = answer.program.ici_bytes["all-gather"]
    assert answer.checkpoint_bytes >= 8 * count_parameters(model)  # too small to be factored: parameters and statistics
    assert answer.state_bytes["parameters"] < 4 * count_parameters(model) / 3.5  # a quarter on each chip, some of it whole
    assert gathered > count_parameters(model)  # each weight at least twice, in two bytes, three quarters from others
    assert answer.peak_bytes < GIB
    assert answer.program.cycles > 0


def test_between_slices_only_data_parallelism_goes() -> None:
    answer = compiled("v5e:2x2", "MeshConfig.data=2", "MeshConfig.fsdp=4", slices=2)
    assert isinstance(answer, Compiled)
    assert answer.program.dcn_bytes > 0
    with pytest.raises(InputError, match=r"MeshConfig\.data=1 does not divide over 2 slices"):
        compiled("v5e:2x2", "MeshConfig.data=1", "MeshConfig.fsdp=8", slices=2)


def test_a_run_that_a_chip_cannot_hold_is_refused_with_figures() -> None:
    answer = compiled("v5e:2x2", "BATCH_SIZE=131072")
    assert isinstance(answer, DoesNotFit)
    assert answer.needed_bytes > answer.available_bytes == round(15.75 * GIB)


@pytest.mark.parametrize(
    ("bindings", "said"),
    [
        (["BATCH_SIZE=18", "DataConfig.num_streams=2"], "A batch of 18 rows cannot be split"),
        (["MeshConfig.data=3"], "does not fit 4 devices"),
        (["MeshConfig.data=1", "MeshConfig.tensor=4", "ModelConfig.num_heads=6"], "cannot be split over tensor=4"),
    ],
)
def test_a_layout_that_does_not_divide_is_refused(bindings: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        compiled("v5e:2x2", *bindings)


def test_streams_that_hosts_cannot_share_are_refused() -> None:
    with pytest.raises(InputError, match="4 data streams cannot be shared by 8 processes"):
        compiled("v5e:4x8", "BATCH_SIZE=32", "MeshConfig.data=32")


def test_the_command_prints_the_plan_of_training_and_of_evaluation(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--gin_file=runs/demo.gin", "--topology=v5e:2x2", *(f"--gin.{binding}" for binding in SMALL)]
    assert main(["plan", *flags, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["fits"] is True
    assert plan["seconds"]["best"] <= plan["seconds"]["worst"]
    assert plan["steps"] == 6000
    assert main(["plan", *flags, "--evaluation"]) == 0
    said = capsys.readouterr().out
    assert "batch " in said
    assert "a chip: parameters" in said


def test_without_the_compiler_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="install t0jax's extra tpu"):
        check_compiler()
