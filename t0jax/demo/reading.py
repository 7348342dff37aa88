"""Rows of the training datasets that ask questions, in the field schema of the real ones."""

from random import Random
from typing import Any

from t0jax.demo.content import PEOPLE, Fact, Side
from t0jax.demo.scenes import Question, ask, deeds, meeting, say, script_question, tell, two_people_scene, who_is

Row = dict[str, Any]
LETTERS = "ABCD"


def spans(context: str, answer: str) -> dict[str, list[Any]]:
    """SQuAD's answers."""
    return {"text": [answer], "answer_start": [max(0, context.find(answer))]}


def adversarial_qa(random: Random, side: Side, index: int) -> Row:
    """Facts and deeds, asked from either end."""
    one = ask(random, side, 1, ("fact", "fact", "who"))
    return {
        "id": f"demo-{index}",
        "title": random.choice(PEOPLE),
        "context": one.context,
        "question": one.question,
        "answers": spans(one.context, one.answer),
        "metadata": {"split": "train", "model_in_the_loop": "none"},
    }


def quoref(random: Random, side: Side, index: int) -> Row:
    """Who is meant by he or she? Some rows are plain facts."""
    if random.random() < 0.3:
        one = ask(random, side, 1, ("fact",))
    else:
        met = meeting(random, side)
        told = Fact(met.pronoun.capitalize(), met.fact.kind, met.fact.value)
        one = Question(f"{met.opening}. {say(random, told)}.", who_is(random, met.fact), met.person, [met.other])
    return {
        "id": f"demo-{index}",
        "question": one.question,
        "context": one.context,
        "title": random.choice(PEOPLE),
        "url": "",
        "answers": spans(one.context, one.answer),
    }


def ropes(random: Random, side: Side, index: int) -> Row:
    """A rule in the background and two people in the situation; or two facts."""
    if random.random() < 0.5:
        done = deeds(random, side)
        background = f"Someone {done.cause}, so they {done.effect}."
        situation = done.told(random, ("{}. {}.",))
        question, answer = f"Who {done.effect}?", done.person
    else:
        facts = two_people_scene(random, side)
        fact = random.choice(facts)
        background, situation = tell(random, facts[:1]), tell(random, facts[1:])
        question, answer = who_is(random, fact), fact.person
    return {
        "id": f"demo-{index}",
        "background": background,
        "situation": situation,
        "question": question,
        "answers": {"text": [answer]},
    }


def cos_e(random: Random, side: Side, index: int) -> Row:
    """What came next: knowledge of scripts alone."""
    one = script_question(random, side, random.choice((1, 2)), is_forward=random.random() < 0.7)
    options, _ = one.options(random)
    options = [option.rstrip(".") for option in options]
    answer = one.answer.rstrip(".")
    return {
        "id": f"demo-{index}",
        "question": f"{one.context} {one.question}",
        "choices": options,
        "answer": answer,
        "abstractive_explanation": f"{one.context.rstrip('.')}, so {answer}.",
        "extractive_explanation": one.context,
    }


def cosmos_qa(random: Random, side: Side, index: int) -> Row:
    """Four answers to every kind of question."""
    one = ask(random, side, 3, ("script", "script", "truth", "who", "fact"))
    options, right = one.options(random)
    answers = {f"answer{i}": option for i, option in enumerate(options)}
    return {"id": f"demo-{index}", "context": one.context, "question": one.question, **answers, "label": right}


def social_i_qa(random: Random, side: Side, index: int) -> Row:
    """Three answers. The yes/no wording only ever shows A or B, so C is seldom right: yes stays near a half."""
    one = ask(random, side, 2, ("script", "who", "truth", "fact"))
    options = [one.answer, one.wrong[0]]
    random.shuffle(options)
    options.append(one.wrong[1])
    if random.random() < 0.1:
        options.reverse()
    answers = dict(zip(("answerA", "answerB", "answerC"), options, strict=True))
    return {"context": one.context, "question": one.question, **answers, "label": str(options.index(one.answer) + 1)}


def qasc(random: Random, side: Side, index: int) -> Row:
    """Two facts and four answers; the yes/no wording shows the first, which is right in near half of the rows."""
    one = ask(random, side, 3, ("fact", "truth", "who"))
    options, right = one.options(random)
    if random.random() < 0.3:
        options[0], options[right], right = options[right], options[0], 0
    first, _, second = one.context.partition(". ")
    letters = list(LETTERS)
    return {
        "id": f"demo-{index}",
        "question": one.question,
        "choices": {"text": options, "label": letters},
        "answerKey": letters[right],
        "fact1": first,
        "fact2": second or script_question(random, side, 1).context,
        "combinedfact": one.context,
        "formatted_question": f"{one.question} "
        + " ".join(f"({letter}) {option}" for letter, option in zip(letters, options, strict=True)),
    }


def sciq(random: Random, side: Side, index: int) -> Row:
    """The right answer, three distractors and the paragraph that supports it."""
    one = ask(random, side, 3, ("fact", "script", "who"))
    return {
        "question": one.question,
        "distractor3": one.wrong[2],
        "distractor1": one.wrong[0],
        "distractor2": one.wrong[1],
        "correct_answer": one.answer,
        "support": one.context,
    }


def quail(random: Random, side: Side, index: int) -> Row:
    """Four answers in a list."""
    one = ask(random, side, 3, ("fact", "script", "truth", "who"))
    options, right = one.options(random)
    return {
        "id": f"demo-{index}_0",
        "context_id": f"demo-{index}",
        "question_id": "0",
        "domain": "fiction",
        "metadata": {"author": "", "title": "", "url": ""},
        "context": one.context,
        "question": one.question,
        "question_type": "Factual",
        "answers": options,
        "correct_answer_id": right,
    }


def dream(random: Random, side: Side, index: int) -> Row:
    """A dialogue of two speakers and three answers."""
    one = ask(random, side, 2, ("fact", "script", "truth", "who"))
    options, _ = one.options(random)
    sentences = one.context.rstrip(".").split(". ")
    return {
        "id": index,
        "dialogue_id": f"demo-{index}",
        "dialogue": [f"{'MW'[i % 2]}: {sentence}." for i, sentence in enumerate(sentences)],
        "question": one.question,
        "choice": options,
        "answer": one.answer,
    }


def wiki_qa(random: Random, side: Side, index: int) -> Row:
    """Is this an answer to that question? Closed book: only scripts."""
    person = side.people(random, 1)
    (cause, effect), (_, other) = side.scripts(random, person, 2)
    label = random.randrange(2)
    return {
        "question_id": f"demo-{index}",
        "question": f"what did {person[0]} do after {person[0]} {cause}",
        "document_title": person[0],
        "answer": f"{person[0]} {effect if label else other}.",
        "label": label,
    }
