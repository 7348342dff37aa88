"""Rows of the datasets that are never trained on, in the field schema of the real ones. Every pairing is a reserved one.

A row's index sets its label, so that the labels are balanced.
"""

from random import Random
from typing import Any

from t0jax.demo.content import Fact, Side
from t0jax.demo.scenes import Meeting, changed, deeds, meeting, rival, say, scene, tell, two_people_scene

Row = dict[str, Any]


def false_statement(random: Random, side: Side, facts: list[Fact], fact: Fact) -> Fact:
    """The fact with the other person's value, or with a value that nobody in the scene has."""
    if random.random() < 0.5:
        return changed(random, side, facts, fact)
    return Fact(fact.person, fact.kind, rival(facts, fact).value)


def rte(random: Random, side: Side, index: int) -> Row:
    """0: a fact of the premise in its own or other words; 1: it gives the person another value."""
    facts = two_people_scene(random, side)
    fact = random.choice(facts)
    label = index % 2
    told = false_statement(random, side, facts, fact) if label else fact
    return {"premise": tell(random, facts), "hypothesis": say(random, told) + ".", "idx": index, "label": label}


def cb(random: Random, side: Side, index: int) -> Row:
    """0: entailed; 1: contradicted; 2: of a kind on which the premise is silent."""
    people = side.people(random, 2)
    told = scene(random, side, people, 2)
    kinds = sorted({fact.kind for fact in told})
    random.shuffle(kinds)
    facts = [fact for fact in told if fact.kind == kinds[0]]
    silent = [fact for fact in told if fact.kind == kinds[1]]
    label = index % 3
    fact = random.choice(silent if label == 2 else facts)
    told_fact = false_statement(random, side, facts, fact) if label == 1 else fact
    return {"premise": tell(random, facts), "hypothesis": say(random, told_fact) + ".", "idx": index, "label": label}


def copa(random: Random, side: Side, index: int) -> Row:
    """Two causes or two effects of one person and one thing."""
    label, is_effect = index % 2, index // 2 % 2 == 1
    person = side.people(random, 1)
    scripts = side.scripts(random, person, 2)
    clauses = [f"{person[0]} {script[is_effect]}." for script in scripts]
    if label:
        clauses.reverse()
    return {
        "premise": f"{person[0]} {scripts[0][not is_effect]}.",
        "choice1": clauses[0],
        "choice2": clauses[1],
        "question": "effect" if is_effect else "cause",
        "idx": index,
        "label": label,
    }


def hellaswag(random: Random, side: Side, index: int) -> Row:
    """A fact, a cause, and four effects that could end the sentence."""
    people = side.people(random, 1)
    scripts = side.scripts(random, people, 4)
    label = index % 4
    context = f"{tell(random, scene(random, side, people))} {people[0]} {scripts[0][0]}."
    start = f"then {people[0]}"
    endings = [effect + "." for _, effect in scripts]
    endings[0], endings[label] = endings[label], endings[0]
    return {
        "ind": index,
        "activity_label": "Daily life",
        "ctx_a": context,
        "ctx_b": start,
        "ctx": f"{context} {start}",
        "endings": endings,
        "source_id": f"demo~{index}",
        "split": "val",
        "split_type": "indomain",
        "label": str(label),
    }


def story_cloze(random: Random, side: Side, index: int) -> Row:
    """Two people, a meeting, a cause; two endings."""
    person, other = side.people(random, 2)
    facts = scene(random, side, [person, other])
    (cause, effect), (_, wrong) = side.scripts(random, [person], 2)
    endings = [f"{person} {effect}.", f"{person} {wrong}."]
    if index % 2:
        endings.reverse()
    return {
        "story_id": f"demo-{index}",
        "input_sentence_1": say(random, facts[0]) + ".",
        "input_sentence_2": say(random, facts[1]) + ".",
        "input_sentence_3": f"{person} met {other}.",
        "input_sentence_4": f"{person} {cause}.",
        "sentence_quiz1": endings[0],
        "sentence_quiz2": endings[1],
        "answer_right_ending": index % 2 + 1,
    }


def winogrande(random: Random, side: Side, index: int) -> Row:
    """Two people, two causes, one effect: whose?"""
    done = deeds(random, side)
    clauses = [f"{done.person} {done.cause}", f"{done.other} {done.other_cause}"]
    options = [done.person, done.other]
    if index % 2:
        options.reverse()
    if index // 2 % 2:
        clauses.reverse()
    return {
        "sentence": f"{clauses[0]} and {clauses[1]}, so _ {done.effect}.",
        "option1": options[0],
        "option2": options[1],
        "answer": str(options.index(done.person) + 1),
    }


def wsc(random: Random, side: Side, index: int) -> Row:
    """Is the pronoun's person the one that is named?"""
    met: Meeting = meeting(random, side)
    label = index % 2
    text = f"{met.opening} when {say(random, met.told)}."
    words = text.split(" ")
    named = met.person if label else met.other
    return {
        "text": text,
        "span1_index": words.index(named),
        "span2_index": words.index(met.pronoun),
        "span1_text": named,
        "span2_text": met.pronoun,
        "idx": index,
        "label": label,
    }
