"""A user's tables: a task is a line and a template file; mixtures hold mixtures, each level with its caps."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from t0jax.cli import main
from t0jax.data.prompting import task_templates
from t0jax.data.universe import Universe, universe_of
from t0jax.errors import InputError
from t0jax.street import mixtures_folder

TEMPLATES = """\
templates:
  - name: did they like it
    jinja: "{{ review }} Did the guest like it? ||| {{ answer_choices[label] }}"
    answer_choices: no ||| yes
    original_task: true
  - name: write one
    jinja: "Write a review. ||| {{ review }}"
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Universe]:
    """Write the tables of a folder, and as `templates_<dataset>` template files."""

    def written(rule: str | None = None, **tables: str) -> Universe:
        for name, text in tables.items():
            path = tmp_path / (f"templates/{name[10:]}/templates.yaml" if name.startswith("templates_") else f"{name}.csv")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Universe([mixtures_folder(), tmp_path], rule)

    return written


BISTRO = {"tasks": "dataset,train_size\nbistro,600\n", "templates_bistro": TEMPLATES}


def rates(universe: Universe, name: str) -> dict[str, float]:
    return {task.name: task.rate for task in universe.mixture_tasks(name)}


def test_a_line_and_a_template_file_are_tasks_and_a_mixture(write: Callable[..., Universe]) -> None:
    universe = write(**BISTRO)
    assert rates(universe, "bistro") == {"bistro_did_they_like_it": 600, "bistro_write_one": 600}
    assert rates(universe, "bistro_score_eval") == {"bistro_did_they_like_it_score_eval": 1}
    assert [universe.task(f"bistro_{name}").original_task for name in ("did_they_like_it", "write_one")] == [True, False]
    assert rates(universe, "t0_train") == rates(universe_of(), "t0_train")


def test_every_dataset_of_t0_is_a_mixture_of_its_wordings() -> None:
    assert len(rates(universe_of(), "super_glue_rte_score_eval")) == 10
    assert rates(universe_of(), "gigaword").keys() == {
        name for name in rates(universe_of(), "t0_train") if name.startswith("gigaword")
    }


def test_a_mixture_selects_from_a_table_of_ones_own_by_its_cap_and_rule(write: Callable[..., Universe]) -> None:
    mixtures = "mixture,table,role,datasets,prompts,cap,rule\n"
    mixtures += "".join(f"mine_{rule},tasks,train,MINE,all,900,{rule}\n" for rule in ("released", "t_few", "prose"))
    universe = write(**BISTRO | {"tasks": "dataset,train_in,train_size\nbistro,MINE,600\n"}, mixtures=mixtures)
    assert set(rates(universe, "mine_released").values()) == {600}  # 600 rows are below the cap of 900
    assert set(rates(universe, "mine_t_few").values()) == {450}  # which two templates share here
    assert set(rates(universe, "mine_prose").values()) == {300}  # two templates share the rows


