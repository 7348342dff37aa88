"""What is held out stays out of training, by dataset and by family, unless a table or the user says so."""

from collections.abc import Callable
from pathlib import Path

import pytest

from t0jax.config import DataConfig
from t0jax.data.held_out import check_held_out, held_out, held_out_conflicts, trained_on
from t0jax.data.universe import mixture_names, mixture_tasks, universe_of
from t0jax.errors import InputError

T0_HELD_OUT = {
    "anli",
    "hellaswag",
    "story_cloze/2016",
    "super_glue/cb",
    "super_glue/copa",
    "super_glue/rte",
    "super_glue/wic",
    "super_glue/wsc.fixed",
    "winogrande/winogrande_xl",
}
"""The datasets of the paper's held-out tasks."""


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., str]:
    """Write tables of a user's into a folder."""

    def written(**tables: str) -> str:
        for name, text in tables.items():
            (tmp_path / f"{name}.csv").write_text(text)
        return str(tmp_path)

    return written


def conflicts(mixture: str, *tables: str) -> dict[str, str]:
    found = held_out_conflicts(universe_of(tables).mixture_tasks(mixture), held_out(tables), mixture)
    return {conflict.name: conflict.reason for conflict in found}


def test_the_datasets_of_the_paper_are_held_out_and_the_families_that_t0_never_trains() -> None:
    rules = held_out()
    names = {f"{dataset}/{subset}" if subset else dataset for dataset, subset in rules.datasets}
    biased = {"crows_pairs", "jigsaw_toxicity_pred", "super_glue/axg"} | {
        f"wino_bias/type{n}_{p}" for n in "12" for p in ("anti", "pro")
    }
    assert names == T0_HELD_OUT | biased
    t0 = {"NLI", "coreference", "story_completion", "word_sense_disambiguation", "bias_and_fairness"}
    assert set(rules.families) == t0 | {"sentence_completion"}  # the demonstration's name for T0's task of that name


@pytest.mark.parametrize("mixture", [name for name in mixture_names() if "score_eval" not in name])
def test_every_training_mixture_of_the_house_keeps_what_is_held_out_out_of_training(mixture: str) -> None:
    assert conflicts(mixture) == {}


def test_t0pp_trains_superglue_because_the_table_says_so_and_no_other_mixture_may(own: Callable[..., str]) -> None:
    tables = own(members="mixture,member,rate,cap\nmine,t0++_train,,\n")
    assert set(conflicts("mine", tables)) == {"hellaswag", "super_glue/copa", "super_glue/wic", "super_glue/wsc.fixed"}
    assert conflicts("super_glue_rte") == {"super_glue/rte": "t0_eval_score_eval scores it zero-shot"}


def test_a_family_that_is_held_out_is_not_trained_through_another_dataset(own: Callable[..., str]) -> None:
    tables = own(tasks="dataset,subset,family,train_size\nglue,mnli,NLI,392702\nglue,mrpc,,3668\n")
    reason = "t0_eval_score_eval scores its family NLI zero-shot"
    assert conflicts("glue_mnli", tables) == {"glue/mnli": reason}
    assert conflicts("glue_mrpc", tables) == {}


def test_a_users_own_evaluation_dataset_is_held_out_and_his_table_may_except_it(own: Callable[..., str]) -> None:
    tables = own(
        news="dataset,subset,family,train_in,eval_in,train_size\nag_news,,topics,MINE,MINE,120\ntrec,,topics,MINE,,60\n",
        mixtures="mixture,table,role,datasets,prompts,cap\nmine,news,train,MINE,all,9\nscored,news,eval_score_eval,MINE,all,\n",
    )
    assert conflicts("mine", tables) == {"ag_news": "scored scores it zero-shot"}
    own(trains_held_out="mixture,dataset,subset,reason\nmine,ag_news,,its scores are of the validation rows\n")
    assert conflicts("mine", tables) == {}


def test_training_on_held_out_data_is_refused_in_one_sentence_with_the_remedy() -> None:
    refused = DataConfig(mixture_or_task_name="super_glue_rte")
    with pytest.raises(InputError, match=r"super_glue_rte trains on what is held out: super_glue/rte .*ALLOW_HELD_OUT=True"):
        check_held_out(mixture_tasks("super_glue_rte"), refused)
    check_held_out(mixture_tasks("super_glue_rte_score_eval"), refused)


def test_the_scored_datasets_that_were_trained_on_are_named() -> None:
    scored = mixture_tasks("t0_eval_score_eval")
    assert trained_on(scored, mixture_tasks("t0_train")) == ()
    assert set(trained_on(scored, mixture_tasks("t0++_train"))) == {
        ("super_glue", "wsc.fixed"),
        ("super_glue", "copa"),
        ("super_glue", "wic"),
        ("hellaswag", None),
    }
