"""Scenes, and questions about them: what every reading task of the demonstration draws from."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from t0jax.demo.content import ASK_PERSON, ASK_VALUE, MEN, PEOPLE, STATEMENTS, VALUES, WOMEN, Fact, Side

BEFORE = ("What happened before?", "Why did this happen to {p}?", "What is the reason for this?")
AFTER = ("What happened next?", "What did {p} do then?", "What may happen after this?")


@dataclass(frozen=True)
class Question:
    """A context, a question about it, the right answer and wrong ones."""

    context: str
    question: str
    answer: str
    wrong: list[str]

    def options(self, random: Random) -> tuple[list[str], int]:
        """All answers in random order, and where the right one lies."""
        options = [self.answer, *self.wrong]
        random.shuffle(options)
        return options, options.index(self.answer)


def say(random: Random, fact: Fact) -> str:
    """A fact in one of its three phrasings, without a full stop."""
    return random.choice(STATEMENTS[fact.kind]).format(p=fact.person, v=fact.value)


def tell(random: Random, facts: Sequence[Fact], separator: str = ". ") -> str:
    """Several facts as one text."""
    return separator.join(say(random, fact) for fact in facts) + "."


def scene(random: Random, side: Side, people: Sequence[str], kinds: int = 1) -> list[Fact]:
    """Facts of `kinds` kinds about each of the people, no two of whom share a value; in random order."""
    facts = []
    for kind in random.sample(list(VALUES), kinds):
        values = side.values(random, kind, people, len(people))
        facts += [Fact(name, kind, value) for name, value in zip(people, values, strict=True)]
    random.shuffle(facts)
    return facts


def two_people_scene(random: Random, side: Side) -> list[Fact]:
    """Two people with one kind of fact, or with two kinds in one scene of four."""
    return scene(random, side, side.people(random, 2), 2 if random.random() < 0.25 else 1)


def rival(facts: Sequence[Fact], fact: Fact) -> Fact:
    """The other person's fact of the same kind: what a wrong reading would answer."""
    return next(other for other in facts if other.kind == fact.kind and other.person != fact.person)


def changed(random: Random, side: Side, facts: Sequence[Fact], fact: Fact) -> Fact:
    """The fact with a value of which the scene does not speak."""
    people = sorted({one.person for one in facts})
    taken = {one.value for one in facts}
    values = side.values(random, fact.kind, people, len(taken & set(VALUES[fact.kind])) + 1)
    return Fact(fact.person, fact.kind, next(value for value in values if value not in taken))


def fact_question(random: Random, side: Side, wrong: int) -> Question:
    """Who or what, asked of a scene of two people; the first wrong answer is the other person's."""
    facts = two_people_scene(random, side)
    fact = random.choice(facts)
    other = rival(facts, fact)
    if random.random() < 0.5:
        question, answer, first = random.choice(ASK_VALUE[fact.kind]).format(p=fact.person), fact.value, other.value
        more = [value for value in VALUES[fact.kind] if value not in (answer, first)]
    else:
        question, answer, first = who_is(random, fact), fact.person, other.person
        more = [name for name in PEOPLE if name not in (answer, first)]
    return Question(tell(random, facts), question, answer, [first, *random.sample(more, wrong - 1)])


def truth_question(random: Random, side: Side, wrong: int) -> Question:
    """Which statement is true of a scene? Wrong ones give the person another value."""
    facts = two_people_scene(random, side)
    fact = random.choice(facts)
    other = rival(facts, fact)
    people = [fact.person, other.person]
    values = [v for v in side.values(random, fact.kind, people, 4) if v not in (fact.value, other.value)]
    wrongs = [Fact(fact.person, fact.kind, value) for value in [other.value, *values][:wrong]]
    asked = random.choice(("Which of these is true?", "What is true about {p}?", "What do we know about {p}?"))
    return Question(
        tell(random, facts),
        asked.format(p=fact.person),
        say(random, fact) + ".",
        [say(random, one) + "." for one in wrongs],
    )


