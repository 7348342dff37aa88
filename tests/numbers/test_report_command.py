"""`t0jax report` as a person types it: every form says the same, what is missing first, and no input breaks it."""

import json
import re
from html.parser import HTMLParser

import made_evaluation
import numpy as np
import pytest

from t0jax.cli import main

HOSTILE = '<script>alert("1")</script>|`*_[x](javascript:1)'
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Strict(HTMLParser):
    """Fails on what browsers forgive: elements not closed or closed out of order, attributes given twice, ids too."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.tags = [], set(), []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        ids = {value for name, value in attrs if name == "id"}
        assert not ids & self.ids
        self.ids |= ids
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert "svg" in self.open, f"<{tag}/> is not HTML"

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, (tag, self.getpos())


@pytest.fixture
def evaluation(tmp_path):
    datasets = {
        "super_glue/rte": {"GPT-3 style": made_evaluation.noisy([0.8], rows=277)[0]},
        HOSTILE: {HOSTILE: made_evaluation.noisy([0.4])[0], "x": made_evaluation.noisy([0.5])[0]},
    }
    counts = {"examples": 577, "choices": 1154, "inputs_at_length_limit": 3, "choices_cut": 0}
    about = {"missing_tasks": {HOSTILE: "no rows"}, "trained_on": ["imdb"], "counts": counts}
    return made_evaluation.write(tmp_path / "first", datasets, **about)


def say(capsys, *words):
    status = main(["report", *map(str, words)])
    captured = capsys.readouterr()
    assert status == 0, captured.err
    return captured


def test_what_is_missing_is_said_first_in_every_form(evaluation, tmp_path, capsys):
    html, markdown = tmp_path / "r.html", tmp_path / "r.md"
    terminal = say(capsys, evaluation, f"--html={html}", f"--markdown={markdown}").out
    pages = {"terminal": terminal, "html": html.read_text(), "markdown": markdown.read_text()}
    for form, text in pages.items():
        plain = " ".join(text.replace("\\", "").split())
        for words in ("is incomplete", "trained on imdb", "3 of 577 inputs are as long as the limit", "1 of 10 wordings"):
            assert 0 < plain.index(words) < plain.index("95 % interval"), (form, words)
    captured = say(capsys, evaluation, "--json")
    assert "is incomplete" in captured.err
    assert all(len(json.loads(line)["warnings"]) == 4 for line in captured.out.splitlines())


def test_published_datasets_that_were_not_evaluated_are_named_first(evaluation, capsys):
    captured = say(capsys, evaluation, "--json", "--published=T0_3B")
    assert "published for T0_3B, but not evaluated: super_glue/cb, anli/r1" in captured.err
    assert "crows_pairs" not in captured.err  # of another evaluation, on test rows


def test_json_holds_what_the_page_says(evaluation, tmp_path, capsys):
    lines = say(capsys, evaluation, f"again={evaluation}", "--json", "--published=T0").out.splitlines()
    rte, hostile = map(json.loads, lines)
    assert (rte["dataset"], hostile["dataset"]) == ("super_glue/rte", HOSTILE)
    assert {line["statistic"] for line in rte["published"]} == {"mean", "median", "wording"}
    wording = next(line for line in rte["published"] if line["statistic"] == "wording")
    assert (wording["wording"], wording["value"], wording["tolerance"]) == ("GPT-3 style", 0.8375, 0.015)
    assert wording["difference"] == pytest.approx(rte["wordings"][0]["accuracy"] - 0.8375)
    assert next(line["reason"] for line in rte["published"] if line["statistic"] == "mean") == "1 of 10 wordings"
    assert rte["differences"]["again"]["verdict"] == "no difference"
    assert hostile["spread"] == pytest.approx(abs(np.diff([w["accuracy"] for w in hostile["wordings"]])[0]))
    assert {"agreement", "calibration", "effects"} <= hostile.keys()


def test_the_page_is_strictly_formed_whatever_the_names(evaluation, tmp_path, capsys):
    path = tmp_path / "r.html"
    say(capsys, evaluation, f"<b>{evaluation.name}</b>".replace("/", "") + f"={evaluation}", "--published=T0", f"--html={path}")
    found = Strict(path.read_text())
    assert "script" not in found.tags and "b" not in found.tags
    assert [found.tags.count(tag) for tag in ("main", "h1", "svg")] == [1, 1, 1]


def test_markdown_cells_hold_whatever_the_names(evaluation, tmp_path, capsys):
    path = tmp_path / "r.md"
    say(capsys, evaluation, f"--markdown={path}")
    text = path.read_text()
    assert "<script" not in text
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) >= 3
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1, table


def test_the_terminal_shows_single_wordings_when_asked(evaluation, capsys):
    assert "Which wordings help and hurt" not in say(capsys, evaluation).out
    assert "Which wordings help and hurt" in say(capsys, evaluation, "--wordings").out


def test_a_narrow_terminal_leaves_columns_out_rather_than_cutting_them(evaluation, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    text = re.sub(r"\x1b\[[\d;]*m", "", say(capsys, evaluation).out)
    head = next(line for line in text.splitlines() if "family" in line)
    assert "median" in head and "spread" not in head


def test_an_unknown_model_is_refused_before_anything_is_read(capsys):
    assert main(["report", "nowhere", "--published=T0_4B"]) == 2
    assert "No numbers of 'T0_4B' are known. Did you mean T0_3B" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace('"logp": 0.0', '"logp": NaN', 1), "has the log-probability nan"),
        (lambda text: text[: len(text) - 30], "line 1354 is not a score"),
        (lambda text: text[: text.rindex("\n", 0, -1) + 1], "holds 399 choices"),
        (lambda text: text.replace("GPT-3 style", "another"), "is in only one of scores.jsonl and results.json"),
        (lambda text: "\x00" + text, "line 1 is not a score"),
        (lambda text: text.replace("\n", "\n\n", 1), "line 2 is not a score"),
        (lambda text: text.replace("\n", ",", 1), "line 1 is not a score"),
        (lambda text: "[" * 100_000 + "\n" + text, "line 1 is not a score"),
        (lambda text: text.replace('"example": 0', '"example": 1e99', 1), "line 1 is not a score"),
        (lambda text: text.replace('"example": 0', f'"example": {10**40}', 1), "line 1 is not a score"),
        (lambda text: text.replace('"choice": 0', '"choice": -1', 1), "line 1 is not a score"),
        (lambda text: text.replace('"correct": ', '"correct": 1', 1), "line 1 is not a score"),
        (lambda text: text + text.splitlines(keepends=True)[-1], "line 1355 scores choice 1 of example 199"),
    ],
)
def test_damaged_scores_are_refused_by_line(evaluation, damage, message, capsys):
    path = evaluation / "scores.jsonl"
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    assert main(["report", str(evaluation)]) == 2
    assert message in capsys.readouterr().err


def test_bytes_that_are_no_text_are_refused(evaluation, capsys):
    path = evaluation / "scores.jsonl"
    path.write_bytes(b"\xff\xfe\x00" + path.read_bytes())
    assert main(["report", str(evaluation)]) == 2
    assert "line 1 is not a score" in capsys.readouterr().err


@pytest.mark.parametrize(
    "about",
    [
        {"counts": {"inputs_at_length_limit": "many"}},
        {"counts": [1]},
        {"missing_tasks": {"t": 3}},
        {"trained_on": [["imdb"]]},
        {"tasks": {"t": {"dataset": 1, "family": "f", "wording": "w", "choices": 2}}},
        {"tasks": {"t": {"dataset": "d", "family": "f", "wording": "w", "choices": "2"}}},
    ],
)
def test_results_of_another_kind_are_refused(evaluation, about, capsys):
    path = evaluation / "results.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **about}))
    assert main(["report", str(evaluation)]) == 2
    assert "is not what `t0jax eval` writes" in capsys.readouterr().err


def test_published_numbers_stand_in_the_picture_and_the_first_table(evaluation, tmp_path, capsys):
    path = tmp_path / "r.svg"
    text = say(capsys, evaluation, "--published=T0_3B", f"--svg={path}").out
    assert "published mean" in text.split("Beside the published")[0]
    assert "published mean: 60.6" in path.read_text()


def test_whether_it_was_reproduced_is_said_before_the_tables(tmp_path, capsys):
    datasets = {f"anli/r{n}": made_evaluation.noisy([0.45] * 15, rows=1000 + 200 * (n == 3), choices=3) for n in (1, 2, 3)}
    html, markdown = tmp_path / "r.html", tmp_path / "r.md"
    folder = made_evaluation.write(tmp_path / "e", datasets)
    words = "The mean difference of the mean over 3 datasets to the published T0_3B"
    terminal = say(capsys, folder, "--published=T0_3B", f"--html={html}", f"--markdown={markdown}").out
    for text in (terminal, html.read_text(), markdown.read_text().replace("\\", "")):
        plain = " ".join(text.split())
        assert 0 < plain.index(words) < plain.index("95 % interval")
        assert "not reproduced" in plain[plain.index(words) :][:250]
