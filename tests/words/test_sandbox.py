"""What a template must not do it cannot do, and its name is in the answer."""

from typing import Any

import pytest

from t0jax.errors import InputError
from t0jax.prompts.render import Prompted, Renderer
from t0jax.prompts.templates import Template

ROW = {"text": "words", "name": "__class__", "items": [1, 2], "record": {"field": 1}}


def rendered(jinja: str, row: dict[str, Any], choices: str | None = None) -> Prompted | None:
    return Renderer(Template("a name", jinja, choices, True, (), None))(row, seed=0)


@pytest.mark.parametrize(
    "expression",
    [
        "''.__class__",
        "''.__class__.__mro__[1].__subclasses__()",
        "text.__init__.__globals__",
        "text['__class__']",
        "text[name]",
        "text | attr('__class__')",
        "text | attr(name)",
        "[text] | map(attribute='__class__') | list",
        "[text] | selectattr('__class__') | list",
        "[text] | groupby('__class__') | list",
        "'{0.__class__.__mro__}'.format(text)",
        "'{text.__class__}'.format_map({'text': text})",
        "text.format.__globals__",
        "range.__globals__",
        "zip.__init__",
        "dict.mro()",
        "cycler.__init__.__globals__.os",
        "namespace.__init__",
        "self.__init__",
        "record.__class__",
        "items.__reduce_ex__(2)",
    ],
)
def test_a_template_that_calls_into_pythons_internals_is_refused_by_name(expression: str) -> None:
    with pytest.raises(InputError, match="'a name' reaches into Python's internals"):
        rendered("{{ " + expression + " }} ||| x", ROW)
    with pytest.raises(InputError, match="'a name' reaches into Python's internals"):
        rendered("{{text}} ||| x", ROW, "{{ " + expression + " }}")


def test_choices_that_fail_name_their_template_on_the_row() -> None:
    with pytest.raises(InputError, match=r"'a name' fails on this row \(ZeroDivisionError"):
        rendered("{{text}} ||| x", ROW, "{{ 1 // 0 }} ||| no")


@pytest.mark.parametrize("expression", ["range(10000000) | list", "range(10000000) | random"])
def test_a_range_too_long_is_refused(expression: str) -> None:
    with pytest.raises(InputError, match=r"'a name' fails on this row \(OverflowError"):
        rendered("{{ " + expression + " }} ||| x", ROW)


@pytest.mark.parametrize("name", ["lipsum", "open", "__import__", "__builtins__"])
def test_there_is_nothing_else_to_call(name: str) -> None:
    with pytest.raises(InputError, match=f"'a name' needs the field {name}"):
        rendered("{{ " + name + "() }} ||| x", ROW)


@pytest.mark.parametrize("statement", ["{% include 'x' %}", "{% import 'x' as y %}", "{% extends 'x' %}"])
def test_a_template_reads_no_file(statement: str) -> None:
    with pytest.raises(InputError, match="'a name' fails on this row"):
        rendered(statement + "{{text}} ||| x", ROW)


@pytest.mark.parametrize("change", ["items.append(3)", "items['append'](3)", "(items | attr('append'))(3)", "record.clear()"])
def test_a_template_cannot_change_the_row(change: str) -> None:
    row = {"items": [1, 2], "record": {"field": 1}}
    assert rendered("{% if " + change + " %}{% endif %}{{ items }}{{ record }} ||| x", row) != rendered(
        "{{ items }}{{ record }} ||| x", row
    )
    assert row == {"items": [1, 2], "record": {"field": 1}}


def test_syntax_too_deep_for_python_is_not_valid_jinja() -> None:
    with pytest.raises(InputError, match="'a name' is not valid Jinja"):
        rendered("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }} ||| x", ROW)
