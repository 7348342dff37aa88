"""`t0jax eval` and `report` as a person types them: a cache and a checkpoint in, scores out."""

import json

import pytest
from furnished import SENTENCES, TASK, furnish

from t0jax.cli import main
from t0jax.cli.eval import evaluated_tasks, origins_of, trained_datasets
from t0jax.cli.recipe import read_run, run_text
from t0jax.data.missing import record_missing
from t0jax.data.universe import mixture_tasks, task


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return furnish(tmp_path_factory.mktemp("place"))


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
    evaluated = evaluated_tasks(data)
    assert {one.dataset for one in mixture_tasks("t0_train_score_eval")} - {one.dataset for one in evaluated} == {
        "ag_news",  # the hub has no validation split of these two
        "yelp_review_full",
    }
    assert "14 tasks have no split 'validation' and are not evaluated: yelp_review_full_" in capsys.readouterr().err


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


def test_report_refuses_what_is_no_evaluation(place, capsys):
    assert main(["report", str(place / "nowhere")]) == 2
    assert "no evaluation at" in capsys.readouterr().err


def test_every_round_of_anli_is_a_dataset_of_its_own():
    origins = origins_of(mixture_tasks("t0_eval_score_eval"))
    datasets = {origin.dataset for origin in origins.values()}
    assert {"anli/r1", "anli/r2", "anli/r3", "super_glue/rte", "hellaswag", "winogrande/winogrande_xl"} <= datasets
    assert origins[TASK].wording == task(TASK).template
