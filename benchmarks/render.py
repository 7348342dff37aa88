"""Rendered rows a second, ours beside promptsource's own, on the rows of the demonstration: one JSON line."""

import argparse
import json
import random
import time
import warnings
from collections.abc import Callable
from typing import Any

from t0jax.demo.suite import DATASETS
from t0jax.prompts.render import Renderer
from t0jax.prompts.templates import load_templates

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from promptsource.templates import DatasetTemplates


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def theirs(template: Any, rows: list[dict[str, Any]]) -> list[tuple[list[str], list[str] | None]]:
    random.seed(0)
    return [(template.apply(row), template.get_answer_choices_list(row)) for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100, help="of each dataset")
    count = parser.parse_args().rows
    ours, promptsource, rendered = 0.0, 0.0, 0
    for dataset in DATASETS:
        rows = list(dataset.rows("train", count, seed=0))
        reference = DatasetTemplates(dataset.name, dataset.subset)
        for name, template in load_templates(dataset.name, dataset.subset).items():
            ours += seconds(lambda template=template, rows=rows: list(map(Renderer(template), rows, range(len(rows)))))
            promptsource += seconds(lambda name=name, rows=rows, reference=reference: theirs(reference[name], rows))
            rendered += len(rows)
    result = {"rows": rendered, "ours_per_s": round(rendered / ours), "promptsource_per_s": round(rendered / promptsource)}
    print(json.dumps({"benchmark": "render", **result, "ratio": round(promptsource / ours, 1)}))


if __name__ == "__main__":
    main()
