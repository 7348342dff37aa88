"""A place as a person has it: a vocabulary, a cache of one task, a recipe, and a checkpoint of its model at step 3."""

import io
import json
from pathlib import Path

import jax
import numpy as np
import sentencepiece

from t0jax.batch import EOS_ID
from t0jax.checkpoints.orbax import Checkpoints
from t0jax.cli.recipe import read_run, run_text
from t0jax.data.records import RecordWriter, encode_example
from t0jax.data.vocabulary import Vocabulary
from t0jax.mesh import make_mesh
from t0jax.training.step import initial_state

TASK = "super_glue_rte_GPT_3_style_score_eval"
SENTENCES = ["the cat sat on the mat", "a dog ran to the door", "yes", "no", "true or false", "does it follow"]


def furnish(folder: Path) -> Path:
    """Put all of it into the folder."""
    write_vocabulary(folder / "spiece.model")
    write_cache(folder / "cache" / TASK, Vocabulary(folder / "spiece.model"))
    sizes = {"vocab_size": 64, "emb_dim": 16, "num_heads": 2, "head_dim": 8, "mlp_dim": 16}
    model = [f"ModelConfig.{name} = {size}" for name, size in sizes.items()]
    values = {
        "MIXTURE_OR_TASK_NAME": TASK,
        "SPLIT": "validation",
        "TASK_FEATURE_LENGTHS": {"inputs": 32, "targets": 8},
        "BATCH_SIZE": 8,
        "CACHE_DIR": str(folder / "cache"),
        "VOCABULARY": str(folder / "spiece.model"),
    }
    lines = [*model, "ModelConfig.num_encoder_layers = 1", "ModelConfig.num_decoder_layers = 1"]
    (folder / "run.gin").write_text("\n".join([*lines, *(f"{name} = {value!r}" for name, value in values.items())]) + "\n")
    save_checkpoint(folder)
    return folder


def write_vocabulary(path):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 20),
        model_writer=model,
        vocab_size=40,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    path.write_bytes(model.getvalue())


def write_cache(folder, vocabulary):
    folder.mkdir(parents=True)
    rows = [f"{SENTENCES[n % 2]} {SENTENCES[4 + n // 2 % 2]}" for n in range(12)]
    with RecordWriter(folder / "validation.tfrecord-00000-of-00001") as writer:
        for row, text in enumerate(rows):
            for choice, answer in enumerate(("yes", "no")):
                (inputs, targets), place = vocabulary.encode([text, answer]), [row, choice]
                writer.write(
                    encode_example(
                        {"inputs": inputs, "targets": [*targets, EOS_ID], "idx": place, "is_correct": choice == row % 2}
                    )
                )
    features = {name: {"shape": [None], "dtype": "int32"} for name in ("inputs", "targets", "idx", "is_correct")}
    (folder / "info.validation.json").write_text(json.dumps({"num_shards": 1, "features": features}))
    (folder / "stats.validation.json").write_text(json.dumps({"examples": 2 * len(rows), "skipped": 3}))
    (folder / "COMPLETED").touch()


def write_open_cache(folder, vocabulary, texts):
    """A cached task without choices: `texts` are the inputs and the targets of its rows."""
    folder.mkdir(parents=True)
    with RecordWriter(folder / "validation.tfrecord-00000-of-00001") as writer:
        for asked, right in texts:
            inputs, targets = vocabulary.encode([asked, right])
            plain = {"inputs_pretokenized": asked, "targets_pretokenized": right}
            writer.write(encode_example({"inputs": inputs, "targets": [*targets, EOS_ID], **plain}))
    features = {name: {"shape": [None], "dtype": "int32"} for name in ("inputs", "targets")}
    features |= {f"{name}_pretokenized": {"shape": [], "dtype": "string"} for name in ("inputs", "targets")}
    (folder / "info.validation.json").write_text(json.dumps({"num_shards": 1, "features": features}))
    (folder / "stats.validation.json").write_text(json.dumps({"examples": len(texts), "skipped": 0}))
    (folder / "COMPLETED").touch()


def save_checkpoint(folder):
    run = read_run([str(folder / "run.gin")])
    state = initial_state(run.model, run.optimizer, make_mesh(run.mesh), jax.random.key(5))
    with Checkpoints(folder / "model") as checkpoints:
        checkpoints.save(3, state.replace(step=np.int32(3)), {"streams": {}}, {"config.gin": run_text(run)})
