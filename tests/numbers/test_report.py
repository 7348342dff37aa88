"""The report states every outcome, needs no other file, and lets no name out of its place."""

import io
import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.console import Console

from t0jax import rank
from t0jax.errors import InputError
from t0jax.report.comparison import Mark, marks_of, sentence
from t0jax.report.evaluation import compare, read_evaluation
from t0jax.report.figure import write_svg
from t0jax.report.page import page
from t0jax.report.table import json_lines, print_table

HOSTILE = '<script>alert("1")</script>&\'\x00]]>'
DATASETS = {
    "super_glue/copa": ("story", 0.9),
    "hellaswag": ("story", 0.5),
    "super_glue/cb": ("nli", 0.2),
    HOSTILE: ("nli", 0.5),
}


def scores_and_origins(datasets=DATASETS, seed=0):
    random = np.random.default_rng(seed)
    scores, origins = {}, {}
    for dataset, (family, accuracy) in datasets.items():
        gold = np.arange(80) % 2
        for wording in range(3):
            name = f"{dataset}_{wording}_score_eval"
            picked = np.where(random.random(80) < accuracy, gold, 1 - gold)
            scores[name] = rank.task_scores(range(80), -1.0 * (picked[:, None] != np.arange(2)), gold[:, None] == np.arange(2))
            origins[name] = rank.Origin(dataset, family, f"wording {wording} of {dataset}")
    return scores, origins


@pytest.fixture(scope="module")
def outcomes():
    return rank.outcomes(*scores_and_origins())


@pytest.fixture(scope="module")
def comparisons(outcomes):
    bag_of_words = {"hellaswag": Mark(0.4), "super_glue/cb": Mark(0.4, 0.3, 0.5)}
    return {"untrained": marks_of(outcomes), f"bag of words {HOSTILE}": bag_of_words}


def write_evaluation(folder, scores, origins, **results):
    folder.mkdir()
    with open(folder / "scores.jsonl", "w") as file:
        for name, task in scores.items():
            for example in range(len(task.examples)):
                for choice in range(task.choices[example]):
                    logp, correct = task.logp[example, choice], task.correct[example, choice]
                    line = (name, int(task.examples[example]), choice, float(logp), bool(correct))
                    file.write(json.dumps(dict(zip(rank.SCORE_FIELDS, line, strict=True))) + "\n")
    tasks = {name: {**vars(origins[name]), "choices": int(task.choices.sum())} for name, task in scores.items()}
    (folder / "results.json").write_text(json.dumps({"checkpoint": "run/checkpoint_5", "tasks": tasks, **results}))
    return folder


class Elements(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]


def test_page_states_the_outcome_of_every_dataset(outcomes, comparisons):
    text = page("Held out", outcomes, comparisons=comparisons, notes=["One seed."], facts={"Step": "7"})
    assert [outcome.verdict for outcome in outcomes] == ["above", "at", "below", "at"]
    for outcome in outcomes[:3]:
        assert sentence(outcome) in text
        assert all(wording.name in text for wording in outcome.wordings)
    assert "One seed." in text
    assert "not distinguishable from the majority baseline" in text


def test_page_needs_nothing_but_itself(outcomes, comparisons):
    text = page("Held out", outcomes, comparisons=comparisons)
    elements = Elements(text)
    assert not {"script", "link", "img", "iframe", "object", "image", "use"} & set(elements.tags)
    assert not [entry for entry in elements.attributes if entry[1] in ("src", "href", "xlink:href", "srcset")]
    assert not re.search(r"url\(|@import", text)


def test_hostile_names_stay_text(outcomes, comparisons):
    text = page(HOSTILE, outcomes, comparisons=comparisons, notes=[HOSTILE], facts={HOSTILE: HOSTILE})
    assert "script" not in Elements(text).tags
    assert "&lt;script&gt;" in text
    assert "\x00" not in text


def test_svg_is_well_formed_with_a_dot_a_wording(tmp_path, outcomes, comparisons):
    write_svg(tmp_path / "r.svg", outcomes, comparisons=comparisons, title=HOSTILE)
    root = ElementTree.parse(tmp_path / "r.svg").getroot()
    dots = [element for element in root.iter("{http://www.w3.org/2000/svg}circle") if element.get("class") == "dot"]
    assert len(dots) == sum(len(outcome.wordings) for outcome in outcomes)
    titles = {dot.find("{http://www.w3.org/2000/svg}title").text.split(":")[0] for dot in dots}
    assert "wording 1 of hellaswag" in titles


