"""Made-up rows in the hub's schemas, the same for the same seed: what templates are tried on where no real rows are."""

from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from t0jax.data.schemas import CLASS_LABEL, FieldType, schema

Row = dict[str, Any]
_VOCABULARY = (
    "the a of in and to was had river teacher engine winter old small quickly found under between seventeen green glass window "
    "story answer music market never because children doctor Lisbon Amara walked asked painted heavy bread science"
)
_WORDS = _VOCABULARY.split()
_ODD_TEXTS = (
    "",
    " padded on both sides \n",
    "one ||| two",
    "|||",
    "{{ not a variable }} {% nor a tag %} {# nor a comment #}",
    "}} {{",
    "Köln, Ürümqi, 東京 — “naïve” 🙂 e\u0301",
    "two\n\nparagraphs\twith a tab\r\n",
    "back\\slash 'single' \"double\" <b>&amp;</b>",
    "x" * 2100,  # over the 2,048 characters, without a blank where it could be cut
    "word " * 500,
    "y" * 2050,  # over them by less than the five that are let pass
)


class _Maker:
    """Draws the values of one row. `oddities` is the share of texts that try a template's patience."""

    def __init__(self, random: Random, oddities: float, index: int) -> None:
        self.random, self.oddities, self.index = random, oddities, index

    def text(self) -> str:
        """A sentence or several, or something odd."""
        if self.random.random() < self.oddities:
            return self.random.choice(_ODD_TEXTS)
        return " ".join(self.sentence() for _ in range(self.random.choice((1, 1, 1, 2, 6))))

    def sentence(self) -> str:
        """Ordinary words with a capital and a full stop."""
        words = self.random.choices(_WORDS, k=self.random.randint(2, 14))
        return " ".join(words).capitalize() + self.random.choice((".", ".", "?"))

    def texts(self, low: int, high: int) -> list[str]:
        """So many texts."""
        return [self.text() for _ in range(self.random.randint(low, high))]

    def value(self, kind: FieldType) -> Any:
        """Any value of a type; lists in one dictionary are of one length, as the hub gives a sequence of records."""
        if isinstance(kind, str):
            return self._scalar(kind)
        if isinstance(kind, list):
            return [self.value(kind[0]) for _ in range(self.random.randint(0, 5))]
        if CLASS_LABEL in kind:
            return self._label(len(kind[CLASS_LABEL]))
        if all(isinstance(item, list) for item in kind.values()):
            length = self.random.randint(0, 5)
            return {field: [self.value(item[0]) for _ in range(length)] for field, item in kind.items()}
        return {field: self.value(item) for field, item in kind.items()}

    def _scalar(self, kind: str) -> Any:
        if self.random.random() < self.oddities / 10:
            return None
        if kind == "string":
            return self.text()
        if kind == "int":
            return self.random.randrange(100)
        return self.random.random() < 0.5 if kind == "bool" else round(self.random.random(), 3)

    def _label(self, names: int) -> int:
        """Each label in turn, and at times -1, which the hub writes where a split has no labels."""
        return -1 if self.random.random() < self.oddities / 10 else self.index % names


_Make = Callable[[_Maker, Row], Any]


def synthetic_rows(dataset: str, subset: str | None, count: int, seed: int = 0, *, oddities: float = 0.25) -> Iterator[Row]:
    """`count` rows of a dataset of the tables, with every class label in turn and answers that lie among their choices.

    The share `oddities` of the texts is empty, null, longer than templates take, in other scripts, or holds Jinja's marks or
    the separator `|||`. InputError when the tables lack the dataset.
    """
    fields = schema(dataset, subset).fields
    name = dataset if subset is None else f"{dataset}/{subset}"
    fitting = _FITTING.get(name) or _FITTING.get(dataset) or {}
    random = Random(f"{seed}/{name}")
    for index in range(count):
        maker = _Maker(random, oddities, index)
        row = {field: maker.value(kind) for field, kind in fields.items()}
        for path, make in fitting.items():
            *above, last = path.split(".")
            holder = row
            for part in above:
                holder = holder[part]
            holder[last] = make(maker, row)
        yield row


def _of(*words: Any) -> _Make:
    """Each of these in turn."""
    return lambda maker, row: words[maker.index % len(words)]


def _texts(low: int, high: int) -> _Make:
    return lambda maker, row: maker.texts(low, high)


def _letters(letters: str) -> _Make:
    """The labels of the choices made before."""
    return lambda maker, row: list(letters[: len(row["choices"]["text"])])


def _among(find: Callable[[Row], list[Any]]) -> _Make:
    """One of what the row already has."""
    return lambda maker, row: maker.random.choice(find(row))


def _sometimes_none(low: int, high: int) -> _Make:
    """So many texts, and none at all in every fourth row."""
    return lambda maker, row: [] if maker.index % 4 == 3 else maker.texts(low, high)


def _answers(low: int, high: int, *, always: bool = True) -> _Make:
    """Answers with their places, and where not `always`, none at all in every fourth row."""

    def make(maker: _Maker, row: Row) -> dict[str, list[Any]]:
        texts = maker.texts(low, high) if always or maker.index % 4 < 3 else []
        return {"text": texts, "answer_start": [maker.random.randrange(100) for _ in texts]}

    return make


def _with(pattern: str) -> _Make:
    """Ordinary sentences put into a pattern."""
    return lambda maker, row: "".join(maker.sentence() if part == "*" else part for part in pattern.split("~"))


def _multiple_choice(number: int, letters: str) -> dict[str, _Make]:
    return {
        "choices.text": _texts(number, number),
        "choices.label": _letters(letters),
        "answerKey": _among(lambda row: row["choices"]["label"]),
    }


