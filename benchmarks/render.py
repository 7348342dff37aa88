"""Rendered rows a second and core, ours beside promptsource's own, over every template of the tables: one JSON line.

Each template renders the same synthetic rows (ordinary texts in the hub's schema) by both, one after the other; the time is the
processor's, the least of the repetitions. `ratio` counts the compilation of our templates, once for all rows; `ratio_compiled`
does not. promptsource compiles for every row.
"""

import argparse
import json
import random
import time
import warnings
from collections.abc import Callable
from typing import Any

from t0jax.data.synthetic import synthetic_rows
from t0jax.data.universe import universe_of
from t0jax.prompts.render import Renderer
from t0jax.prompts.templates import load_templates

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from promptsource.templates import DatasetTemplates

NO_TEMPLATES = ("jigsaw_toxicity_pred", None)  # named in T0's table; promptsource has none for it


def seconds(work: Callable[[], object], repeats: int) -> float:
    """The least processor time of the repetitions."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def theirs(template: Any, rows: list[dict[str, Any]]) -> None:
    random.seed(0)
    for row in rows:
        template.apply(row)
        template.get_answer_choices_list(row)


def ours(renderer: Renderer, rows: list[dict[str, Any]]) -> None:
    for number, row in enumerate(rows):
        renderer(row, number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100, help="for each template")
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    rendering, compiling, promptsource, templates = 0.0, 0.0, 0.0, 0
    for dataset, subset in universe_of().datasets():
        if (dataset, subset) == NO_TEMPLATES:
            continue
        rows = list(synthetic_rows(dataset, subset, options.rows, oddities=0))
        reference = DatasetTemplates(dataset, subset)
        rows = [{field.replace("-", "_"): value for field, value in row.items()} for row in rows]  # as T0 gave them to it
        for name, template in load_templates(dataset, subset).items():
            renderer = Renderer(template)
            compiling += seconds(lambda template=template: Renderer(template), options.repeats)
            rendering += seconds(lambda renderer=renderer, rows=rows: ours(renderer, rows), options.repeats)
            promptsource += seconds(lambda name=name, rows=rows, all=reference: theirs(all[name], rows), options.repeats)
            templates += 1
    rendered = templates * options.rows
    result = {
        "templates": templates,
        "rows": rendered,
        "ours_per_s": round(rendered / (compiling + rendering)),
        "ours_compiled_per_s": round(rendered / rendering),
        "compile_ms": round(1000 * compiling / templates, 2),
        "promptsource_per_s": round(rendered / promptsource),
        "ratio": round(promptsource / (compiling + rendering), 1),
        "ratio_compiled": round(promptsource / rendering, 1),
    }
    print(json.dumps({"benchmark": "render", **result}))


if __name__ == "__main__":
    main()
