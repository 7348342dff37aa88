"""Rendering is promptsource's own, byte for byte, for every template of T0's training and evaluation."""

import itertools
import json
import random
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2
import pytest

from t0jax.data.synthetic import synthetic_rows
from t0jax.data.tabled import frozen_path
from t0jax.data.universe import universe_of
from t0jax.demo.suite import DATASETS
from t0jax.errors import InputError
from t0jax.prompts.render import Prompted, Renderer
from t0jax.prompts.templates import Template, load_templates
from t0jax.street import mixtures_folder

REAL_ROWS = 50  # of every split
DEMO_ROWS = 20
SYNTHETIC_ROWS = 60  # TREC has 54 pairs of a coarse and a fine label
LEAST_TEMPLATES = 200
ALL_TEMPLATES = 562  # of 65 (dataset, subset) pairs
NO_TEMPLATES = ("jigsaw_toxicity_pred", None)  # named in T0's table; promptsource has none for it
FAILS = "fails on this row"
Outcome = Prompted | str | None

pytestmark = pytest.mark.filterwarnings("ignore:unclosed file.*templates.yaml:ResourceWarning")


@pytest.fixture(scope="module")
def promptsource_templates() -> Iterator[ModuleType]:
    """promptsource's own code. It compiles for every row, which takes minutes here: it does so once where that is the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports pkg_resources and leaves files open
        from promptsource import templates

    compiled: dict[str, Any] = {}
    from_string = templates.env.from_string

    def from_string_once(text: str) -> Any:
        if text not in compiled:
            compiled[text] = None if draws_while_compiling(templates.env, text) else from_string(text)
        return compiled[text] or from_string(text)

    templates.env.from_string = from_string_once
    yield templates
    templates.env.from_string = from_string


def draws_while_compiling(environment: jinja2.Environment, text: str) -> bool:
    """Whether the text chooses among constants, which Jinja does while it compiles."""
    for node in environment.parse(text).find_all(jinja2.nodes.Filter):
        if node.name in ("choice", "random"):
            try:
                node.node.as_const()
            except jinja2.nodes.Impossible:
                continue
            return True
    return False


def promptsources_own(template: Any, row: dict[str, Any], seed: int) -> Outcome:
    """What promptsource makes of a row; None where T0 leaves the row out."""
    row = {field.replace("-", "_"): value for field, value in row.items()}  # its removeHyphen
    try:
        random.seed(seed)
        parts = template.apply(row)
        random.seed(seed)
        choices = template.get_answer_choices_list(row)
    except Exception:  # whatever the template's expressions raise on this row
        return FAILS
    return Prompted(*parts, None if choices is None else tuple(choices)) if len(parts) == 2 and all(parts) else None


def our_own(renderer: Renderer, row: dict[str, Any], seed: int) -> Outcome:
    try:
        return renderer(row, seed)
    except InputError as error:
        assert FAILS in str(error)
        return FAILS


class Comparison:
    """Our renderer beside promptsource's code, template by template."""

    def __init__(self, promptsource: ModuleType):
        self.promptsource = promptsource
        self.outcomes: dict[str, Counter[str]] = {}
        """Of each template, how many rows were rendered, left out or failed."""
        self.differing: set[str] = set()

    def compare(self, dataset: str, subset: str | None, rows: list[dict[str, Any]]) -> None:
        theirs = self.promptsource.DatasetTemplates(dataset, subset)
        ours = load_templates(dataset, subset)
        assert list(ours) == theirs.all_template_names
        for name, template in ours.items():
            title = f"{dataset}/{subset}: {name}"
            renderer, seen = Renderer(template), self.outcomes.setdefault(title, Counter())
            for seed, row in enumerate(rows):
                mine = our_own(renderer, row, seed)
                seen["rendered" if isinstance(mine, Prompted) else mine or "left out"] += 1
                if mine != promptsources_own(theirs[name], row, seed):
                    self.differing.add(title)

    def report(self, rows: str, record_property: Any, capsys: pytest.CaptureFixture[str]) -> None:
        total = sum(self.outcomes.values(), Counter())
        record_property("templates_compared", len(self.outcomes))
        with capsys.disabled():
            print(f"\n{len(self.outcomes)} templates compared on {rows}: {dict(total)}")
        assert not self.differing


def first_rows(path: Path) -> list[dict[str, Any]]:
    with open(path, "rb") as lines:
        return [json.loads(line) for line in itertools.islice(lines, REAL_ROWS)]


