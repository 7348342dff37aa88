"""The tables are T0's decisions: the released code's tasks, mixtures and rates, and nothing held out in training."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from t0jax import street
from t0jax.cli import main
from t0jax.data import rates, universe
from t0jax.data.freeze import frozen_templates
from t0jax.data.tabled import frozen_path
from t0jax.data.tables import read_datasets
from t0jax.errors import InputError

# Golden: the released mixture code run over promptsource 0.2.3 with registries that only take notes. Tasks, the sum of the
# rates in training, and the start of the SHA-256 of the sorted names, one a line.
RELEASED = {
    "t0_train": (313, 17_277_798, "d81f1733b4bf5abc"),
    "t0+_train": (392, 20_672_671, "5f4a4020b000c5ea"),
    "t0++_train": (464, 23_118_591, "f53a0b1b752ee854"),
    "t0_train_one_og_prompt": (35, 1_993_444, "b277f16fb587a14f"),
    "t0_train_all_og_prompts": (222, 12_527_831, "e780bb629f0b294d"),
    "t0_train_score_eval": (89, None, "c6be5eb2ced37a8f"),
    "t0_eval_score_eval": (116, None, "947908cb5c6bc665"),
    "bias_fairness_eval_score_eval": (16, None, "3f9b37f50469dd07"),
}
T0_EVALUATES_ON = {"rte", "cb", "copa", "wsc.fixed", "wic", "winogrande", "anli", "hellaswag", "story_cloze"}
NEVER_HELD_OUT = ["t0_train", "t0_train_one_og_prompt", "t0_train_all_og_prompts"]
NEVER_HELD_OUT += [f"{suite}_train{which}" for suite in ("mini_t0", "demo") for which in ("", "_one_og_prompt")]


@pytest.mark.parametrize("mixture", RELEASED)
def test_mixture_is_the_released_one(mixture: str) -> None:
    tasks = universe.mixture_tasks(mixture)
    names = hashlib.sha256("\n".join(sorted(task.name for task in tasks)).encode()).hexdigest()
    count, rates, start = RELEASED[mixture]
    assert (len(tasks), names[:16]) == (count, start)
    assert rates is None or sum(task.rate for task in tasks) == rates


def test_there_are_as_many_tasks_as_t0_registered() -> None:
    assert len(universe.task_names()) == len(set(universe.task_names())) == 975


@pytest.mark.parametrize("mixture", NEVER_HELD_OUT)
def test_training_mixture_has_no_eval_dataset(mixture: str) -> None:
    trained = {(task.dataset, task.subset) for task in universe.mixture_tasks(mixture)}
    scored = {m for m in universe.mixture_names() if m.endswith("_eval_score_eval")} - {"bias_fairness_eval_score_eval"}
    held_out = {(task.dataset, task.subset) for name in scored for task in universe.mixture_tasks(name)}
    assert not trained & held_out
    assert not {part for key in trained for part in key} & T0_EVALUATES_ON
    assert "super_glue" not in {dataset for dataset, _ in trained}


@pytest.mark.parametrize("mixture", NEVER_HELD_OUT)
def test_training_has_no_family_that_is_held_out(mixture: str) -> None:
    families = {task.family for task in universe.mixture_tasks(mixture)}
    assert not families & {"NLI", "coreference", "story_completion", "sentence_completion", "word_sense_disambiguation"}


def test_one_original_prompt_a_dataset_is_the_first_of_its_names() -> None:
    every = universe.mixture_tasks("t0_train_all_og_prompts")
    for task in universe.mixture_tasks("t0_train_one_og_prompt"):
        same = [other.template for other in every if (other.dataset, other.subset) == (task.dataset, task.subset)]
        assert task.template == min(same)


@pytest.mark.parametrize(
    ("dataset", "subset", "template", "name"),
    [
        ("super_glue", "wsc.fixed", "does p stand for", "super_glue_wsc.fixed_does_p_stand_for"),
        ("cos_e", "v1.11", "i_think", "cos_e_v1.11_i_think"),
        ("super_glue", "copa", "“C1 or C2?” premise, so/because…", "super_glue_copa__C1_or_C2_premise_so_because_"),
        ("ag_news", None, "classify", "ag_news_classify"),
        ("ai2_arc", "ARC-Easy", "a - b", "ai2_arc_ARC_Easy_a_b"),
    ],
)
def test_task_name_keeps_letters_digits_dots_and_underscores(
    dataset: str, subset: str | None, template: str, name: str
) -> None:
    assert universe.task_name(dataset, subset, template) == name


def test_rate_divides_only_above_the_cap() -> None:
    assert rates.released(500_000, 9, 500_000) == 500_000
    assert rates.released(500_001, 9, 500_000) == 55_555
    assert universe.task("amazon_polarity_Is_this_review").rate == 500_000 // 9
    assert universe.task("imdb_Writer_Expressed_Sentiment").rate == 25_000


def test_anli_rounds_are_tasks_with_their_own_splits() -> None:
    for number in "123":
        task = universe.task(f"anli_GPT_3_style_r{number}_score_eval")
        assert task.splits == {"train": f"train_r{number}", "validation": f"dev_r{number}", "test": f"test_r{number}"}


def test_twins_exist_for_templates_with_choices_only() -> None:
    for name in universe.task_names():
        task = universe.task(name)
        assert task.has_choices or f"{name}_score_eval" not in universe.task_names()
        assert task.is_scored == name.endswith("_score_eval")


def test_freezing_again_gives_the_same_bytes() -> None:
    assert frozen_templates() == frozen_path(street.mixtures_folder()).read_text(encoding="utf-8")


def test_a_dataset_above_the_cap_gives_a_mixture_no_more_than_the_cap() -> None:
    totals: dict[tuple[str, str | None], int] = {}
    for task in universe.mixture_tasks("t0_train"):
        if task.train_size > rates.MAX_EXAMPLES_PER_DATASET:
            totals[task.dataset, task.subset] = totals.get((task.dataset, task.subset), 0) + task.rate
    assert len(totals) == 5
    assert max(totals.values()) <= rates.MAX_EXAMPLES_PER_DATASET


def test_a_table_with_other_fields_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("dataset,sbset\nimdb,\n")
    with pytest.raises(InputError, match=r"mine.csv has the column 'sbset', which nothing reads. Did you mean subset"):
        read_datasets(path)


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no mixture or task 't0_trian'. Did you mean t0_train"):
        universe.mixture_tasks("t0_trian")
    with pytest.raises(InputError, match=r"no task 'imdb_Sentiment_with_choice'. Did you mean imdb_Sentiment_with_choices"):
        universe.task("imdb_Sentiment_with_choice")


def test_listing_prints_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "--mixture", "t0_train", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 313
    fields = ["task", "dataset", "subset", "template", "rate", "train_size", "original_task", "has_choices", "metrics"]
    assert all(list(line) == fields for line in lines)
    assert {line["subset"] for line in lines if line["dataset"] == "imdb"} == {None}
    assert {tuple(line["metrics"]) for line in lines if line["dataset"] == "samsum"} == {("ROUGE",)}


def test_listing_loads_no_heavy_library() -> None:
    code = (
        "import sys; from t0jax.cli import main; main(['tasks', '--mixture', 't0_train']);"
        "bad = {'tensorflow', 'jax', 'seqio', 'jinja2', 'yaml', 'promptsource', 'numpy'} & set(sys.modules);"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