def _wino_clusters(maker: _Maker, row: Row) -> list[str]:
    return ["0", "1", str(len(row["tokens"]) - 2), str(len(row["tokens"]) - 2)]


def _wino_tokens(maker: _Maker, row: Row) -> list[str]:
    pronoun = ("he", "she", "They", "them", "him")[maker.index % 5]
    return ["The", "doctor", *maker.random.choices(_WORDS, k=maker.random.randint(1, 9)), pronoun, "."]


def _wsc_text(maker: _Maker, row: Row) -> str:
    words = maker.random.choices(_WORDS, k=12)
    return " ".join([*words[:6], row["span1_text"], *words[6:], row["span2_text"], "slept."])


_TREC_FINE = {  # which fine labels each coarse one has, counted in TREC's training and test questions
    0: (0, 7, 9, 12),
    1: (1, 2, 10, 14, 15, 16, 17, 19, 20, 22, 23, 26, 28, 29, 30, 31, 33, 36, 37, 42, 44, 46),
    2: (3, 34),
    3: (4, 5, 6, 12),
    4: (8, 13, 14, 25, 27, 32, 35, 38, 39, 40, 41, 43, 45),
    5: (11, 14, 18, 21, 24),
}
_TREC_PAIRS = [(coarse, fine) for coarse, fines in _TREC_FINE.items() for fine in fines]

_FITTING: dict[str, dict[str, _Make]] = {  # what a schema does not say; later entries see the earlier ones
    "adversarial_qa": {"metadata.split": _of("train", "validation", "test"), "answers": _answers(1, 3)},
    "ai2_arc": _multiple_choice(4, "ABCD"),
    "app_reviews": {"star": _of(1, 2, 3, 4, 5)},
    "common_gen": {"concepts": _texts(3, 5)},
    "cos_e": {"choices": _texts(5, 5), "answer": _among(lambda row: row["choices"])},
    "cosmos_qa": {"label": _of(0, 1, 2, 3)},
    "dream": {
        "dialogue": _texts(1, 6),
        "choice": _texts(3, 3),
        "answer": _among(lambda row: row["choice"]),
    },
    "duorc": {"answers": _sometimes_none(1, 3), "no_answer": lambda maker, row: not row["answers"]},
    "hellaswag": {"endings": _texts(4, 4), "label": _of("0", "1", "2", "3")},
    "multi_news": {"document": _with("~*~ ||||| ~*~\n*~|||||~*"), "summary": _with("– ~*")},
    "openbookqa": _multiple_choice(4, "ABCD"),
    "qasc": _multiple_choice(8, "ABCDEFGH"),
    "quail": {"answers": _texts(4, 4), "correct_answer_id": _of(0, 1, 2, 3)},
    "quarel": {
        "answer_index": _of(0, 1),
        "world_literals": lambda maker, row: {"world1": maker.texts(1, 1), "world2": maker.texts(1, 1)},
    },
    "quartz": {**_multiple_choice(2, "AB"), "question": _with("~*~ _____ ~*")},
    "quoref": {"answers": _answers(1, 3)},
    "race": {"options": _texts(4, 4), "answer": _of("A", "B", "C", "D")},
    "ropes": {"answers.text": _sometimes_none(1, 2)},
    "social_i_qa": {"label": _of("1", "2", "3")},
    "squad_v2": {"title": _of("Old_Lisbon", "Green glass"), "answers": _answers(1, 3, always=False)},
    "story_cloze": {"answer_right_ending": _of(1, 2)},
    "super_glue/copa": {"question": lambda maker, row: ("cause", "effect")[maker.index // 2 % 2]},
    "super_glue/record": {
        "passage": _with("~*~\n@highlight\n~*~\n@highlight\n~*"),
        "query": _with("~*~ @placeholder ~*"),
        "entities": _texts(2, 6),
        "answers": lambda maker, row: [] if maker.index % 4 == 3 else row["entities"][:2],
    },
    "super_glue/wsc.fixed": {
        "span1_text": _of("Amara", "the old doctor", "Lisbon"),
        "span2_text": _of("he", "They", "it", "them"),
        "text": _wsc_text,
        "span2_index": lambda maker, row: row["text"].split(" ").index(row["span2_text"]),
    },
    "trec": {
        "label-coarse": lambda maker, row: _TREC_PAIRS[maker.index % len(_TREC_PAIRS)][0],
        "label-fine": lambda maker, row: _TREC_PAIRS[maker.index % len(_TREC_PAIRS)][1],
    },
    "trivia_qa": {"answer.aliases": _sometimes_none(1, 4)},
    "web_questions": {"answers": _texts(1, 3)},
    "wiki_bio": {
        "input_text.table.column_header": _of(["name", "birth_date", "article_title"], ["article_title", "office", "name"]),
        "input_text.table.row_number": _of([1, 1, 1]),
        "input_text.table.content": _texts(3, 3),
    },
    "wiki_hop": {
        "question": _of("place_of_birth Amara Lisbon", "country green glass river", "occupation"),
        "candidates": _texts(2, 6),
        "answer": _among(lambda row: row["candidates"]),
    },
    "wino_bias": {"tokens": _wino_tokens, "coreference_clusters": _wino_clusters},
    "winogrande": {"sentence": _with("~*~ _ ~*"), "answer": _of("1", "2")},
    "wiqa": {
        "question_para_step": lambda maker, row: maker.texts(2, 6) + [""] * (maker.index % 2),
        "answer_label": _of("more", "less", "no_effect"),
        "answer_label_as_choice": _of("A", "B", "C"),
        "choices": lambda maker, row: {"text": ["more", "less", "no effect"], "label": ["A", "B", "C"]},
        "metadata_question_type": _of("INPARA_EFFECT", "EXOGENOUS_EFFECT", "OUTOFPARA_DISTRACTOR"),
    },
}
