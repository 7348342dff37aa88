"""The two bugs of promptsource's that its users found and no tool did, planted as they were.

bigscience-workshop/promptsource#844, mended by #832: the hub renamed TREC's `label-coarse` and `label-fine` to `coarse_label`
and `fine_label` and renumbered both; the templates rendered empty from then on. #840, mended by #841: a wording of RACE's asks
about an option that it draws at random, but always shows the right one.
"""

from pathlib import Path
from typing import Any

import pytest
from quiz import WORDS, Quiz

OLD_TREC = {
    "what_category_best_describe": {
        "jinja": "Categories: {{', '.join(answer_choices)}}\n\nWhat category best describes: {{text}} \n"
        "Answer: ||| {{ answer_choices [label_coarse] }}",
        "answer_choices": "Description ||| Entity ||| Abbreviation ||| Person ||| Quantity ||| Location",
    },
    "fine_grained_LOC": {
        "jinja": "{% set label_mapping = {21:0, 18:1, 24:2, 11:3, 14:4} %}\n{% if label_coarse == 5 %}\n"
        "Is this question asking for {{', '.join(answer_choices)}}?\n{{text}}\n|||\n"
        "{{ answer_choices [label_mapping[label_fine]] }}\n{% endif %}",
        "answer_choices": "city ||| country ||| mountain ||| state ||| other location",
    },
}
"""Two of the eighteen wordings of promptsource 0.1.0 to 0.2.3."""
RACE = {
    "Is this the right answer": {
        "jinja": '{% set candidate = ["A", "B", "C", "D"] | choice %}\nArticle: {{article}}\nQuestion: {{question}}\n'
        'Yes or no, is the answer "{{ [options.0,options.1,options.2,options.3][{"A":0,"B":1,"C":2,"D":3}[answer]]\n}}"?\n'
        "|||\n{% if candidate == answer %}\nYes\n{% else %}\nNo\n{% endif %}",
        "answer_choices": "Yes ||| No",
    },
    "Read the article and answer the question (no option)": {
        "jinja": "Read the following article and answer the question.\nArticle: {{article}}\nQuestion: {{question}}\n"
        'Answer:\n|||\n{{ answer_choices[{"A":0,"B":1,"C":2,"D":3}[answer]] }}',
        "answer_choices": '{{ options | join("|||") }}',
    },
}
"""The wording of promptsource 0.1.0 to 0.2.3, and a sound one that stands beside it there."""


@pytest.fixture
def quiz(tmp_path: Path) -> Quiz:
    return Quiz(tmp_path)


def old_trec(index: int) -> dict[str, Any]:
    """Coarse: description, entity, abbreviation, human, number, location; fine: the labels of number and location alone."""
    fine = {4: (39, 13, 8, 40), 5: (21, 18, 24, 11, 14)}
    coarse = index % 6
    return {"text": f"Question {index} ?", "label_coarse": coarse, "label_fine": fine.get(coarse, (0,) * 4)[index // 6 % 4]}


def new_trec(index: int) -> dict[str, Any]:
    """Coarse: abbreviation, entity, description, human, location, number; fine from 32 (location) and 37 (number) on."""
    coarse = index % 6
    return {"text": f"Question {index} ?", "coarse_label": coarse, "fine_label": {4: 32, 5: 37}.get(coarse, 0) + index // 6 % 4}


def race(index: int) -> dict[str, Any]:
    options = [WORDS[(index + 6 * place) % len(WORDS)] for place in range(4)]
    article = " ".join(WORDS[(index * 3 + place) % len(WORDS)] for place in range(8))
    return {"article": article, "question": f"Which is it in {index}?", "options": options, "answer": "ABCD"[index * 7 % 4]}


def found(quiz: Quiz) -> set[tuple[str, str, str]]:
    return {(finding.task.removeprefix("quiz_"), finding.check, finding.severity) for finding in quiz.lint()}


def test_trecs_old_wordings_are_sound_on_trecs_old_rows(quiz: Quiz) -> None:
    quiz.write(OLD_TREC, rows=600, row=old_trec)
    assert quiz.lint() == []


def test_trecs_renamed_labels_are_found_with_their_new_names(quiz: Quiz) -> None:
    quiz.write(OLD_TREC, rows=600, row=new_trec)
    findings = quiz.lint()
    assert {(finding.task, finding.check, finding.severity, finding.share) for finding in findings} == {
        ("quiz_fine_grained_LOC", "field", "error", 1),
        ("quiz_what_category_best_describe", "field", "error", 1),
    }
    assert {finding.message for finding in findings} == {
        "It reads the field label_coarse. Did you mean coarse_label?",
        "It reads the field label_fine. Did you mean fine_label?",
    }


def test_trecs_renumbered_labels_are_found_where_only_the_names_were_mended(quiz: Quiz) -> None:
    mended = {
        name: wording | {"jinja": wording["jinja"].replace("label_coarse", "coarse_label").replace("label_fine", "fine_label")}
        for name, wording in OLD_TREC.items()
    }
    quiz.write(mended, rows=600, row=new_trec)
    (finding,) = quiz.lint()
    assert (finding.task, finding.check, finding.severity, finding.share) == ("quiz_fine_grained_LOC", "empty", "error", 1)
    assert finding.message.startswith("Its target is empty")


def test_races_wording_that_always_shows_the_right_answer_is_found(quiz: Quiz) -> None:
    quiz.write(RACE, rows=400, row=race)
    wording = "Is_this_the_right_answer"
    assert found(quiz) == {(wording, check, "error") for check in ("leak", "verdict", "draw")}
    (leak,) = [finding for finding in quiz.lint() if finding.check == "leak"]
    assert (leak.share, leak.rows) == (1, 400)


def test_it_is_found_without_a_sound_wording_beside_it_by_its_draw(quiz: Quiz) -> None:
    quiz.write({"Is this the right answer": RACE["Is this the right answer"]}, rows=400, row=race)
    assert found(quiz) == {("Is_this_the_right_answer", "draw", "error")}


def test_races_mended_wording_is_sound(quiz: Quiz) -> None:
    wording = RACE["Is this the right answer"]
    mended = wording | {"jinja": wording["jinja"].replace("[answer]]", "[candidate]]")}
    quiz.write(RACE | {"Is this the right answer": mended}, rows=400, row=race)
    assert quiz.lint() == []