@pytest.mark.parametrize(
    ("rule", "imdb", "amazon"),
    [("released", 25_000, 500_000 // 9), ("t_few", 25_000, 500_000 // 9), ("prose", 25_000 // 11, 500_000 // 9)],
)
def test_cap_rules_differ_as_published(rule: str, imdb: int, amazon: int) -> None:
    found = rates(universe_of((), rule), "t0_train")
    assert (found["imdb_Writer_Expressed_Sentiment"], found["amazon_polarity_Is_this_review"]) == (imdb, amazon)


def test_t_few_caps_a_template_of_a_dataset_below_the_cap() -> None:
    # glue/qqp: 363,846 rows, 6 templates; released draws all rows for each, T-Few at most 500,000 // 6.
    for rule, rate in (("released", 363_846), ("t_few", 83_333), ("prose", 60_641)):
        assert {rate} == {r for name, r in rates(universe_of((), rule), "t0_train").items() if name.startswith("glue_qqp")}


def test_mixtures_of_mixtures_are_capped_at_each_level(write: Callable[..., Universe]) -> None:
    members = (
        "mixture,member,rate,cap\n"
        "inner,bistro,,500\n"  # both wordings: 600 -> 500
        "inner,super_glue_rte_GPT_3_style,,100\n"  # 2,490 -> 100
        "outer,inner,30,400\n"  # 400, 400, 100 share 30
        "outer,super_glue_rte_GPT_3_style,10,\n"  # and once more by itself
    )
    found = rates(write(**BISTRO, members=members), "outer")
    assert found == pytest.approx(
        {
            "bistro_did_they_like_it": 30 * 400 / 900,
            "bistro_write_one": 30 * 400 / 900,
            "super_glue_rte_GPT_3_style": 30 * 100 / 900 + 10,
        }
    )


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        (
            {"members": "mixture,member\na,b\nb,c\nc,a\n"},
            r"members.csv, line 4: the mixture a holds itself \(a -> b -> c -> a\)",
        ),
        (
            {"members": "mixture,member\na,bistr\n"},
            r"members.csv, line 2: there is no mixture or task 'bistr'. Did you mean bistro",
        ),
        ({"members": "mixture,member\na,bistro\na,bistro_score_eval\n"}, "is scored, and .* trains: make two mixtures"),
        (
            {"members": "mixture,member\na,ag_news\na,mini_t0_train\n"},  # which trains its test rows
            "line 3: mini_t0_train and a member before it split the rows of ag_news_classify.* differently",
        ),
        ({"members": "mixture,member\nt0_train,bistro\n"}, "Two mixtures are called t0_train"),
        ({"members": "mixture,member,rate\na,bistro,many\n"}, "line 2: rate is 'many'; it must be a number above 0"),
        ({"members": "mixture,member,cap\na,bistro,0\n"}, "line 2: cap is 0"),
        ({"tasks": "dataset,train_size\nbistro,x\n"}, "train_size is 'x'; it must be a whole number"),
        ({"tasks": "dataset,train_size\nbistro,1\nbistro,2\n"}, "Two tasks are called bistro_did_they_like_it: .*, line 2 and"),
        ({"tasks": "dataset\nmissing\n"}, "there are no templates for missing: put them at .*missing/templates.yaml"),
        ({"tasks": "dataset,splits\nbistro,train\n"}, "splits is 'train'; write 'train=train validation=dev'"),
        ({"templates_bistro": "- 1"}, "is not a template file"),
        ({"templates_bistro": "templates: [1]"}, "template 1 is 1: write name, jinja"),
        (
            {"templates_bistro": TEMPLATES.replace("answer_choices:", "answer_choice:")},
            "'answer_choice', .* mean answer_choices",
        ),
        (
            {"templates_bistro": TEMPLATES.replace("no ||| yes", "no")},
            "'did they like it'.: answer_choices is False; it must be",
        ),
        (
            {"tasks": "dataset,train_sise\nbistro,1\n"},
            "has the column 'train_sise', which nothing reads. Did you mean train_si",
        ),
        ({"tasks": "dataset,train_size\nbistro\n"}, "line 2 has not as many fields as there are columns"),
        ({"mixtures": "mixture,table,role,datasets,prompts\na,tasks,train,MINE,all\n"}, "line 2: a has no task: no dataset of"),
        ({"templates_bistro": TEMPLATES.replace("write one", "did they like it")}, "two templates named 'did they like it'"),
        (
            {"templates_bistro": TEMPLATES.replace("write one", "did they - like it")},
            "line 2: the templates 'did they - like it' and 'did they like it' of bistro both make the task",
        ),
        (
            {"mixtures": "mixture,table,role,datasets,prompts,rule\na,tasks,train,MINE,all,relased\n"},
            "mixtures.csv, line 2: rule is 'relased'; it must be released, t_few or prose",
        ),
        (
            {"templates_imdb": TEMPLATES.replace("did they like it", "Writer Expressed Sentiment"), "tasks": "dataset\nimdb\n"},
            "Two tasks are called imdb_Writer_Expressed_Sentiment: .*t0.csv.* and .*tasks.csv",
        ),
    ],
)
def test_tables_that_contradict_are_named(write: Callable[..., Universe], tables: dict[str, str], words: str) -> None:
    universe = write(**BISTRO | tables)
    with pytest.raises(InputError, match=words):
        universe.mixture_tasks("a")
        universe.task_names()


