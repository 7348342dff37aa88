"""The demonstration's rows: real schemas, real wordings, nothing reserved in training, no leak, the same for the same seed."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from t0jax.data.prompting import Wording, task_templates
from t0jax.data.universe import PromptedTask, mixture_tasks
from t0jax.demo.content import PEOPLE, RESERVED, SCRIPTS, STATEMENTS, THINGS, VALUES, Side, number
from t0jax.demo.controls import bag_of_words, label_of
from t0jax.demo.suite import DATASETS, DemoDataset, write_split

SEED = 5
TRAINING = [dataset for dataset in DATASETS if not dataset.is_held_out]
HELD_OUT = [dataset for dataset in DATASETS if dataset.is_held_out]
by_folder = pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.folder)


def texts(value: Any) -> Iterator[str]:
    """Every string in a row."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts(item)


def clauses(side: Side) -> Iterator[str]:
    """Every way to write a pairing of one side: person with value, person with script, script with thing."""
    for person in PEOPLE:
        for kind, values in VALUES.items():
            for i, value in enumerate(values):
                if side.may_meet(number(person), i):
                    yield from (statement.format(p=person, v=value) for statement in STATEMENTS[kind])
        for i, script in enumerate(SCRIPTS):
            if side.may_meet(number(person), i):
                yield from (f"{person} {clause.partition('{x}')[0]}" for clause in script)
    for i, script in enumerate(SCRIPTS):
        for j, thing in enumerate(THINGS):
            if side.may_meet(i, j):
                yield from (clause.format(x=thing) for clause in script)


def shape(value: Any) -> Any:
    """The type of a field; of a list, of its items; of a dictionary, of its fields."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value).__name__


@by_folder
def test_rows_repeat_for_a_seed_and_differ_for_another(dataset: DemoDataset) -> None:
    assert list(dataset.rows("train", 20, SEED)) == list(dataset.rows("train", 20, SEED))
    assert list(dataset.rows("train", 20, SEED)) != list(dataset.rows("train", 20, SEED + 1))
    assert list(dataset.rows("train", 20, SEED)) != list(dataset.rows("validation", 20, SEED))


@by_folder
def test_rows_have_the_schema_of_the_real_dataset(dataset: DemoDataset, shared_data: Any) -> None:
    files = sorted((shared_data / dataset.folder).glob("*.jsonl"))
    if not files:
        pytest.skip(f"no real rows of {dataset.folder}")
    real = json.loads(files[0].read_text(encoding="utf-8").splitlines()[0])
    ours = next(dataset.rows("train", 1, SEED))
    assert shape(ours) == shape(real)


def test_no_training_row_holds_a_reserved_pairing() -> None:
    told = "\n".join(text for dataset in TRAINING for row in dataset.rows("train", 400, SEED) for text in texts(row))
    assert [clause for clause in clauses(RESERVED) if clause in told] == []


def test_every_pairing_of_a_held_out_row_is_reserved() -> None:
    told = "\n".join(text for dataset in HELD_OUT for row in dataset.rows("validation", 400, SEED) for text in texts(row))
    assert [clause for clause in clauses(Side(is_reserved=False)) if clause in told] == []


@pytest.mark.parametrize("dataset", HELD_OUT, ids=lambda dataset: dataset.folder)
def test_held_out_labels_are_balanced(dataset: DemoDataset) -> None:
    counts = Counter(label_of(row) for row in dataset.rows("validation", 240, SEED))
    assert max(counts.values()) - min(counts.values()) <= (40 if dataset.name == "winogrande" else 0)


@pytest.mark.parametrize("dataset", HELD_OUT, ids=lambda dataset: dataset.folder)
def test_a_bag_of_words_does_not_find_held_out_labels(dataset: DemoDataset) -> None:
    rows = list(dataset.rows("validation", 600, SEED))
    majority = max(Counter(map(label_of, rows)).values()) / len(rows)
    assert bag_of_words(dataset, rows, seed=SEED, fit_rows=800) < majority + 0.07  # 3 standard errors of 600 rows


@by_folder
def test_every_wording_of_the_mixtures_applies_to_rows(dataset: DemoDataset) -> None:
    mixture = "demo_eval_score_eval" if dataset.is_held_out else "demo_train"
    tasks = [task for task in mixture_tasks(mixture) if (task.dataset, task.subset) == (dataset.name, dataset.subset)]
    rows = list(dataset.rows("train", 24, SEED))
    assert tasks
    for task, template in zip(tasks, task_templates(tasks), strict=True):
        wording = Wording(task, template)
        prompts = [wording(row, "train", index) for index, row in enumerate(rows)]
        assert any(prompts), task.name
        if dataset.is_held_out:
            assert all(prompt.targets in (prompt.answer_choices or ()) for prompt in prompts if prompt), task.name


@pytest.mark.parametrize("mixture", ["demo_train", "demo_train_one_og_prompt"])
def test_the_mixtures_train_on_no_held_out_dataset(mixture: str) -> None:
    def keys(tasks: tuple[PromptedTask, ...]) -> set[tuple[str, str | None]]:
        return {(task.dataset, task.subset) for task in tasks}

    assert keys(mixture_tasks(mixture)) == {(dataset.name, dataset.subset) for dataset in TRAINING}
    assert keys(mixture_tasks("demo_eval_score_eval")) == {(dataset.name, dataset.subset) for dataset in HELD_OUT}


def test_rows_are_written_one_a_line(tmp_path: Any) -> None:
    write_split(tmp_path, DATASETS[0], "train", 7, SEED)
    lines = (tmp_path / "adversarial_qa/dbert/train.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == list(DATASETS[0].rows("train", 7, SEED))
