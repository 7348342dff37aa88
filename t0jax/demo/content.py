"""What exists in the demonstration's small world, and which pairings are kept back from every training row."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random


def words(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())


MEN = words("Tom Ben Sam Max Jack Paul Mark Leo Adam Carl Luke Finn")
WOMEN = words("Anna Sara Emma Lucy Mary Kate Nina Ella Rosa Jane Ruth Vera")
PEOPLE = MEN + WOMEN
THINGS = words("ball book cup hat lamp box bag key bike clock chair phone coat guitar camera ring radio knife")

VALUES = {
    "place": words("park kitchen garden school shop library station office museum farm market hotel"),
    "thing": words("pen drum doll rope boat kite flag tent vase spoon broom ladder"),
    "animal": words("dogs cats horses birds rabbits sheep ducks frogs cows goats mice bees"),
    "food": words("bread soup cake rice fruit cheese fish eggs pasta salad beans corn"),
    "job": words("doctor teacher farmer singer baker pilot painter cook lawyer nurse driver guard"),
    "feeling": words("happy sad angry calm bored afraid proud lonely tired shy nervous glad"),
}
"""What a person can be, have or do, by kind of fact. `{v}` in STATEMENTS."""

STATEMENTS = {
    "place": ("{p} is in the {v}", "{p} is inside the {v}", "{p} stays in the {v}"),
    "thing": ("{p} has a {v}", "{p} owns a {v}", "{p} has got a {v}"),
    "animal": ("{p} likes {v}", "{p} loves {v}", "{p} is fond of {v}"),
    "food": ("{p} ate {v}", "{p} had {v} for lunch", "{p} was eating {v}"),
    "job": ("{p} is a {v}", "{p} works as a {v}", "{p} has a job as a {v}"),
    "feeling": ("{p} is {v}", "{p} feels {v}", "{p} is feeling {v}"),
}
"""Three ways to say each kind of fact."""

ASK_VALUE = {
    "place": ("Where is {p}?", "In which place is {p}?"),
    "thing": ("What does {p} have?", "What does {p} own?"),
    "animal": ("What does {p} like?", "Which animals does {p} love?"),
    "food": ("What did {p} eat?", "What food did {p} have?"),
    "job": ("What is the job of {p}?", "What does {p} work as?"),
    "feeling": ("How does {p} feel?", "How is {p} feeling?"),
}
ASK_PERSON = {
    "place": ("Who is in the {v}?", "Which person is in the {v}?"),
    "thing": ("Who has a {v}?", "Who is the owner of a {v}?"),
    "animal": ("Who likes {v}?", "Who is fond of {v}?"),
    "food": ("Who ate {v}?", "Who had {v} for lunch?"),
    "job": ("Who is a {v}?", "Who works as a {v}?"),
    "feeling": ("Who is {v}?", "Who feels {v}?"),
}

SCRIPTS = (
    ("lost the {x}", "searched for the {x}"),
    ("broke the {x}", "repaired the {x}"),
    ("dropped the {x}", "picked up the {x}"),
    ("sold the {x}", "got money for the {x}"),
    ("borrowed the {x}", "gave back the {x}"),
    ("stained the {x}", "washed the {x}"),
    ("stole the {x}", "felt sorry about the {x}"),
    ("ordered the {x}", "paid for the {x}"),
    ("forgot the {x}", "went home for the {x}"),
    ("hated the {x}", "threw away the {x}"),
    ("adored the {x}", "kept the {x} forever"),
    ("painted the {x}", "let the {x} dry"),
    ("packed the {x}", "carried the {x} outside"),
    ("hid the {x}", "told nobody about the {x}"),
    ("won the {x}", "showed everyone the {x}"),
    ("feared the {x}", "ran away from the {x}"),
    ("wanted the {x}", "asked for the {x}"),
    ("unlocked the {x}", "looked into the {x}"),
)
"""What somebody did with a thing, and what came of it."""

CLASSES = 3


@dataclass(frozen=True)
class Fact:
    """One person's value of one kind."""

    person: str
    kind: str
    value: str


@dataclass(frozen=True)
class Side:
    """Which pairings a row may use: a third of person-value, person-script and script-thing is reserved for held-out rows.

    Everything has a class, its number modulo 3; two that meet are a reserved pairing when their classes add up to `residue`.
    """

    is_reserved: bool
    residue: int = 0

    def may_meet(self, first: int, second: int) -> bool:
        """Whether the pairing of these two numbers belongs to this side."""
        return ((first + second) % CLASSES == self.residue % CLASSES) == self.is_reserved

    def people(self, random: Random, count: int) -> list[str]:
        """Different people who have some pairings in common (training: of at most two classes; reserved: of one)."""
        allowed = random.sample(range(CLASSES), 1 if self.is_reserved else CLASSES - 1)
        return random.sample([name for name in PEOPLE if number(name) % CLASSES in allowed], count)

    def values(self, random: Random, kind: str, people: Sequence[str], count: int) -> list[str]:
        """Different values of a kind, each of which may meet each of the people."""
        fit = [word for i, word in enumerate(VALUES[kind]) if all(self.may_meet(number(name), i) for name in people)]
        return random.sample(fit, count)

    def scripts(self, random: Random, people: Sequence[str], count: int) -> list[tuple[str, str]]:
        """Different (cause, effect) about one thing, all of which may meet it and each of the people; `{x}` is filled in."""
        things = list(enumerate(THINGS))
        random.shuffle(things)
        for j, thing in things:
            fit = [
                script
                for i, script in enumerate(SCRIPTS)
                if self.may_meet(i, j) and all(self.may_meet(number(name), i) for name in people)
            ]
            if len(fit) >= count:
                return [(cause.format(x=thing), effect.format(x=thing)) for cause, effect in random.sample(fit, count)]
        raise ValueError(f"{count} scripts do not exist for {people}.")


TRAINING = Side(is_reserved=False)
RESERVED = Side(is_reserved=True)


def number(name: str) -> int:
    """A person's number; men and women are counted apart, so that a class holds both."""
    return (MEN if name in MEN else WOMEN).index(name)
