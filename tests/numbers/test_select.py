"""Checkpoint selection: T0's rule on training datasets, and never a look at what is held out."""

import json

import made_evaluation
import numpy as np
import pytest

from t0jax.cli import main

SEEN = {"rotten_tomatoes": "Movie_Expressed_Sentiment", "glue_mrpc": "equivalent"}


@pytest.fixture
def write(tmp_path):
    """Write an evaluation of the checkpoint of a step, with an accuracy for each of two training datasets."""

    def writer(number, *accuracies, rows=400, seed=0, **results):
        folder = made_evaluation.write(tmp_path / f"e{number}", {}, mixture="t0_train_score_eval")
        about = json.loads((folder / "results.json").read_text())
        lines = []
        for (dataset, wording), accuracy in zip(SEEN.items(), accuracies, strict=True):
            task = f"{dataset}_{wording}_score_eval"
            scores = made_evaluation.noisy([accuracy], rows=rows, seed=seed)[0]
            lines += made_evaluation._lines(task, scores)
            about["tasks"][task] = {"dataset": dataset, "family": "f", "wording": wording, "choices": 2 * rows}
        about |= {"checkpoint": f"runs/x/checkpoint_{number}", "step": number, **results}
        (folder / "scores.jsonl").write_text("".join(lines))
        (folder / "results.json").write_text(json.dumps(about))
        return str(folder)

    return writer


def refused(capsys, *words):
    assert main(["select", *words]) == 2
    return capsys.readouterr().err


def test_the_best_mean_of_medians_is_chosen_printed_and_written(write, tmp_path, capsys):
    folders = [write(30, 0.9, 0.6), write(10, 0.5, 0.5), write(20, 0.7, 0.9)]
    assert main(["select", *folders]) == 0
    assert "runs/x/checkpoint_20 is chosen" in capsys.readouterr().out
    written = json.loads((tmp_path / "selection.json").read_text())
    assert written["chosen"]["step"] == 20
    assert [one["step"] for one in written["candidates"]] == [10, 20, 30]
    assert written["chosen"]["score"] == pytest.approx(0.8, abs=0.03)
    assert written["chosen"]["behind"] == 0
    assert written["candidates"][0]["low"] > 0.2


def test_the_earliest_is_chosen_on_a_tie_and_the_other_called_as_good(write, tmp_path, capsys):
    path = tmp_path / "out/choice.json"
    assert main(["select", write(20, 0.7, 0.7), write(10, 0.7, 0.7), f"--output={path}"]) == 0
    assert "as good" in capsys.readouterr().out
    assert json.loads(path.read_text())["chosen"]["step"] == 10


def test_the_interval_draws_the_same_rows_for_both(write, tmp_path):
    assert main(["select", write(1, 0.6, 0.7, rows=50), write(2, 0.8, 0.9, rows=50)]) == 0
    written = json.loads((tmp_path / "selection.json").read_text())
    hits = {
        step: [made_evaluation.noisy([accuracy], rows=50)[0].hits for accuracy in accuracies]
        for step, accuracies in ((1, (0.6, 0.7)), (2, (0.8, 0.9)))
    }
    random, apart = np.random.default_rng(0), []
    for _ in range(1000):
        drawn = random.integers(0, 50, 50)
        apart.append(np.mean([a[drawn].mean() - b[drawn].mean() for a, b in zip(hits[2], hits[1], strict=True)]))
    low, high = np.percentile(apart, [2.5, 97.5])
    assert (written["candidates"][0]["low"], written["candidates"][0]["high"]) == (pytest.approx(low), pytest.approx(high))


def test_held_out_tasks_are_refused(write, tmp_path, capsys):
    folder = write(1, 0.7, 0.7)
    for name in ("results.json", "scores.jsonl"):
        path = tmp_path / "e1" / name
        path.write_text(path.read_text().replace("glue_mrpc_equivalent", "super_glue_rte_can_we_infer"))
    message = refused(capsys, folder, write(2, 0.8, 0.8))
    assert (
        "scored super_glue_rte_can_we_infer_score_eval, which is held out (t0_eval_score_eval scores it zero-shot)" in message
    )
    assert not (tmp_path / "selection.json").exists()


def test_tasks_of_no_table_are_refused(write, tmp_path, capsys):
    folder = write(1, 0.7, 0.7)
    for name in ("results.json", "scores.jsonl"):
        path = tmp_path / "e1" / name
        path.write_text(path.read_text().replace("glue_mrpc_equivalent", "bistro_good"))
    assert "scored bistro_good_score_eval, which no table has" in refused(capsys, folder, write(2, 0.8, 0.8))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"mixture": "another"}, "scored different mixtures, t0_train_score_eval and another"),
        ({"split": "test"}, "scored different splits, validation and test"),
        ({"checkpoint": "runs/y/checkpoint_2"}, "are of two runs, runs/x and runs/y"),
        ({"checkpoint": None}, "is not of a checkpoint with a step"),
        ({"step": 1}, "Two evaluations are of the checkpoint of step 1"),
        ({"rows": 300}, "did not score the same rows of glue_mrpc_equivalent_score_eval"),
        ({"seed": 5}, "did not score the same rows of glue_mrpc_equivalent_score_eval"),
    ],
)
def test_evaluations_that_are_not_alike_are_refused(write, capsys, other, message):
    assert message in refused(capsys, write(1, 0.7, 0.7), write(2, 0.8, 0.8, **other))


def test_one_evaluation_leaves_nothing_to_select(write, capsys):
    assert "leaves nothing to select" in refused(capsys, write(1, 0.7, 0.7))
