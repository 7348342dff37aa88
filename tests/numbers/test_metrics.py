"""Metrics of generated texts, against numbers worked out by hand."""

import pytest

from t0jax import metrics
from t0jax.data.universe import task, task_names


def test_accuracy_is_the_share_of_equal_texts_but_for_white_space_at_the_ends() -> None:
    found = metrics.accuracy(["yes ", "No", "maybe", "b"], [["yes"], ["no"], ["maybe"], ["a", " b"]])
    assert found == {"accuracy": 75.0}


@pytest.mark.parametrize(
    ("prediction", "targets", "exact", "f1"),
    [
        ("The Cat's house!", ["cats house"], 100, 100),  # punctuation and articles do not count
        ("the black cat", ["a cat"], 0, 200 / 3),  # one word of two, and of one
        ("dog dog dog", ["dog dog cat"], 0, 200 / 3),  # each word counts as often as both have it
        ("an answer", ["no", "answer"], 100, 100),  # the best of several
        ("blue", ["red"], 0, 0),
        ("the", ["a"], 100, 0),  # nothing is left of either: equal, without a common word, as the official script has it
    ],
)
def test_squad_is_the_official_scripts(prediction: str, targets: list[str], exact: float, f1: float) -> None:
    found = metrics.squad([prediction], [targets])
    assert found == {"exact match": pytest.approx(exact), "F1": pytest.approx(f1)}


def test_rouge_counts_words_pairs_and_sentences() -> None:
    pytest.importorskip("rouge_score", reason="rouge-score is not installed")
    # Of five words each four are common, and of four pairs each three.
    found = metrics.rouge(["the cat sat down now"], [["the cat sat down here"]])
    assert found == {"rouge1": pytest.approx(80), "rouge2": pytest.approx(75), "rougeLsum": pytest.approx(80)}
    # In other order: as two sentences each finds its own, as one only the longer stays in order.
    turned, plain = "a b c . d e f g .", "d e f g . a b c ."
    assert metrics.rouge([turned.replace(" . ", " ")], [[plain.replace(" . ", " ")]])["rougeLsum"] == pytest.approx(400 / 7)
    assert metrics.rouge([turned], [[plain]])["rougeLsum"] == pytest.approx(100)
    assert metrics.rouge(["x"], [["y", "x"]])["rouge1"] == pytest.approx(100)


def test_bleu_is_of_the_whole_corpus() -> None:
    pytest.importorskip("sacrebleu", reason="sacrebleu is not installed")
    assert metrics.bleu(["a b c d e"], [["a b c d e"]])["BLEU"] == pytest.approx(100)
    # 1-grams 9/10, 2-grams 7/8, 3-grams 5/6, 4-grams 3/4 of two texts of five words: the geometric mean.
    found = metrics.bleu(["a b c d e", "f g h i x"], [["a b c d e"], ["f g h i j"]])["BLEU"]
    assert found == pytest.approx(100 * (9 / 10 * 7 / 8 * 5 / 6 * 3 / 4) ** 0.25)


def test_the_metrics_of_all_of_t0s_tasks_without_choices_are_known_but_one() -> None:
    named = {name for task_name in task_names() if not task(task_name).has_choices for name in task(task_name).metrics}
    assert named - metrics.METRICS.keys() == {"Spearman Correlation"}