def test_choices_may_be_a_list_and_a_table_may_come_from_a_spreadsheet(write: Callable[..., Universe]) -> None:
    listed = TEMPLATES.replace("no ||| yes", "['no', 'yes']")
    universe = write(**BISTRO | {"templates_bistro": listed, "tasks": "\ufeffdataset,train_size\nbistro,600\n"})
    [task, _] = universe.mixture_tasks("bistro")
    assert task_templates([task])[0].answer_choices == "no ||| yes"


def test_a_dataset_that_trains_needs_its_size(write: Callable[..., Universe]) -> None:
    mixtures = "mixture,table,role,datasets,prompts\nmine,tasks,train,MINE,all\n"
    universe = write(**BISTRO | {"tasks": "dataset,train_in\nbistro,MINE\n"}, mixtures=mixtures)
    with pytest.raises(InputError, match=r"tasks.csv, line 2: mine trains bistro; give train_size"):
        universe.mixture_tasks("mine")


def test_unknown_rules_and_folders_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "--mixture", "t0_train", "--cap_rule", "relased"]) == 2
    assert "no cap rule 'relased'; there are released, t_few, prose. Did you mean released" in capsys.readouterr().err
    assert main(["tasks", "--tables", str(tmp_path / "nowhere")]) == 2
    assert "There is no folder of tables" in capsys.readouterr().err
    assert main(["tasks", "--tables", str(tmp_path)]) == 2
    assert "holds none of tasks.csv, mixtures.csv and members.csv" in capsys.readouterr().err


def test_stats_count_heads_rates_and_repeats(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["tasks", "--mixture", "t0_train", "--stats", "--json", "--train_steps", "100", "--batch_size", "8"]
    assert main(command) == 0
    *lines, sums = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (sums["tasks"], sums["rate"]) == (313, 17_277_798)
    assert sum(line["share"] for line in lines) == pytest.approx(1, abs=1e-4)
    [imdb] = [line for line in lines if line["dataset"] == "imdb"]
    assert (imdb["tasks"], imdb["rate"]) == (11, 275_000)
    drawn = 100 * 8 * 1024 * 0.98 / 187 * 275_000 / 17_277_798
    assert imdb["repeats"] == pytest.approx(drawn / 25_000, abs=1e-3)


def test_a_task_of_ones_own_is_trained_and_scored(
    write: Callable[..., Universe], vocabulary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(**BISTRO | {"tasks": "dataset,train_size\nbistro,40\n"})
    rows = [{"review": f"The dog was {('awful', 'great')[n % 2]}.", "label": n % 2} for n in range(40)]
    for split in ("train", "validation"):
        path = tmp_path / f"rows/bistro/default/{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    own = [
        "--gin_file=gin/models/tiny.gin",
        f"--gin.TABLES={tmp_path}",
        f"--gin.DATA_DIR={tmp_path / 'rows'}",
        f"--gin.VOCABULARY={vocabulary}",
        f"--gin.CACHE_DIR={tmp_path / 'cache'}",
        "--gin.ModelConfig.vocab_size=256",
        "--gin.TASK_FEATURE_LENGTHS={'inputs': 64, 'targets': 16}",
        "--gin.BATCH_SIZE=8",
    ]
    model, scores = tmp_path / "model", tmp_path / "scores"
    train = ["train", *own, "--gin.MIXTURE_OR_TASK_NAME=bistro", "--gin.TRAIN_STEPS=2", f"--gin.MODEL_DIR={model}"]
    assert main(train) == 0
    scored = ["--gin.MIXTURE_OR_TASK_NAME=bistro_score_eval", "--gin.SPLIT=validation"]
    assert main(["eval", *own, *scored, f"--gin.CHECKPOINT_PATH={model}", f"--gin.EVAL_OUTPUT_DIR={scores}"]) == 0
    results = json.loads((scores / "results.json").read_text())
    assert results["tasks"]["bistro_did_they_like_it_score_eval"]["choices"] == 80
    capsys.readouterr()
    stats = ["tasks", "--tables", str(tmp_path), "--mixture", "bistro", "--stats", "--json"]
    assert main([*stats, "--cache_dir", str(tmp_path / "cache"), "--inputs_length", "64", "--targets_length", "16"]) == 0
    *_, sums = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert sums["cached"]["examples"] == 32_768  # the first of an endless mixture
    assert sums["examples"] == round(12_200 * 1024 * 64 * sums["cached"]["encoder_fill"] / sums["cached"]["mean_inputs"])
