"""How generated texts are measured: promptsource's names of metrics, computed as the evaluation of T5 and T0 does.

ROUGE and BLEU are the packages rouge-score and sacrebleu; SQuAD's are those of its official script. All are percentages.
"""

import importlib
import re
import string
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from t0jax.errors import InputError

ROUGE_KINDS = ("rouge1", "rouge2", "rougeLsum")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)

Texts = Sequence[str]
References = Sequence[Sequence[str]]
"""The texts that are right, at least one for each prediction."""


def accuracy(predictions: Texts, targets: References) -> dict[str, float]:
    """The share that equals a target, but for white space at the ends."""
    hits = [one.strip() in [text.strip() for text in texts] for one, texts in zip(predictions, targets, strict=True)]
    return {"accuracy": _percent(hits)}


def squad(predictions: Texts, targets: References) -> dict[str, float]:
    """Exact match and F1 of words, lower-cased, without punctuation and articles; the best over an example's targets."""
    exact, shares = [], []
    for prediction, texts in zip(predictions, targets, strict=True):
        words, wanted = _words(prediction), [_words(text) for text in texts]
        exact.append(words in wanted)
        shares.append(max(_f1(words, one) for one in wanted))
    return {"exact match": _percent(exact), "F1": _percent(shares)}


def rouge(predictions: Texts, targets: References) -> dict[str, float]:
    """Mean F-measures of ROUGE-1, ROUGE-2 and ROUGE-Lsum without stemming; sentences of Lsum end at ` . ` and at line ends."""
    scorer = _package("rouge_score.rouge_scorer").RougeScorer(list(ROUGE_KINDS))
    sums = dict.fromkeys(ROUGE_KINDS, 0.0)
    for prediction, texts in zip(predictions, targets, strict=True):
        lines, wanted = _in_lines(prediction), [_in_lines(text) for text in texts]
        best = scorer.score(wanted[0], lines) if len(wanted) == 1 else scorer.score_multi(wanted, lines)
        for kind in ROUGE_KINDS:
            sums[kind] += best[kind].fmeasure
    return {kind: 100 * total / len(predictions) for kind, total in sums.items()}


def bleu(predictions: Texts, targets: References) -> dict[str, float]:
    """BLEU of the whole corpus, international tokenization."""
    most = max(len(texts) for texts in targets)
    streams = [[texts[number] if number < len(texts) else None for texts in targets] for number in range(most)]
    return {"BLEU": _package("sacrebleu").corpus_bleu(list(predictions), streams, tokenize="intl").score}


METRICS: Mapping[str, Callable[[Texts, References], dict[str, float]]] = {
    "Accuracy": accuracy,
    "Other": accuracy,  # as T0 has it
    "Squad": squad,
    "ROUGE": rouge,
    "BLEU": bleu,
}
"""By promptsource's names."""
_NEEDS = {"ROUGE": "rouge_score.rouge_scorer", "BLEU": "sacrebleu"}
_SOLD_AS = {"rouge_score": "rouge-score"}


def measure(names: Iterable[str], predictions: Texts, targets: References) -> dict[str, float]:
    """All numbers that the metrics come to; those of unknown names are left out."""
    found: dict[str, float] = {}
    for name in names:
        found |= METRICS[name](predictions, targets) if name in METRICS else {}
    return found


def check_installed(names: Iterable[str]) -> None:
    """An InputError when a metric needs a package that is not there: to be asked before hours of generating."""
    for name in names:
        if name in _NEEDS:
            _package(_NEEDS[name])


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        package = _SOLD_AS.get(package, package)
        raise InputError(
            f"The templates ask for a metric of the package {package} ({error}): install t0jax[metrics]."
        ) from error


def _words(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split()


def _f1(words: Sequence[str], wanted: Sequence[str]) -> float:
    common = (Counter(words) & Counter(wanted)).total()
    return 2 * common / (len(words) + len(wanted)) if common else 0.0


def _in_lines(text: str) -> str:
    return text.replace(" . ", " .\n")


def _percent(shares: Sequence[float]) -> float:
    return 100 * sum(shares) / len(shares)