def test_figure_bounds_hold_extreme_shares(tmp_path):
    scores, origins = scores_and_origins({"all": ("f", 1.0), "none": ("f", 0.0)})
    write_svg(tmp_path / "r.svg", rank.outcomes(scores, origins))
    places = [float(x) for x in re.findall(r'<circle[^>]* cx="([\d.]+)"', (tmp_path / "r.svg").read_text())]
    assert min(places) > 0 and max(places) < 1000


def test_table_shows_every_dataset_and_comparison(outcomes, comparisons):
    console = Console(width=200, file=io.StringIO())
    print_table(outcomes, comparisons=comparisons, title="[not markup]", console=console)
    text = console.file.getvalue()
    assert all(name in text for name in ("super_glue/copa", "hellaswag", "super_glue/cb", "untrained", "[not markup]"))
    assert text.count("above majority") == 1


def test_json_has_one_object_a_dataset(outcomes, comparisons):
    lines = [json.loads(line) for line in json_lines(outcomes, comparisons=comparisons)]
    assert [line["dataset"] for line in lines] == list(DATASETS)
    assert lines[0]["verdict"] == "above"
    assert lines[1]["comparisons"][f"bag of words {HOSTILE}"] == {"value": 0.4, "low": None, "high": None}
    assert len(lines[2]["wordings"]) == 3


def test_an_evaluation_is_read_back_as_it_was(tmp_path):
    scores, origins = scores_and_origins()
    evaluation = read_evaluation(str(write_evaluation(tmp_path / "e", scores, origins)))
    assert evaluation.outcomes == rank.outcomes(scores, origins)
    assert evaluation.facts["Checkpoint"] == "run/checkpoint_5"


def test_an_evaluation_without_checkpoint_is_called_untrained(tmp_path):
    scores, origins = scores_and_origins()
    first = read_evaluation(str(write_evaluation(tmp_path / "e", scores, origins)))
    other = write_evaluation(tmp_path / "u", scores, origins, checkpoint=None)
    assert set(compare([first, read_evaluation(str(other)), read_evaluation(f"again={other}")])) == {"untrained", "again"}
    with pytest.raises(InputError, match="Two evaluations are called untrained"):
        compare([first, read_evaluation(str(other)), read_evaluation(str(other))])


def test_evaluations_without_a_common_dataset_are_not_compared(tmp_path):
    one = write_evaluation(tmp_path / "one", *scores_and_origins({"copa": ("f", 1.0)}))
    two = write_evaluation(tmp_path / "two", *scores_and_origins({"cb": ("f", 1.0)}))
    with pytest.raises(InputError, match="two has no dataset in common with one"):
        compare([read_evaluation(str(one)), read_evaluation(str(two))])


def test_an_evaluation_that_is_missing_or_not_finished_is_refused(tmp_path):
    scores, origins = scores_and_origins({"copa": ("f", 1.0)})
    folder = write_evaluation(tmp_path / "e", scores, origins)
    with pytest.raises(InputError, match="no evaluation at"):
        read_evaluation(str(tmp_path / "nowhere"))
    lines = (folder / "scores.jsonl").read_text().splitlines(keepends=True)
    (folder / "scores.jsonl").write_text("".join(lines[:-2]))
    with pytest.raises(InputError, match="holds 158 choices of copa_2_score_eval"):
        read_evaluation(str(folder))
    (folder / "scores.jsonl").write_text("".join(lines[:160]))
    with pytest.raises(InputError, match="copa_1_score_eval is in only one of"):
        read_evaluation(str(folder))
    (folder / "results.json").write_text("[]")
    with pytest.raises(InputError, match="is not what `t0jax eval` writes"):
        read_evaluation(str(folder))
    (folder / "results.json").unlink()
    with pytest.raises(InputError, match="is not finished"):
        read_evaluation(str(folder))


def test_a_report_that_cannot_be_written_leaves_nothing(tmp_path, outcomes):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_svg(tmp_path / "file" / "r.svg", outcomes)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
