"""What an evaluation leaves: one line a choice, results that agree with them, and nothing when the scores are of no use."""

import json
from functools import partial

import jax
import numpy as np
import pytest

from t0jax import rank
from t0jax.batch import EOS_ID, RankExample
from t0jax.config import ModelConfig
from t0jax.errors import InputError
from t0jax.evaluation.engine import evaluate
from t0jax.evaluation.score import Scorer
from t0jax.model.parameters import init_parameters
from t0jax.model.t5 import T5
from t0jax.report.evaluation import read_evaluation

CONFIG = ModelConfig(
    vocab_size=32, emb_dim=8, num_heads=2, head_dim=4, mlp_dim=8, num_encoder_layers=1, num_decoder_layers=1, dtype="float32"
)
ORIGINS = {name: rank.Origin("anli/r1", "nli", name) for name in ("claim", "guess")}
ABOUT = {"mixture": "m", "split": "validation", "checkpoint": "run/checkpoint_7", "step": 7, "config": "A = 1\n"}


@pytest.fixture(scope="module")
def scorer():
    params = jax.jit(partial(init_parameters, CONFIG))(jax.random.key(0))
    return Scorer(T5(CONFIG), params, task_feature_lengths={"inputs": 16, "targets": 8}, batch_size=8)


def examples(tasks=("claim", "guess"), rows=7):
    random = np.random.default_rng(0)
    return [
        RankExample(
            task,
            row,
            random.integers(3, 32, 4 + row * 2),
            [np.append(random.integers(3, 32, n), EOS_ID) for n in (1, 3, 2)[: 2 + row % 2]],
            [choice == row % 2 for choice in range(2 + row % 2)],
        )
        for task in tasks
        for row in range(rows)
    ]


def test_every_choice_has_its_line_and_the_results_agree(scorer, tmp_path):
    results = evaluate(scorer, examples(), ORIGINS, tmp_path / "e", about=ABOUT)
    lines = [json.loads(line) for line in (tmp_path / "e/scores.jsonl").read_text().splitlines()]
    assert [tuple(line) for line in lines] == [rank.SCORE_FIELDS] * len(lines)
    expected = [(e.task, e.example, c, e.is_correct[c]) for e in examples() for c in range(len(e.choices))]
    assert [(line["task"], line["example"], line["choice"], line["correct"]) for line in lines] == expected
    evaluation = read_evaluation(str(tmp_path / "e"))
    assert [outcome.as_json() for outcome in evaluation.outcomes] == json.loads(json.dumps(results["datasets"]))
    assert evaluation.results == json.loads(json.dumps(results))
    assert results["counts"] == {
        "tasks": 2,
        "examples": 14,
        "choices": 34,
        "inputs_at_length_limit": 2,
        "choices_cut": 0,
        "examples_of_empty_choices": 0,
    }
    assert sorted(path.name for path in (tmp_path / "e").iterdir()) == ["results.json", "scores.jsonl"]


def test_scores_that_are_not_numbers_name_the_checkpoint_and_leave_nothing(scorer, tmp_path):
    broken = jax.tree.map(lambda leaf: leaf * np.float32(np.nan), scorer.params)
    diverged = Scorer(T5(CONFIG), broken, task_feature_lengths=scorer.lengths, batch_size=8)
    with pytest.raises(InputError, match=r"Choice \d of example \d of claim .* nan under the checkpoint run/checkpoint_7"):
        evaluate(diverged, examples(), ORIGINS, tmp_path / "e", about=ABOUT)
    assert not (tmp_path / "e").exists()


def test_an_evaluation_without_rows_is_refused(scorer, tmp_path):
    with pytest.raises(InputError, match="nothing to evaluate"):
        evaluate(scorer, [], ORIGINS, tmp_path / "e", about=ABOUT)


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_scored(scorer, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(scorer, "_run", None)
    with pytest.raises(InputError, match="file is no folder"):
        evaluate(scorer, examples(), ORIGINS, tmp_path / "file" / "e", about=ABOUT)


def test_results_of_an_earlier_version_do_not_survive_a_failed_run(scorer, tmp_path, monkeypatch):
    results = evaluate(scorer, examples(), ORIGINS, tmp_path, about=ABOUT)
    earlier = {name: value for name, value in results.items() if name != "examples_sha256"}
    (tmp_path / "results.json").write_text(json.dumps(earlier))

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(InputError, match="No space left on device"):
        evaluate(scorer, examples(rows=3), ORIGINS, tmp_path, about=ABOUT)
    with pytest.raises(InputError, match="is not finished"):
        read_evaluation(str(tmp_path))


def test_examples_of_empty_choices_are_counted_and_every_report_says_so(scorer, tmp_path):
    ends = [np.array([EOS_ID])] * 2
    evaluate(scorer, [*examples(), RankExample("claim", 9, np.array([5]), ends, [True, False])], ORIGINS, tmp_path, about=ABOUT)
    (warning,) = (text for text in read_evaluation(str(tmp_path)).warnings if "have empty" in text)
    assert warning.endswith("1 of 15 examples have empty choices only: the first one wins")


def test_progress_off_a_terminal_is_a_few_lines_on_standard_error(scorer, tmp_path, capsys):
    evaluate(scorer, examples(rows=40), ORIGINS, tmp_path, about=ABOUT)
    out, err = capsys.readouterr()
    assert out == ""
    assert 1 <= len(err.splitlines()) <= 10
    assert err.splitlines()[-1] == "scored 200 of 200 choices"
