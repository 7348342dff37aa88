"""A small dataset of multiple-choice questions, and lint over wordings of it."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from t0jax.data.lint.finding import Finding
from t0jax.data.lint.linter import LintConfig, lint
from t0jax.data.sources.places import Places
from t0jax.data.universe import universe_of

WORDS = [f"{first}{second}" for first in ("red", "old", "big", "hot") for second in ("fox", "owl", "elm", "oak", "bee", "yew")]
Row = dict[str, Any]


def quiz_row(index: int) -> Row:
    """A question, four options, the right one's letter and number, and a passage that quotes the right option alone."""
    options = [WORDS[(index * 5 + 7 * place) % len(WORDS)] for place in range(4)]
    right = index * 7 % 4
    passage = f"In year {index} the {options[right]} was seen."
    return {
        "question": f"What was seen in {index}?",
        "options": options,
        "answer": "ABCD"[right],
        "label": right,
        "article": passage,
        "answers": {"text": [options[right]]},
    }


@dataclass(frozen=True)
class Quiz:
    """A folder with the rows and wordings of a dataset of the user's, called quiz."""

    folder: Path

    def write(self, wordings: Mapping[str, Mapping[str, Any]], rows: int = 200, row: Callable[[int], Row] = quiz_row) -> None:
        """Put down the tables, the templates by name, and the rows of the training split."""
        files = {
            "tables/tasks.csv": f"dataset,train_size\nquiz,{rows}\n",
            "tables/templates/quiz/templates.yaml": yaml.safe_dump(
                {"templates": [{"name": name, **wording} for name, wording in wordings.items()]}
            ),
            "rows/quiz/default/train.jsonl": "".join(json.dumps(row(index)) + "\n" for index in range(rows)),
        }
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        universe_of.cache_clear()

    def lint(self, **config: Any) -> list[Finding]:
        """What lint finds in them."""
        tasks = universe_of((str(self.folder / "tables"),)).mixture_tasks("quiz")
        linted = lint(tasks, LintConfig(places=Places(data_dir=str(self.folder / "rows")), **config))
        return [finding for one in linted for finding in one.findings]


LISTED = {
    "jinja": "{{ question }} Options: {{ answer_choices | join(', ') }} ||| {{ answer_choices[label] }}",
    "answer_choices": "{{ options | join('|||') }}",
}
"""A sound wording, which also says which texts of a row answer it."""
