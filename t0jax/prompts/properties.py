"""What a wording is like, read from its template alone: how long, whether it asks, whether it shows the choices."""

import re

from t0jax.prompts.templates import Template

_LITERAL = re.compile(r"""\{\{\s*(["'])(.*?)\1\s*\}\}""", re.DOTALL)
_CODE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)


def properties(template: Template) -> dict[str, float]:
    """Words of the wording's own text; 1 or 0 for whether it asks a question and, by its metadata, shows the choices."""
    shown = template.jinja.split("|||")[0]
    own = _CODE.sub(" ", _LITERAL.sub(r"\2", shown))
    is_shown = template.choices_in_prompt
    if is_shown is None:
        is_shown = any("answer_choices" in code for code in _CODE.findall(shown))
    return {
        "words of its own": float(len(re.findall(r"\w+", own))),
        "asks a question": float("?" in own),
        "shows the choices": float(is_shown),
    }
