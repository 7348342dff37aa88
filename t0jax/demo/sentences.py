"""Rows of the training datasets that compare, classify and write sentences, in the field schema of the real ones."""

from random import Random
from typing import Any

from t0jax.demo.content import ASK_VALUE, PEOPLE, STATEMENTS, VALUES, Fact, Side, words
from t0jax.demo.scenes import changed, rival, say, scene, swapped, tell, who_is

Row = dict[str, Any]
PRAISE = words("wonderful brilliant lovely great charming funny superb moving")
BLAME = words("awful boring terrible dull stupid weak painful ugly")
FILM = words("film story acting music plot cast ending scene")
NEWS = (
    words("president minister election treaty border parliament army embassy"),
    words("match goal team coach season player stadium league"),
    words("profit shares bank sales company prices investors market"),
    words("software rocket computer scientists planet internet chip robot"),
)
"""Words of ag_news' four topics, by label."""


def paws(random: Random, side: Side, index: int) -> Row:
    """The same words; not a paraphrase when two people have changed places."""
    facts = scene(random, side, side.people(random, 2))
    label = random.randrange(2)
    new = list(facts) if label else swapped(random, facts)
    random.shuffle(new)
    return {"id": index, "sentence1": tell(random, facts, " and "), "sentence2": tell(random, new, " and "), "label": label}


def mrpc(random: Random, side: Side, index: int) -> Row:
    """A scene, and one fact of it again: told in other words, or of the other person's value, or of a new one."""
    facts, again, label = retold(random, side)
    return {"sentence1": tell(random, facts, ", and "), "sentence2": tell(random, [again]), "label": label, "idx": index}


def retold(random: Random, side: Side) -> tuple[list[Fact], Fact, int]:
    """A scene, a statement about it, and 1 if it is true."""
    facts = scene(random, side, side.people(random, random.choice((1, 2, 2))))
    fact = random.choice(facts)
    if random.random() < 0.5:
        return facts, fact, 1
    if len(facts) == 1 or random.random() < 0.5:
        return facts, changed(random, side, facts, fact), 0
    return facts, Fact(fact.person, fact.kind, rival(facts, fact).value), 0


def qqp(random: Random, side: Side, index: int) -> Row:
    """Two questions of one kind about the same person or value, or not."""
    one, two = scene(random, side, side.people(random, 2))
    label = random.randrange(2)
    two = one if label else two
    if random.random() < 0.5:
        asked = [random.choice(ASK_VALUE[fact.kind]).format(p=fact.person) for fact in (one, two)]
    else:
        asked = [who_is(random, fact) for fact in (one, two)]
    return {"question1": asked[0], "question2": asked[1], "label": label, "idx": index}


def rotten_tomatoes(random: Random, side: Side, index: int) -> Row:
    """Two things about a film, both good or both bad."""
    label = random.randrange(2)
    (first, second), (this, that) = random.sample(PRAISE if label else BLAME, 2), random.sample(FILM, 2)
    return {"text": f"the {this} was {first} and the {that} was {second} .", "label": label}


def ag_news(random: Random, side: Side, index: int) -> Row:
    """Three words of one topic."""
    label = random.randrange(4)
    one, two, three = random.sample(NEWS[label], 3)
    place = random.choice(VALUES["place"])
    return {"text": f"The {one} and the {two} spoke about the {three} in the {place}.", "label": label}


def trec(random: Random, side: Side, index: int) -> Row:
    """What does a question ask for: a person (coarse 3, fine 4) or a place (5, 14)? Numbers as in promptsource's templates."""
    if random.random() < 0.5:
        fact = scene(random, side, side.people(random, 1))[0]
        return {"text": who_is(random, fact), **_trec_labels(3, 4, 3)}
    text = random.choice(ASK_VALUE["place"]).format(p=random.choice(PEOPLE))
    return {"text": text, **_trec_labels(5, 14, 4)}


def _trec_labels(coarse: int, fine: int, today: int) -> Row:
    """The old numbers, which the templates read, and `today`: the hub's new coarse number."""
    return {"label_coarse": coarse, "label_fine": fine, "coarse_label": today, "fine_label": fine}


def samsum(random: Random, side: Side, index: int) -> Row:
    """Somebody says what is so; the summary says it plainly."""
    facts, summary = gist(random, side)
    speakers = random.sample(PEOPLE, len(facts))
    lines = [f"{speaker}: {say(random, fact)}." for speaker, fact in zip(speakers, facts, strict=True)]
    return {"id": f"demo-{index}", "dialogue": "\r\n".join(lines), "summary": summary}


def xsum(random: Random, side: Side, index: int) -> Row:
    """A scene and its summary."""
    facts, summary = gist(random, side)
    return {"document": tell(random, facts), "summary": summary, "id": f"demo-{index}"}


def gist(random: Random, side: Side) -> tuple[list[Fact], str]:
    """A scene, and every fact of it in its plainest phrasing, people in alphabetical order."""
    facts = scene(random, side, side.people(random, random.choice((1, 2))), 1)
    ordered = sorted(facts, key=lambda fact: (fact.person, fact.kind))
    return facts, " and ".join(plain(fact) for fact in ordered) + "."


def common_gen(random: Random, side: Side, index: int) -> Row:
    """A person and a value to be joined in a sentence."""
    fact = scene(random, side, side.people(random, 1))[0]
    return {"concept_set_idx": index, "concepts": [fact.person, fact.value], "target": say(random, fact) + "."}


def plain(fact: Fact) -> str:
    """A fact in its first phrasing."""
    return STATEMENTS[fact.kind][0].format(p=fact.person, v=fact.value)
