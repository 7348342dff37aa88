"""Rendering is promptsource's own, byte for byte; what a template must not do it cannot do."""

import functools
import itertools
import json
import random
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from t0jax.data.tabled import frozen_path
from t0jax.data.universe import universe_of
from t0jax.demo.suite import DATASETS
from t0jax.errors import InputError
from t0jax.prompts.render import Prompted, Renderer
from t0jax.prompts.templates import Template, load_templates
from t0jax.street import mixtures_folder

ROWS_PER_SPLIT = 50
DEMO_ROWS = 20
LEAST_TEMPLATES = 200
NO_TEMPLATES = ("jigsaw_toxicity_pred", None)  # named in T0's table; promptsource has none for it

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file.*templates.yaml:ResourceWarning")


@pytest.fixture(scope="module")
def promptsource_templates() -> Iterator[ModuleType]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports pkg_resources and leaves files open
        from promptsource import templates

    compiled = functools.cache(templates.env.from_string)  # it compiles for every row, which takes a minute here
    from_string = templates.env.from_string

    def from_string_once(text: str) -> Any:  # a choice among constants is drawn while compiling
        return from_string(text) if "choice" in text.replace("answer_choices", "") else compiled(text)

    templates.env.from_string = from_string_once
    yield templates
    templates.env.from_string = from_string


def promptsources_own(template: Any, row: dict[str, Any], seed: int) -> Prompted | None:
    """What promptsource makes of a row; None where T0 leaves the row out."""
    random.seed(seed)
    parts = template.apply(row)
    random.seed(seed)
    choices = template.get_answer_choices_list(row)
    return Prompted(*parts, None if choices is None else tuple(choices)) if len(parts) == 2 and all(parts) else None


def differences(
    promptsource: ModuleType, dataset: str, subset: str | None, rows: list[dict[str, Any]]
) -> tuple[int, list[str]]:
    """How many templates were compared on these rows, and those that differ."""
    theirs = promptsource.DatasetTemplates(dataset, subset)
    ours = load_templates(dataset, subset)
    assert list(ours) == theirs.all_template_names
    found = []
    for name, template in ours.items():
        renderer = Renderer(template)
        if any(renderer(row, seed) != promptsources_own(theirs[name], row, seed) for seed, row in enumerate(rows)):
            found.append(f"{dataset}/{subset}: {name}")
    return len(ours), found


def first_rows(path: Path) -> list[dict[str, Any]]:
    with open(path, "rb") as lines:
        return [json.loads(line) for line in itertools.islice(lines, ROWS_PER_SPLIT)]


def report(number: int, rows: str, record_property: Any, capsys: pytest.CaptureFixture[str]) -> None:
    record_property("templates_compared", number)
    with capsys.disabled():
        print(f"\n{number} templates compared on {rows}")