def test_every_template_renders_as_promptsource_on_real_rows(
    promptsource_templates: ModuleType, shared_data: Path, record_property: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    comparison = Comparison(promptsource_templates)
    for folder in sorted(shared_data.glob("*/*/")):
        rows = [row for path in sorted(folder.glob("*.jsonl")) for row in first_rows(path)]
        comparison.compare(folder.parent.name, None if folder.name == "default" else folder.name, rows)
    comparison.report("real rows", record_property, capsys)
    assert len(comparison.outcomes) >= LEAST_TEMPLATES


def test_every_template_renders_as_promptsource_on_the_demo_rows(
    promptsource_templates: ModuleType, record_property: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    comparison = Comparison(promptsource_templates)
    for dataset in DATASETS:
        comparison.compare(dataset.name, dataset.subset, list(dataset.rows("validation", DEMO_ROWS, seed=0)))
    comparison.report("rows of the demonstration", record_property, capsys)
    assert len(comparison.outcomes) >= LEAST_TEMPLATES


def test_every_template_of_the_tables_renders_as_promptsource_and_every_one_renders_something(
    promptsource_templates: ModuleType, record_property: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    comparison = Comparison(promptsource_templates)
    for key in universe_of().datasets():
        if key != NO_TEMPLATES:
            comparison.compare(*key, list(synthetic_rows(*key, SYNTHETIC_ROWS)))
    comparison.report("synthetic rows", record_property, capsys)
    assert len(comparison.outcomes) == ALL_TEMPLATES
    assert frozen_path(mixtures_folder()).read_text(encoding="utf-8").count("\n") == ALL_TEMPLATES + 1
    assert not [title for title, seen in comparison.outcomes.items() if not seen["rendered"]]


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
    ("a }} b {{text}} {# }} #} {{ '}}' }} ||| {% raw %}{{ text }}{% endraw %}", None, {"text": "t"}),
    (
        "{{ text | string | truncate(2048) | upper }}{{ text | truncate(9) }} ||| {{ text | string }}",
        None,
        {"text": "word " * 900},
    ),
    ("{{ range }} {{ dict(a=zip) }} ||| {{ range(2) | list if range is callable else 'own' }}", None, {"range": 1, "zip": 2}),
    (
        "{% set text = text | upper %}{{ text }} ||| {{ a.b }} {{ a['c-d'] }} {{ a.items }}",
        None,
        {"text": "t", "a": {"b": 1, "c-d": 2}},
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


def test_a_filter_that_is_named_in_a_text_draws_by_the_seed_too() -> None:
    renderer = Renderer(template("{{ pairs | map('choice') | join }} ||| x"))
    row = {"pairs": [["a", "b"]] * 40}
    assert renderer(row, seed=1) == renderer(row, seed=1) != renderer(row, seed=2)


def test_a_text_is_cut_at_a_word_before_2048_characters_and_five_more_pass() -> None:
    words = "abc " * 700
    assert rendered("{{a}} ||| {{b}}", {"a": "x" * 2053, "b": "y"}) == Prompted("x" * 2053, "y", None)
    assert rendered("{{a}} ||| {{b}}", {"a": "x" * 2054, "b": words}) == Prompted(
        "x" * 2045 + "...", words[:2043] + "...", None
    )


def test_an_answer_need_not_be_among_the_choices_but_must_be_something() -> None:
    choices = "no ||| {{other}}"
    assert rendered("{{a}} ||| {{a}}", {"a": "maybe", "other": "yes"}, choices) == Prompted("maybe", "maybe", ("no", "yes"))
    assert rendered("{{a}} ||| {{answer_choices[1]}}", {"a": 1, "other": " "}, choices) is None
    assert rendered("{{a}} ||| {{answer_choices[a]}}", {"a": 2, "other": "yes"}, choices) is None


def test_rows_of_other_fields_may_follow() -> None:
    renderer = Renderer(template("{{text}} ||| {{a_b}}"))
    rows = [{"text": "t", "a-b": 1}, {"a_b": 2, "text": "t"}, {"text": "t", "a-b": 3, "more": 4}]
    assert [renderer(row, seed=0) for row in rows] == [Prompted("t", str(number), None) for number in (1, 2, 3)]
    with pytest.raises(InputError, match=r"needs the field a_b"):
        renderer({"text": "t"}, seed=0)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(InputError, match=r"needs the field label, which the row lacks \(it has text\)"):
        rendered("{{text}} ||| {{answer_choices[label]}}", {"text": "words"}, "no ||| yes")


@pytest.mark.parametrize(
    "jinja",
    [
        "{% for a in text %}{{ loop.index }}{% endfor %} ||| {% set b %}{{text}}{% endset %}{{ b }}",
        "{% macro twice() %}{{ text }}{{ varargs[0] }}{% endmacro %}{{ twice('s') }} ||| {{ twice() }}",
        "{% block one %}{{ text }}{% endblock %} ||| {{ self.one() }}{% with c = 1 %}{{ c }}{% endwith %}",
        "{% set n = namespace(a=1) %}{% for a in text %}{% set n.a = n.a + 1 %}{% endfor %}{{ n.a }} ||| {{ text | join }}",
    ],
)
def test_a_name_that_the_template_sets_itself_is_no_field(promptsource_templates: ModuleType, jinja: str) -> None:
    theirs = promptsource_templates.Template("a name", jinja, "")
    made = rendered(jinja, {"text": "ab"})
    assert made is not None
    assert made == promptsources_own(theirs, {"text": "ab"}, 0)
    with pytest.raises(InputError, match=r"needs the field text, which the row lacks"):
        rendered(jinja, {})


def test_a_field_may_be_missing_where_the_template_asks_for_it() -> None:
    jinja = "{% if extra is defined %}{{extra}}{% else %}nothing{% endif %} ||| {{text}}"
    assert rendered(jinja, {"text": "words"}) == Prompted("nothing", "words", None)


def test_broken_jinja_names_its_template() -> None:
    with pytest.raises(InputError, match="'a name' is not valid Jinja"):
        rendered("{{ text | no_such_filter }} ||| x", {"text": ""})


def test_a_dataset_without_templates_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"Did you mean .*rotten_tomatoes"):
        load_templates("rotten_tomatos")
