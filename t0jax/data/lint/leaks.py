"""Checks that the answer has to be found: not shown, not given away by its place, and following from what is shown."""

from collections import Counter
from collections.abc import Iterator, Sequence

from t0jax.data.lint.finding import Said, Severity, Tally
from t0jax.data.lint.sight import Sight
from t0jax.data.lint.texts import NOTABLE
from t0jax.prompts.render import Prompted

FEW_ROWS = 20
"""Shares of fewer rows say nothing: a share of a half of 20 rows is known to within 22 points."""
LEAK = 0.5
"""How much more often the right answer's field is shown than a wrong one's. All shown, none shown and one shown at random
give 0; a wording that always shows the right one gives 1; one that shows the first answer gives its class's share at most."""
ALWAYS = 0.95
"""Whoever always names this place is right on all but one row in twenty."""
STRAY = 0.05
"""Rows with the same answer twice, or answers that quote each other, contradict themselves this seldom."""


def check_leaks(sights: Sequence[Sight]) -> Iterator[Said]:
    """Inputs that show the field in which the answer stands and no other answer's."""
    right, field, wrong = Tally(), Tally(), 0.0
    for sight, prompted in _traced(sights):
        if answers := sight.answers:
            right.add(sight.row.number, answers.right in sight.shown)
            wrong += sum(text in sight.shown for text in answers.wrong) / len(answers.wrong)
        else:
            field.add(sight.row.number, prompted.targets in sight.shown)
    if right.rows >= FEW_ROWS and right.share - wrong / right.rows > LEAK:
        message = (
            f"The input shows the right answer, and a wrong one in only {wrong / right.rows:.0%} of the rows: show all of "
            "them, none, or one at random."
        )
        yield Said("leak", "error", right, message)
    if field.rows >= FEW_ROWS and field.share > LEAK:
        yield Said("leak", "error", field, "The input shows the field that is the target: take it out of the input.")


def check_verdicts(sights: Sequence[Sight]) -> Iterator[Said]:
    """Wordings that show one answer and ask for a verdict on it, which must follow from whether it is the right one."""
    verdicts: dict[bool, dict[str, list[int]]] = {True: {}, False: {}}
    for sight, prompted in _on_one_answer(sights):
        is_right = sight.row.answers is not None and sight.row.answers.right in sight.shown
        verdicts[is_right].setdefault(prompted.targets, []).append(sight.row.number)
    for is_right, rows in verdicts.items():
        usual, *others = sorted(rows, key=lambda target: -len(rows[target])) or [""]
        contrary = sorted(number for target in others for number in rows[target])
        tally = Tally(sum(map(len, rows.values())), len(contrary), contrary[0] if contrary else None)
        if tally.rows >= FEW_ROWS and tally.share > STRAY:
            message = (
                f"It shows one answer of several; where that is {'the right' if is_right else 'a wrong'} one, the target is "
                f"{usual!r} on some rows and {others[0]!r} on others: let the verdict be about the answer that is shown."
            )
            yield Said("verdict", "error", tally, message)
            return


def check_draws(sights: Sequence[Sight]) -> Iterator[Said]:
    """Random choices that decide the target behind the input's back, that decide nothing, or that leave an answer out."""
    hidden, idle = Tally(), Tally()
    for sight in sights:
        if (first := sight.prompted) is not None and sight.redrawn:
            behind = any(one.inputs == first.inputs and one.targets != first.targets for one in sight.redrawn)
            hidden.add(sight.row.number, behind and first.answer_choices is not None)
            idle.add(sight.row.number, all(one == first for one in sight.redrawn))
    if hidden.rows >= FEW_ROWS and hidden.share > STRAY:
        message = "A random draw changes the target and leaves the input as it is: let the input show what was drawn."
        yield Said("draw", "error", hidden, message)
    elif idle.rows >= FEW_ROWS and idle.hits == idle.rows:
        message = "It draws at random, but nothing that it renders depends on it: take the filter out."
        yield Said("draw", "warning", idle, message)
    drawn = [(s.row.answers.texts, s.shown[0]) for s, _ in _on_one_answer(sights) if s.redrawn and s.row.answers]
    places, size = Counter(texts.index(shown) for texts, shown in drawn), max((len(texts) for texts, _ in drawn), default=0)
    unseen = [place + 1 for place in range(size) if not places[place]]
    if unseen and len(places) > 1 and len(drawn) >= 10 * size:  # an even draw misses a place once in 20,000 times
        which = ", ".join(map(str, unseen))
        message = f"The random draw never shows answer {which} of {size}: widen its range."
        yield Said("draw", "warning", Tally(len(drawn), len(drawn)), message)


def check_places(sights: Sequence[Sight]) -> Iterator[Said]:
    """The right answer's place among the answers that the input lists, or, where it lists none, among the choices."""
    listed, scored, lacking = [], [], Tally()
    chance = 0.0
    for sight, prompted in _traced(sights):
        if (answers := sight.answers) is None or prompted.answer_choices is None:
            continue
        if len(sight.shown) > 1:
            lacking.add(sight.row.number, answers.right not in sight.shown)
        if len(sight.shown) == len(answers.texts):
            listed.append(sight.shown.index(answers.right))
            chance += 1 / len(answers.texts)
        elif not sight.shown and prompted.targets in prompted.answer_choices and prompted.targets in answers.texts:
            scored.append(prompted.answer_choices.index(prompted.targets))
    place, tally = _most_frequent(listed)
    if tally.share > 0 and tally.share >= (1 + chance / len(listed)) / 2:  # nearer to always than to chance
        severity: Severity = "error" if tally.share >= ALWAYS else "warning"
        message = f"Of the answers that the input lists, the right one stands at place {place + 1}: shuffle them."
        yield Said("position", severity, tally, message)
    place, tally = _most_frequent(scored)
    if tally.share >= ALWAYS:
        message = (
            f"The right answer is choice {place + 1}. The input does not list the choices, so this shows only in ties, which "
            "rank classification gives to the first."
        )
        yield Said("position", "warning", tally, message)
    if lacking.share >= NOTABLE:
        yield Said("option", "error", lacking, "The input lists answers without the right one: list all of them.")


def _most_frequent(places: Sequence[int]) -> tuple[int, Tally]:
    """The most frequent place and on how many rows it is it; no rows where they are few."""
    if len(places) < FEW_ROWS:
        return 0, Tally()
    place, hits = Counter(places).most_common(1)[0]
    return place, Tally(len(places), hits)


def _on_one_answer(sights: Sequence[Sight]) -> Iterator[tuple[Sight, Prompted]]:
    """The rows of which one answer is shown while the target, a choice, is none of the answers."""
    for sight, prompted in _traced(sights):
        if (answers := sight.answers) and len(sight.shown) == 1 and prompted.targets not in answers.texts:
            yield sight, prompted


def _traced(sights: Sequence[Sight]) -> Iterator[tuple[Sight, Prompted]]:
    return ((sight, sight.prompted) for sight in sights if sight.prompted is not None and sight.traced)