def test_every_template_renders_as_promptsource_on_real_rows(
    promptsource_templates: ModuleType, shared_data: Path, record_property: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    compared, found = 0, []
    for folder in sorted(shared_data.glob("*/*/")):
        rows = [row for path in sorted(folder.glob("*.jsonl")) for row in first_rows(path)]
        subset = None if folder.name == "default" else folder.name
        number, differing = differences(promptsource_templates, folder.parent.name, subset, rows)
        compared += number
        found += differing
    report(compared, "real rows", record_property, capsys)
    assert not found
    assert compared >= LEAST_TEMPLATES


def test_every_template_renders_as_promptsource_on_the_demo_rows(
    promptsource_templates: ModuleType, record_property: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    compared, found = 0, []
    for dataset in DATASETS:
        rows = list(dataset.rows("validation", DEMO_ROWS, seed=0))
        number, differing = differences(promptsource_templates, dataset.name, dataset.subset, rows)
        compared += number
        found += differing
    report(compared, "rows of the demonstration", record_property, capsys)
    assert not found
    assert compared >= LEAST_TEMPLATES


def test_every_template_of_the_tables_compiles_in_the_sandbox() -> None:
    compiled = [
        Renderer(template)
        for key in universe_of().datasets()
        if key != NO_TEMPLATES
        for template in load_templates(*key).values()
    ]
    assert len(compiled) == frozen_path(mixtures_folder()).read_text(encoding="utf-8").count("\n") - 1


def template(jinja: str, answer_choices: str | None = None) -> Template:
    return Template("a name", jinja, answer_choices, True, (), None)


def rendered(jinja: str, row: dict[str, Any], answer_choices: str | None = None) -> Prompted | None:
    return Renderer(template(jinja, answer_choices))(row, seed=0)


CASES: list[tuple[str, str | None, dict[str, Any]]] = [
    ("{{text}} ||| {{label}}", None, {"text": "a ||| b", "label": "||| c |||"}),
    ("{{text}} ||| {{answer_choices[1]}}", "{{text}} ||| no", {"text": " yes ||| maybe "}),
    ("{{text}} ||| {{answer_choices[0]}}", "{{text}} ||| no", {"text": " yes ||| maybe "}),
    ("{{a_b}} ||| x", None, {"a_b": "without hyphen"}),
    ("{{text}} ||| {{text[:5]}}\n\n", None, {"text": "word " * 1000}),
    (
        "{{ items | map('upper') | join(', ') }} ||| {{ items | most_frequent | join(' and ') }}",
        None,
        {"items": ["a", "b", "a"]},
    ),
    ("{% for x, y in zip(a, b) %}{{x}}{{y}}{% endfor %} ||| {{ {'k': {'m': 1}} }}", None, {"a": [1, 2], "b": [3, 4]}),
    ("{% set l = [] %}{% for x in a %}{% if l.append(x) %}{% endif %}{% endfor %}{{ l }} ||| y", None, {"a": [1, 2]}),
    (
        "{{ text | highlight }} ||| {{ ['a', 'b', 'c'] | choice }} {{ options | choice }}",
        None,
        {"text": "t", "options": [1, 2, 3]},
    ),
    ("{{ number }} {{ none }} {{ flag }} ||| {{ 0.1 }}", None, {"number": 7, "none": None, "flag": False}),
]


@pytest.mark.parametrize("case", CASES, ids=[case[0][:40] for case in CASES])
def test_corner_cases_render_as_promptsource(promptsource_templates: ModuleType, case: Any) -> None:
    jinja, choices, row = case
    theirs = promptsource_templates.Template("a name", jinja, "", answer_choices=choices)
    for seed in range(5):
        assert Renderer(template(jinja, choices))(row, seed) == promptsources_own(theirs, row, seed)


def test_field_names_lose_their_hyphens() -> None:
    assert rendered("{{a_b}} ||| {{c}}", {"a-b": 1, "c": 2}) == Prompted("1", "2", None)


@pytest.mark.parametrize("jinja", ["{{text}}", "{{text}} ||| ", "||| {{text}}", "{{text}} ||| a ||| b", ""])
def test_a_template_without_exactly_an_input_and_a_target_does_not_apply(jinja: str) -> None:
    assert rendered(jinja, {"text": "words"}) is None


def test_the_same_seed_draws_the_same_and_others_draw_otherwise() -> None:
    renderer = Renderer(template("{{ ['a', 'b', 'c', 'd'] | choice }} {{ range(100) | random }} ||| x"))
    drawn: Iterable[Prompted | None] = [renderer({}, seed=f"task/train/{row}") for row in range(50)]
    assert drawn == [renderer({}, seed=f"task/train/{row}") for row in range(50)]
    assert len(set(drawn)) > 25


def test_a_missing_field_is_named() -> None:
    with pytest.raises(InputError, match=r"needs the field label, which the row lacks \(it has text\)"):
        rendered("{{text}} ||| {{answer_choices[label]}}", {"text": "words"}, "no ||| yes")


def test_a_field_may_be_missing_where_the_template_asks_for_it() -> None:
    jinja = "{% if extra is defined %}{{extra}}{% else %}nothing{% endif %} ||| {{text}}"
    assert rendered(jinja, {"text": "words"}) == Prompted("nothing", "words", None)


@pytest.mark.parametrize(
    "jinja",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }} ||| x",
        "{{ text.__init__.__globals__ }} ||| x",
        "{{ range(10000000) | list }} ||| x",
    ],
)
def test_a_template_cannot_leave_the_sandbox(jinja: str) -> None:
    with pytest.raises(InputError, match=r"fails on this row \((SecurityError|OverflowError)"):
        rendered(jinja, {"text": "words"})


def test_a_template_cannot_change_the_row() -> None:
    row = {"items": [1, 2]}
    assert rendered("{% if items.append(3) %}{% endif %}{{ items }} ||| x", row) == Prompted("[1, 2, 3]", "x", None)
    assert row == {"items": [1, 2]}


def test_broken_jinja_names_its_template() -> None:
    with pytest.raises(InputError, match="'a name' is not valid Jinja"):
        rendered("{{ text | no_such_filter }} ||| x", {"text": ""})


def test_a_dataset_without_templates_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"Did you mean .*rotten_tomatoes"):
        load_templates("rotten_tomatos")