def script_question(random: Random, side: Side, wrong: int, is_forward: bool | None = None) -> Question:
    """What came next, or before? All answers speak of the same person and thing."""
    people = side.people(random, 1)
    scripts = side.scripts(random, people, wrong + 1)
    is_forward = random.random() < 0.5 if is_forward is None else is_forward
    asked = random.choice(AFTER if is_forward else BEFORE).format(p=people[0])
    answers = [f"{people[0]} {script[is_forward]}." for script in scripts]
    context = f"{people[0]} {scripts[0][not is_forward]}."
    if random.random() < 0.3:
        context = f"{tell(random, scene(random, side, people))} {context}"
    return Question(context, asked, answers[0], answers[1:])


@dataclass(frozen=True)
class Deeds:
    """Two people did two things with one thing; `effect` follows from what `person` did."""

    person: str
    other: str
    cause: str
    effect: str
    other_cause: str

    def told(self, random: Random, layouts: Sequence[str]) -> str:
        """Both causes, in random order, in one of the layouts (two braces each)."""
        order = [f"{self.person} {self.cause}", f"{self.other} {self.other_cause}"]
        random.shuffle(order)
        return random.choice(layouts).format(*order)


def deeds(random: Random, side: Side) -> Deeds:
    """Two scripts about one thing, and the effect of the first."""
    person, other = side.people(random, 2)
    (cause, effect), (other_cause, _) = side.scripts(random, [person, other], 2)
    return Deeds(person, other, cause, effect, other_cause)


def who_question(random: Random, side: Side, wrong: int) -> Question:
    """To which of two people does the effect belong?"""
    done = deeds(random, side)
    context = done.told(random, ("{} and {}.", "{}. {}.", "{}, but {}."))
    more = [name for name in PEOPLE if name not in (done.person, done.other)]
    return Question(context, f"Who {done.effect}?", done.person, [done.other, *random.sample(more, wrong - 1)])


def who_is(random: Random, fact: Fact) -> str:
    """A question whose answer is the fact's person."""
    return random.choice(ASK_PERSON[fact.kind]).format(v=fact.value)


QUESTIONS = {"fact": fact_question, "truth": truth_question, "script": script_question, "who": who_question}


def ask(random: Random, side: Side, wrong: int, kinds: Sequence[str]) -> Question:
    """A question of one of the `kinds` of QUESTIONS, a kind named twice twice as often, with `wrong` wrong answers."""
    return QUESTIONS[random.choice(kinds)](random, side, wrong)


def swapped(random: Random, facts: Sequence[Fact]) -> list[Fact]:
    """The same scene where two people have changed places in one kind."""
    one = random.choice(facts)
    two = rival(facts, one)
    exchange = {one: Fact(one.person, one.kind, two.value), two: Fact(two.person, two.kind, one.value)}
    return [exchange.get(fact, fact) for fact in facts]


@dataclass(frozen=True)
class Meeting:
    """A man and a woman meet; the pronoun speaks of one of them."""

    opening: str
    person: str
    other: str
    pronoun: str
    fact: Fact

    @property
    def told(self) -> Fact:
        """The fact with the pronoun in the person's place."""
        return Fact(self.pronoun, self.fact.kind, self.fact.value)


def meeting(random: Random, side: Side) -> Meeting:
    """Either of the two may be named first, either may be meant."""
    man, woman = random.choice(MEN), random.choice(WOMEN)
    person, other = random.sample([man, woman], 2)
    first, second = random.sample([man, woman], 2)
    kind = random.choice(list(VALUES))
    fact = Fact(person, kind, side.values(random, kind, [person], 1)[0])
    verb = random.choice(("met", "saw", "called", "helped", "thanked"))
    return Meeting(f"{first} {verb} {second}", person, other, "he" if person in MEN else "she", fact)
