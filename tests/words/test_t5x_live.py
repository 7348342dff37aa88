"""t5x itself, where it is installed (docs/t5x.md): a tiny T5 fine-tuned, evaluated and scored through gin/t5x/."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from t0jax import street
from t0jax.data import universe
from t0jax.data.cache import cache_tasks
from t0jax.data.sources.places import Places

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("t5x") is None, reason="t5x is not installed: docs/t5x.md says how"),
]
COPA = "super_glue_copa_plausible_alternatives"
TINY = {"emb_dim": 8, "num_heads": 4, "head_dim": 3, "mlp_dim": 16, "num_encoder_layers": 2, "num_decoder_layers": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, sentence: Any, vocabulary: Path) -> Path:
    """Rows in the schema of copa, and their cache by t0jax."""
    folder, random = tmp_path_factory.mktemp("t5x"), np.random.default_rng(0)
    for split in ("train", "validation"):
        path = folder / f"rows/super_glue/copa/{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [
            {"premise": sentence(random, 6), "question": "cause", "idx": index, "label": int(random.integers(2))}
            | {name: sentence(random, 5) for name in ("choice1", "choice2")}
            for index in range(20)
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    tasks, places = [universe.task(name) for name in (COPA, f"{COPA}_score_eval")], Places(data_dir=str(folder / "rows"))
    cache_tasks(tasks, output_cache_dir=folder / "cache", places=places, vocabulary=vocabulary)
    return folder


def t5x(program: str, files: list[str], gin: dict[str, Any], folder: Path, vocabulary: Path) -> None:
    """Run a program of t5x in a fresh interpreter, on the cache in the folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_", "T0JAX_"))}
    environment |= {"JAX_PLATFORMS": "cpu", "T0JAX_CACHE_DIR": str(folder / "cache"), "T0JAX_VOCABULARY": str(vocabulary)}
    gin = gin | {"TASK_FEATURE_LENGTHS": {"inputs": 64, "targets": 16}, "partitioning.PjitPartitioner.num_partitions": 1}
    flags = [f"--gin_file={file}" for file in files] + [f"--gin.{name}={value!r}" for name, value in gin.items()]
    command = [sys.executable, "-m", f"t5x.{program}", f"--gin_search_paths={street.gin_folder()}", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]


def test_t5x_fine_tunes_evaluates_and_scores_on_the_registered_tasks(folder: Path, vocabulary: Path) -> None:
    scored, tiny = f"{COPA}_score_eval", "t5x/examples/t5/t5_1_1/tiny.gin"
    recipe = {"MIXTURE_OR_TASK_NAME": COPA, "BATCH_SIZE": 8, "TRAIN_STEPS": 4, "INITIAL_CHECKPOINT_PATH": ()}
    recipe |= {f"network.T5Config.{name}": value for name, value in TINY.items()} | {"MODEL_DIR": str(folder / "model")}
    t5x("train", ["t5x/t0_3b_finetune.gin"], recipe, folder, vocabulary)
    about = {"CHECKPOINT_PATH": str(folder / "model/checkpoint_4"), "MIXTURE_OR_TASK_NAME": scored}
    about["utils.DatasetConfig.batch_size"] = 8
    t5x("eval", [tiny, "t5x/eval.gin"], about | {"EVAL_OUTPUT_DIR": str(folder / "scores")}, folder, vocabulary)
    t5x("infer", [tiny, "t5x/infer.gin"], about | {"INFER_OUTPUT_DIR": str(folder / "lines")}, folder, vocabulary)

    [measured] = (folder / f"scores/inference_eval/{scored}-metrics.jsonl").read_text().splitlines()
    [lines] = (folder / "lines").glob(f"{scored}-score.jsonl-*-of-00001")
    logp = np.array([json.loads(line)["score"] for line in lines.read_text().splitlines()]).reshape(20, 2)
    rows = (folder / "rows/super_glue/copa/validation.jsonl").read_text().splitlines()
    assert (logp < 0).all()
    accuracy = 100 * np.mean(logp.argmax(1) == [json.loads(row)["label"] for row in rows])
    assert json.loads(measured) == {"step": 4, "accuracy": accuracy}
