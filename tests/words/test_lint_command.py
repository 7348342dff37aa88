"""`t0jax tasks lint`: its status, what it prints, and what it finds in T0's own wordings on real rows."""

import argparse
import json
from pathlib import Path

import pytest
from quiz import LISTED, Quiz

from t0jax.cli.tasks import lint
from t0jax.data.synthetic import synthetic_rows
from t0jax.data.universe import mixture_tasks
from t0jax.errors import InputError

OWN = {
    ("imdb_Negation_template_for_positive_and_negative", "target", "error"),  # targets end in "review.", its choices do not
    ("qasc_is_correct_2", "verdict", "error"),  # shows the second choice, is labelled for the first
    ("sciq_Multiple_Choice", "option", "error"),  # one of its 24 orders names choice 2 twice and choice 3, the answer, never
    ("sciq_Multiple_Choice_Closed_Book_", "option", "error"),
    ("sciq_Multiple_Choice_Question_First", "option", "error"),
    ("sciq_Direct_Question", "position", "warning"),
    ("sciq_Direct_Question_Closed_Book_", "position", "warning"),
    ("social_i_qa_Check_if_a_random_answer_is_valid_or_not", "draw", "warning"),  # range(0,2) never shows the third answer
    ("trec_fine_grained_ENTY", "empty", "warning"),  # its mapping of fine labels lacks 29
}
"""All that is to be found in these wordings of promptsource 0.2.3; each was checked by hand."""
DATASETS = ("imdb", "qasc", "sciq", "social_i_qa", "trec", "rotten_tomatoes", "paws_labeled_final", "piqa", "cosmos_qa")


MADE_UP = {
    ("imdb_Negation_template_for_positive_and_negative", "target"),
    ("qasc_is_correct_2", "verdict"),
    ("race_high_Is_this_the_right_answer", "draw"),  # always shows the right answer, draws what the target is
    ("race_high_Is_this_the_right_answer", "leak"),
    ("race_high_Is_this_the_right_answer", "verdict"),
    ("race_middle_Is_this_the_right_answer", "draw"),
    ("race_middle_Is_this_the_right_answer", "leak"),
    ("race_middle_Is_this_the_right_answer", "verdict"),
    ("sciq_Direct_Question", "position"),
    ("sciq_Direct_Question_Closed_Book_", "position"),
    ("sciq_Multiple_Choice", "option"),
    ("sciq_Multiple_Choice_Closed_Book_", "option"),
    ("sciq_Multiple_Choice_Question_First", "option"),
    ("social_i_qa_Check_if_a_random_answer_is_valid_or_not", "draw"),
    ("wiqa_which_of_the_following_is_the_supposed_perturbation", "target"),  # "directly ..." is not among its choices
}
"""All that there is to be found in T0++'s 464 wordings on made-up rows, but for what depends on the rows' texts."""
OF_TEXTS = {"cut", "empty", "label", "length"}


def command(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    lint.add_arguments(parser)
    return lint.run(parser.parse_args([str(argument) for argument in arguments]))


@pytest.fixture
def quiz(tmp_path: Path) -> Quiz:
    return Quiz(tmp_path)


def places(quiz: Quiz) -> list[str]:
    return ["--tables", str(quiz.folder / "tables"), "--data_dir", str(quiz.folder / "rows"), "--mixture", "quiz"]


def test_errors_are_status_1_and_warnings_0(quiz: Quiz, capsys: pytest.CaptureFixture[str]) -> None:
    quiz.write({"listed": LISTED, "listed again": LISTED})
    assert command(*places(quiz)) == 0
    assert (
        capsys.readouterr().out
        == "warning quiz_listed_again [duplicate]: It is the wording 'listed' again: take one of them out.\n"
    )
    quiz.write(
        {"bad": {"jinja": "{{ questions }} ||| {{ article }}"}, "worse": {"jinja": "{{ questions }}! ||| {{ article }}"}}
    )
    assert command(*places(quiz)) == 1
    printed = capsys.readouterr()
    assert printed.out == (
        "error quiz_bad and 1 more wordings [field, 100.0% of 200 rows of train, the first of them row 0]: "
        "It reads the field questions. Did you mean question or options?\n"
    )
    assert "lint: 2 tasks of 1 datasets on 200 rows, 2 errors, 0 warnings\n" in printed.err


def test_json_has_one_finding_a_line(quiz: Quiz, capsys: pytest.CaptureFixture[str]) -> None:
    quiz.write({"bad": {"jinja": "{{ questions }} ||| {{ article }}"}, "good": LISTED})
    assert command(*places(quiz), "--json") == 1
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {
            "task": "quiz_bad",
            "split": "train",
            "check": "field",
            "severity": "error",
            "rows": 200,
            "share": 1.0,
            "row": 0,
            "message": "It reads the field questions. Did you mean question or options?",
        }
    ]


def test_bad_input_is_told(quiz: Quiz) -> None:
    quiz.write({"listed": LISTED})
    with pytest.raises(InputError, match="--num is 0; it must be above 0"):
        command(*places(quiz), "--num", 0)
    with pytest.raises(InputError, match="has no split 'dev'; it has train, validation, test"):
        command(*places(quiz), "--split", "dev")
    with pytest.raises(InputError, match=r"There is no data directory nowhere: give the folder of"):
        command(*places(quiz), "--data_dir", "nowhere")
    (quiz.folder / "rows/quiz/default/train.jsonl").write_text("{")
    with pytest.raises(InputError, match="line 1 is not JSON"):
        command(*places(quiz))


def test_t0s_own_wordings_have_the_known_defects_and_no_other(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = set()
    for dataset in DATASETS:
        command("--mixture", dataset, "--data_dir", shared_data, "--num", 300, "--json")
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        found |= {(line["task"], line["check"], line["severity"]) for line in lines if line["check"] != "cut"}
    assert found == OWN


def test_no_other_wording_of_t0pps_is_blamed_on_rows_in_the_schemas_of_all_its_datasets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for task in mixture_tasks("t0++_train"):
        path = tmp_path / task.dataset / (task.subset or "default") / "train.jsonl"
        if not path.exists():
            path.parent.mkdir(parents=True)
            rows = synthetic_rows(task.dataset, task.subset, 100, oddities=0)
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert command("--mixture", "t0++_train", "--data_dir", tmp_path, "--json") == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(line["task"], line["check"]) for line in lines if line["check"] not in OF_TEXTS} == MADE_UP
