"""Gin in, one frozen Run out, and back."""

import dataclasses
from pathlib import Path

import pytest

from t0jax.cli.recipe import MACROS, read_run, run_text
from t0jax.config import SECTIONS
from t0jax.errors import InputError
from t0jax.street import gin_folder

RECIPES = sorted([*gin_folder().glob("runs/*.gin"), *gin_folder().glob("eval/*.gin")])
T0_RUNS = {
    "t0_3b": ("t0_train", 2048),
    "t0_11b": ("t0_train", 4096),
    "t0p_11b": ("t0+_train", 4096),
    "t0pp_11b": ("t0++_train", 4096),
    "t0_3b_p1": ("t0_train_one_og_prompt", 2048),
    "t0_3b_p5.7": ("t0_train_all_og_prompts", 2048),
}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_reads_and_its_text_reads_back_equal(path: Path, tmp_path: Path) -> None:
    run = read_run([str(path)], ["MODEL_DIR=/some/where", "INITIAL_CHECKPOINT_PATH=/else/where"])
    (tmp_path / "config.gin").write_text(run_text(run))
    assert read_run([str(tmp_path / "config.gin")]) == run


@pytest.mark.parametrize("name", T0_RUNS)
def test_t0_runs_hold_the_papers_recipe(name: str) -> None:
    with pytest.raises(InputError, match="INITIAL_CHECKPOINT_PATH"):  # T0 does not begin with random weights
        read_run([f"runs/{name}.gin"])
    run = read_run([f"runs/{name}.gin"], ["INITIAL_CHECKPOINT_PATH=T5"])
    assert (run.data.mixture_or_task_name, run.model.emb_dim) == T0_RUNS[name]
    assert run.data.batch_size * run.data.task_feature_lengths["inputs"] == 2**20
    assert run.data.task_feature_lengths["targets"] == 256
    assert run.train.last_step(1_100_000) == 1_112_200
    assert (run.optimizer.schedule, run.optimizer.learning_rate, run.optimizer.warmup_steps) == ("constant", 1e-3, 0)
    assert (run.model.dropout_rate, run.model.dtype, run.data.pack) == (0.1, "bfloat16", True)


def test_a_recipe_head_states_model_hardware_expectation_and_command() -> None:
    for path in gin_folder().glob("runs/*.gin"):
        head = path.read_text().split("include")[0]
        assert all(word in head for word in ("# Model:", "# Hardware:", "# Expected:", "# Command:")), path


def test_every_macro_sets_a_field_that_exists() -> None:
    for fields in MACROS.values():
        for section, field in fields:
            assert field in {one.name for one in dataclasses.fields(SECTIONS[section])}


def test_the_command_line_overrides_the_file_and_takes_bare_strings() -> None:
    bindings = [
        "TRAIN_STEPS=7",
        "MODEL_DIR=runs/a b=c",
        "DROPOUT_RATE=0",
        "RANDOM_SEED=5",
        "MeshConfig.tensor=2",
        "VOCABULARY=12",
    ]
    run = read_run(["runs/mini_t0.gin"], bindings)
    assert run.train.train_steps == 7
    assert run.train.model_dir == "runs/a b=c"
    assert run.model.dropout_rate == 0
    assert (run.train.random_seed, run.data.shuffle_seed) == (5, 5)
    assert run.mesh.tensor == 2
    assert run.data.vocabulary == "12"


def test_train_steps_count_from_zero_or_from_where_the_run_begins(tmp_path: Path) -> None:
    run = read_run(["runs/mini_t0.gin"], ["TRAIN_STEPS=+12_200"])
    assert run.train.train_steps == "+12_200"
    assert run.train.last_step(1_100_000) == 1_112_200
    assert read_run(["runs/mini_t0.gin"], ["TRAIN_STEPS=1_112_200"]).train.last_step(1_100_000) == 1_112_200
    (tmp_path / "config.gin").write_text(run_text(run))
    assert read_run([str(tmp_path / "config.gin")]) == run
    for wrong in ("-5", "0", "+", "later"):
        with pytest.raises(InputError, match=r"train_steps is .*; it must be above 0, or '\+N' for N steps more"):
            read_run(["runs/mini_t0.gin"], [f"TRAIN_STEPS={wrong}"])


def test_a_macro_overrides_a_saved_run(tmp_path: Path) -> None:
    saved = tmp_path / "config.gin"
    saved.write_text(run_text(read_run(["runs/mini_t0.gin"], ["RANDOM_SEED=3"])))
    again = read_run([str(saved)], ["RANDOM_SEED=4", "BATCH_SIZE=2"])
    assert (again.train.random_seed, again.data.shuffle_seed, again.data.batch_size) == (4, 4, 2)


@pytest.mark.parametrize(
    ("binding", "words"),
    [
        ("TRAIN_STEP=2", "TRAIN_STEPS"),
        ("ModelConfig.emb_dims=3", "ModelConfig.emb_dim"),
        ("TRAIN_STEPS=many", "'many'"),
        ("TRAIN_STEPS=0", "above 0"),
        ("DROPOUT_RATE=1.5", "below 1"),
        ("BATCH_SIZE", "BATCH_SIZE=VALUE"),
    ],
)
def test_a_wrong_binding_is_answered_with_its_value_and_the_nearest_name(binding: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_run(["runs/mini_t0.gin"], [binding])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("MIXTURE_OR_TASK_NAM = 'x'", "MIXTURE_OR_TASK_NAME"),
        ("ModelConfig.emb_dimm = 3", "emb_dim"),
        ("ModelConf.emb_dim = 3", "ModelConfig"),
        ("include 'models/xs.gin'", "xs.gin"),
        ("ModelConfig.emb_dim =", "cannot be read"),
    ],
)
def test_a_wrong_recipe_is_answered_with_the_nearest_name(line: str, words: str, tmp_path: Path) -> None:
    recipe = tmp_path / "run.gin"
    recipe.write_text(f"MIXTURE_OR_TASK_NAME = 'a'\n{line}\n")
    with pytest.raises(InputError, match=words):
        read_run([str(recipe)])


def test_a_missing_recipe_or_value_is_named() -> None:
    with pytest.raises(InputError, match=r"runs/t0_3b\.gin"):
        read_run(["gin/runs/t0_3.gin"])
    with pytest.raises(InputError, match="MIXTURE_OR_TASK_NAME"):
        read_run(["models/xl.gin"])
    with pytest.raises(InputError, match="--gin_file"):
        read_run([])
