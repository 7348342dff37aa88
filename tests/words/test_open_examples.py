"""What is cached of a task without choices is what an evaluation asks and compares."""

from pathlib import Path

from cache_run import cache, write_rows

from t0jax.data.feed import open_examples
from t0jax.data.vocabulary import Vocabulary

TASK = "common_gen_Example_prompt"


def test_an_evaluation_asks_the_rendered_inputs_and_compares_with_the_rendered_targets(
    tmp_path: Path, vocabulary: Path
) -> None:
    rows = [{"concept_set_idx": n, "concepts": ["dog", "man"], "target": f"The dog n\u00b0{n}  ran.\n"} for n in range(7)]
    write_rows(tmp_path / "rows", "common_gen/default", "validation", rows)
    cache(tmp_path / "cache", tmp_path / "rows", vocabulary, TASK, splits=["validation"])
    found = list(open_examples(tmp_path / "cache", TASK, "validation", {"inputs": 9, "targets": 4}, num_examples=5))
    assert [example.targets for example in found] == [(row["target"].strip(),) for row in rows[:5]]
    assert [(example.task, example.example, len(example.inputs)) for example in found] == [(TASK, n, 9) for n in range(5)]
    whole = next(open_examples(tmp_path / "cache", TASK, "validation", {"inputs": 999, "targets": 4}))
    assert "with the concepts dog" in Vocabulary(vocabulary).decode(whole.inputs.tolist())
