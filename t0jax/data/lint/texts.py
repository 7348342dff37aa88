"""Checks of the texts that a wording makes: that there are any, that they fit, and that their targets can be answered."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from t0jax.data.lint.finding import Said, Severity, Tally
from t0jax.data.lint.sight import SEPARATOR, Sight
from t0jax.data.row_texts import row_texts
from t0jax.prompts.render import Prompted

ENOUGH_ROWS = 200
"""So many rows show a wording that applies to 1.5 % of the rows, or a label of that share, with a probability of 95 %."""
NOTABLE = 0.01
"""A share of rows below this changes less than the choice of rows does, and may be noise in the dataset."""
MOST = 0.5
"""Below this share the wording says something on more rows than it does not; the others never reach training."""
TEXT_LENGTH = 2048
"""promptsource cuts every substituted text to so many characters, and so do we."""
_ENDS = 60  # characters of a text's beginning and end by which it is known again in a prompt


@dataclass(frozen=True)
class Lengths:
    """How long texts may be, and how their length is told."""

    inputs: int
    targets: int
    count: Callable[[Sequence[str]], list[int]]
    """Tokens of each text."""
    is_estimate: bool

    def of(self, half: str) -> int:
        """The limit of `inputs` or `targets`; these end in EOS."""
        return self.inputs if half == "inputs" else self.targets - 1


def estimate(texts: Sequence[str]) -> list[int]:
    """Tokens of each text where there is no vocabulary: T5's has about four characters a token in English."""
    return [len(text) // 4 for text in texts]


def check_rendering(sights: Sequence[Sight]) -> Iterator[Said]:
    """Rows on which the wording fails, to which it does not apply, and of which it makes only one half."""
    fails, applies, separators, empty = Tally(), Tally(), Tally(), Tally()
    for sight in sights:
        number, text = sight.row.number, sight.unsplit
        fails.add(number, sight.problem is not None, sight.problem or "")
        applies.add(number, text == "")
        if sight.problem is None and text != "":
            parts = 2 if text is None else text.count(SEPARATOR) + 1
            separators.add(number, parts != 2, f"{parts - 1}")
            if parts == 2:
                half = "target" if text is not None and text.strip().endswith(SEPARATOR) else "input"
                empty.add(number, text is not None, half)
    if fails.hits:
        yield Said("fails", "error", fails, fails.said)
    if applies.rows and applies.hits == applies.rows:
        severity: Severity = "error" if applies.rows >= ENOUGH_ROWS else "warning"
        yield Said(
            "empty", severity, applies, "It renders nothing on every row: see which values its conditions and labels expect."
        )
    if separators.hits:
        message = f"It renders a text with {separators.said} separators |||: write the input, one |||, and the target."
        yield Said("separator", "error", separators, message)
    if empty.share >= NOTABLE:
        message = f"Its {empty.said} is empty: see whether the label, index or field that it takes is one of the row's."
        yield Said("empty", "error" if empty.share >= MOST else "warning", empty, message)


def check_choices(sights: Sequence[Sight]) -> Iterator[Said]:
    """Answer choices that lack the target, are empty, repeat, or are fewer than two."""
    lacking, empty, again, few = Tally(), Tally(), Tally(), Tally()
    for sight, prompted in _rendered(sights):
        if (choices := prompted.answer_choices) is None:
            return
        number, said = sight.row.number, _listed(choices)
        lacking.add(number, prompted.targets not in choices, f"{_short(prompted.targets)} is not among {said}")
        empty.add(number, "" in choices, said)
        again.add(number, len(set(choices)) < len(choices), said)
        few.add(number, len(choices) < 2, said)
    if lacking.hits:
        message = f"The target {lacking.said}: rank classification cannot score these rows right; mend answer_choices."
        yield Said("target", "error", lacking, message)
    for tally, what in ((empty, "A choice is empty"), (again, "A choice stands twice"), (few, "There is only one choice")):
        if tally.share >= MOST:
            yield Said("choices", "error", tally, f"{what} ({tally.said}): mend answer_choices.")
        elif tally.share >= NOTABLE:
            message = (
                f"{what} ({tally.said}), as these rows of the dataset have it: leave them out where accuracy is to be exact."
            )
            yield Said("choices", "warning", tally, message)


def check_labels(sights: Sequence[Sight]) -> Iterator[Said]:
    """A target that is every row's, and choices that are no row's target."""
    rendered = list(_rendered(sights))
    tally = Tally(len(rendered), len(rendered))
    targets = {prompted.targets for _, prompted in rendered}
    choices = {prompted.answer_choices for _, prompted in rendered}
    if len(targets) == 1 and tally.rows >= 50:  # of two even classes that happens once in 2**49 samples
        message = f"Every row has the target {_short(targets.pop())}: nothing can be learned from it."
        yield Said("label", "error", tally, message)
    known = choices.pop() if len(choices) == 1 else None
    # A label with a twentieth of an even share is missed by so many rows once in 150 times.
    unused = [choice for choice in known or () if choice not in targets]
    if known and 0 < len(unused) < len(known) and len(targets) > 1 and tally.rows >= 100 * len(known):
        message = f"No row has the target {_listed(unused)}: see whether the labels are still those of answer_choices."
        yield Said("label", "warning", tally, message)


def check_lengths(sights: Sequence[Sight], lengths: Lengths) -> Iterator[Said]:
    """Inputs and targets that are longer than training takes, and texts that promptsource's limit cuts."""
    rendered = list(_rendered(sights))
    for half in ("inputs", "targets"):
        limit, tally = lengths.of(half), Tally()
        texts = [getattr(prompted, half) for _, prompted in rendered]
        long = [n for n, text in enumerate(texts) if len(text.encode()) > limit]  # a token is at least a byte
        counts = dict(zip(long, lengths.count([texts[n] for n in long]), strict=True))
        for n, (sight, _) in enumerate(rendered):
            tally.add(sight.row.number, counts.get(n, 0) > limit)
        if tally.share >= NOTABLE:
            told = ", estimated at four characters a token" if lengths.is_estimate else ""
            message = (
                f"The {half} exceed {limit:,} tokens{told}, and what exceeds is cut: shorten the wording or raise the length."
            )
            yield Said("length", "warning", tally, message)
    cut = Tally()
    for sight, prompted in rendered:
        cut.add(sight.row.number, not isinstance(sight.row.values, Prompted) and _is_cut(sight.row.values, prompted))
    if cut.share >= NOTABLE:
        message = (
            f"A text of the row is cut at {TEXT_LENGTH:,} characters, as promptsource cuts all: nothing after is ever seen."
        )
        yield Said("cut", "warning", cut, message)


def _is_cut(row: Mapping[str, object], prompted: Prompted) -> bool:
    """Whether the prompt shows the beginning of a long text of the row, but not its end."""
    whole = f"{prompted.inputs} {prompted.targets}"
    return any(text[:_ENDS] in whole and text[-_ENDS:] not in whole for text in row_texts(row) if len(text) > TEXT_LENGTH)


def _rendered(sights: Sequence[Sight]) -> Iterator[tuple[Sight, Prompted]]:
    return ((sight, sight.prompted) for sight in sights if sight.prompted is not None)


def _listed(choices: Sequence[str], limit: int = 6) -> str:
    more = f" and {len(choices) - limit} more" if len(choices) > limit else ""
    return ", ".join(_short(choice) for choice in choices[:limit]) + more


def _short(text: str, limit: int = 60) -> str:
    return repr(text if len(text) <= limit else f"{text[: limit - 3]}...")
