"""`t0jax eval`, `report` and `infer` as a person types them: a cache and a checkpoint in, scores and answers out."""

import io
import json

import jax
import numpy as np
import pytest
import sentencepiece

from t0jax.batch import EOS_ID
from t0jax.checkpoints.orbax import Checkpoints
from t0jax.cli import main
from t0jax.cli.eval import origins_of, scored_tasks, trained_datasets
from t0jax.cli.recipe import read_run, run_text
from t0jax.data.missing import record_missing
from t0jax.data.records import RecordWriter, encode_example
from t0jax.data.universe import mixture_tasks, task
from t0jax.data.vocabulary import Vocabulary
from t0jax.mesh import make_mesh
from t0jax.training.step import initial_state

TASK = "super_glue_rte_GPT_3_style_score_eval"
SENTENCES = ["the cat sat on the mat", "a dog ran to the door", "yes", "no", "true or false", "does it follow"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A vocabulary, a cache of one task, a recipe, and a checkpoint of its model at step 3."""
    folder = tmp_path_factory.mktemp("place")
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


def save_checkpoint(folder):
    run = read_run([str(folder / "run.gin")])
    state = initial_state(run.model, run.optimizer, make_mesh(run.mesh), jax.random.key(5))
    with Checkpoints(folder / "model") as checkpoints:
        checkpoints.save(3, state.replace(step=np.int32(3)), {"streams": {}}, {"config.gin": run_text(run)})


def evaluate(place, name, *bindings):
    return main(["eval", f"--gin_file={place / 'run.gin'}", f"--gin.EVAL_OUTPUT_DIR={place / name}", *bindings])


@pytest.fixture(scope="module")
def scored(place):
    assert evaluate(place, "scores", f"--gin.CHECKPOINT_PATH={place / 'model'}") == 0
    return place / "scores"


def test_eval_writes_scores_and_results_that_name_the_checkpoint(place, scored):
    results = json.loads((scored / "results.json").read_text())
    assert len((scored / "scores.jsonl").read_text().splitlines()) == 24
    assert (results["checkpoint"], results["step"]) == (str(place / "model" / "checkpoint_3"), 3)
    assert results["skipped_rows"] == {TASK: 3}
    (place / "again.gin").write_text(results["config"])
    assert read_run([str(place / "again.gin")]).data.mixture_or_task_name == TASK


def test_report_shows_an_evaluation_beside_the_untrained_model(place, scored, capsys):
    assert evaluate(place, "start", "--gin.CHECKPOINT_PATH=None") == 0
    capsys.readouterr()
    page, picture = place / "report.html", place / "report.svg"
    assert main(["report", str(scored), str(place / "start"), "--json", f"--html={page}", f"--svg={picture}"]) == 0
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["dataset"], line["rows"], line["majority"]) == ("super_glue/rte", 12, 0.5)
    assert set(line["comparisons"]) == {"untrained"}
    assert "super_glue/rte" in page.read_text() and "super_glue/rte" in picture.read_text()
    assert main(["report", str(scored)]) == 0
    assert "super_glue/rte" in capsys.readouterr().out


def test_tasks_without_rows_are_left_out_only_when_that_was_asked_for_and_every_report_says_so(place, capsys):
    mixture = "super_glue_rte_score_eval"
    others = [one.name for one in mixture_tasks(mixture) if one.name != TASK]
    for name in others:
        record_missing(place / "cache", name, "validation", "No source has it.")
    bindings = [f"--gin.MIXTURE_OR_TASK_NAME={mixture}", "--gin.CHECKPOINT_PATH=None"]
    assert evaluate(place, "part", *bindings) == 2
    assert "have no 'validation' split" in capsys.readouterr().err
    assert evaluate(place, "part", *bindings, "--gin.SKIP_MISSING=True") == 0
    said = f"untrained: {mixture} is incomplete, {len(others)} of its tasks had no rows: {others[0]}, "
    assert capsys.readouterr().out.replace("\n", " ").startswith(said)
    results = json.loads((place / "part/results.json").read_text())
    assert list(results["tasks"]) == [TASK]
    assert results["missing_tasks"] == dict.fromkeys(others, "No source has it.")
    assert main(["report", str(place / "part"), "--json"]) == 0
    assert capsys.readouterr().err.startswith(f"t0jax: {said}")


def test_what_was_trained_on_is_told_by_the_checkpoints_own_recipe(place, tmp_path):
    scored = [task(TASK), task("imdb_Sentiment_with_choices__score_eval")]
    assert trained_datasets(None, scored) == trained_datasets(str(tmp_path), scored) == []
    for mixture, datasets in (("imdb", ["imdb"]), ("super_glue_rte", ["super_glue/rte"]), (TASK, []), ("gone", [])):
        run = read_run([str(place / "run.gin")], [f"MIXTURE_OR_TASK_NAME={mixture}"])
        (tmp_path / "config.gin").write_text(run_text(run))
        assert trained_datasets(str(tmp_path), scored) == datasets
    converted = tmp_path / "hf"
    converted.mkdir()
    (converted / "passport.json").write_text(
        json.dumps({"recipe": run_text(read_run([str(place / "run.gin")], ["MIXTURE_OR_TASK_NAME=imdb"]))})
    )
    assert trained_datasets(str(converted), scored) == ["imdb"]


def test_tasks_without_the_split_are_passed_over_and_named(place, capsys):
    data = read_run([str(place / "run.gin")], ["MIXTURE_OR_TASK_NAME=t0_train_score_eval"]).data
    assert {one.dataset for one in mixture_tasks("t0_train_score_eval")} - {one.dataset for one in scored_tasks(data)} == {
        "ag_news",  # the hub has no validation split of these two
        "yelp_review_full",
    }
    assert "14 tasks have no split 'validation' and are not scored: yelp_review_full_" in capsys.readouterr().err


def test_infer_ranks_choices_as_eval_does(place, scored, capsys):
    prompt = f"{SENTENCES[0]} {SENTENCES[4]}"
    flags = [
        "infer",
        f"--checkpoint_path={place / 'model'}",
        f"--prompt={prompt}",
        "--prompt=yes",
        "--choices=yes|no",
        "--json",
    ]
    assert main(flags) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    lines = [json.loads(line) for line in (scored / "scores.jsonl").read_text().splitlines()[:2]]
    assert first["input"] == prompt and second["input"] == "yes"
    # bfloat16 activations, and other neighbours in the row
    assert list(first["scores"].values()) == pytest.approx([line["logp"] for line in lines], rel=2e-2)
    assert first["output"] == max(first["scores"], key=first["scores"].get)


def test_infer_generates_an_answer_for_every_line(place, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("the cat\n\na dog ran\n"))
    assert main(["infer", f"--checkpoint_path={place / 'model'}", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["input"] for line in lines] == ["the cat", "a dog ran"]
    assert all(isinstance(line["output"], str) for line in lines)


@pytest.mark.parametrize(
    ("bindings", "message"),
    [
        (["--gin.CHECKPOINT_PATH=nowhere"], "nowhere: give a checkpoint_<step>"),
        (["--gin.MIXTURE_OR_TASK_NAME=t0_train"], "t0_train is not for rank classification"),
        (["--gin.ModelConfig.vocab_size=4"], "has room for 4"),
        (["--gin.ModelConfig.vocab_size=4000"], "has room for 4000"),
        (["--gin.SPLIT=test"], "give --gin.DATA_DIR="),
    ],
)
def test_eval_refuses_what_cannot_be_scored(place, capsys, bindings, message):
    assert evaluate(place, "refused", f"--gin.CHECKPOINT_PATH={place / 'model'}", *bindings) == 2
    assert message in capsys.readouterr().err
    assert not (place / "refused").exists()


def test_eval_refuses_a_checkpoint_of_another_size(place, capsys):
    assert evaluate(place, "refused", f"--gin.CHECKPOINT_PATH={place / 'model'}", "--gin.ModelConfig.emb_dim=8") == 2
    assert "is of another model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "Which model is to answer"),
        (["--choices=yes"], "two or more different answers"),
        (["--prompt=a", "--file=b"], "either by --prompt or by --file"),
        (["--file=nowhere.txt"], "nowhere.txt cannot be read"),
    ],
)
def test_infer_refuses_what_it_cannot_answer(place, capsys, flags, message):
    checkpoint = [f"--checkpoint_path={place / 'model'}"] if flags else []
    assert main(["infer", *checkpoint, *flags]) == 2
    assert message in capsys.readouterr().err


def test_report_refuses_what_is_no_evaluation(place, capsys):
    assert main(["report", str(place / "nowhere")]) == 2
    assert "no evaluation at" in capsys.readouterr().err


def test_every_round_of_anli_is_a_dataset_of_its_own():
    origins = origins_of(mixture_tasks("t0_eval_score_eval"))
    datasets = {origin.dataset for origin in origins.values()}
    assert {"anli/r1", "anli/r2", "anli/r3", "super_glue/rte", "hellaswag", "winogrande/winogrande_xl"} <= datasets
    assert origins[TASK].wording == task(TASK).template
