"""`t0jax infer`: answer prompts, by ranking given choices or by generating."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from t0jax.cli import questions
from t0jax.cli.questions import Question, read_questions
from t0jax.cli.recipe import add_gin_arguments, read_run
from t0jax.config import DecodeConfig, Run
from t0jax.errors import InputError

if TYPE_CHECKING:
    from t0jax.cli.weights import OpenModel
    from t0jax.data.vocabulary import Vocabulary

DECODING = {
    "num_decodes": "so many beams, the best of which is the answer",
    "alpha": "the beams' length penalty",
    "temperature": "above 0: draw tokens",
    "topk": "of the so many likeliest",
    "topp": "of the likeliest that have this probability together",
    "max_decode_len": "so many tokens at most",
    "decode_seed": "what is drawn repeats by it",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    add_gin_arguments(parser)
    parser.add_argument(
        "--checkpoint_path",
        metavar="C",
        help="in any form; without --gin_file by its own config.gin, or by what its tensors say",
    )
    questions.add_arguments(parser)
    kinds = {field.name: float if field.type is float else int for field in dataclasses.fields(DecodeConfig)}
    for name, what in DECODING.items():
        parser.add_argument(f"--{name}", type=kinds[name], metavar="N", help=f"generating: {what}")
    parser.add_argument("--json", action="store_true", help="one JSON object a line: input, output and, with choices, scores")


def run(arguments: argparse.Namespace) -> int:
    """Answer every prompt, in order, one line each on standard output."""
    from t0jax.cli.weights import open_model, open_vocabulary

    described = _described(arguments)
    asked = read_questions(arguments)
    vocabulary = open_vocabulary(described)
    tokens = vocabulary.encode([question.prompt for question in asked])
    _tell_cut(tokens, described)
    opened = open_model(described)
    answers: list[dict[str, Any]] = [{}] * len(asked)
    for answer in (_rank, _generate):
        numbers = [number for number, question in enumerate(asked) if bool(question.choices) == (answer is _rank)]
        given = [asked[number] for number in numbers], [tokens[number] for number in numbers]
        for number, found in zip(numbers, answer(described, opened, vocabulary, *given) if numbers else [], strict=True):
            answers[number] = found
    for question, found in zip(asked, answers, strict=True):
        print(json.dumps({"input": question.prompt, **found}, ensure_ascii=False) if arguments.json else _text(found))
    return 0


def _described(arguments: argparse.Namespace) -> Run:
    """The recipe given, or the one that lies beside the checkpoint, or for one of another form what its tensors say."""
    files, bindings = list(arguments.gin_file), list(arguments.gin_bindings)
    if arguments.checkpoint_path:
        bindings.append(f"CHECKPOINT_PATH={arguments.checkpoint_path}")
        if not files:
            files, found = _recipe_of(arguments.checkpoint_path)
            bindings = [*found, *bindings]
    if not files:
        raise InputError("Which model is to answer is not clear: give --checkpoint_path=MODEL_DIR, or --gin_file and it.")
    given = {name: getattr(arguments, name) for name in DECODING}
    bindings += [f"DecodeConfig.{name}={value}" for name, value in given.items() if value is not None]
    described = read_run(files, bindings, [path for path in arguments.gin_search_paths.split(",") if path])
    if described.evaluate.checkpoint_path is None:
        raise InputError("An untrained model has no answers: give --checkpoint_path=MODEL_DIR.")
    return described


def _recipe_of(checkpoint: str) -> tuple[list[str], list[str]]:
    """Gin files and bindings that describe a checkpoint's model."""
    from t0jax.checkpoints.forms import open_form

    form = open_form(checkpoint)
    if form.kind == "orbax":
        return [str(form.path / "config.gin")], []
    fields = {f"ModelConfig.{field.name}": getattr(form.model, field.name) for field in dataclasses.fields(form.model)}
    bindings = [f"{name}={value}" for name, value in fields.items()]
    vocabulary = form.path / "spiece.model"
    if vocabulary.exists():
        bindings.append(f"VOCABULARY={vocabulary}")
    return ["models/small.gin"], ["MIXTURE_OR_TASK_NAME=none", *bindings]


def _tell_cut(tokens: Sequence[Sequence[int]], described: Run) -> None:
    limit = described.data.task_feature_lengths["inputs"]
    if cut := sum(len(one) > limit for one in tokens):
        print(f"t0jax: {cut} of {len(tokens)} prompts are cut to {limit} tokens, as in training", file=sys.stderr)


def _rank(
    described: Run, opened: "OpenModel", vocabulary: "Vocabulary", asked: Sequence[Question], tokens: Sequence[Sequence[int]]
) -> list[dict[str, Any]]:
    import numpy as np

    from t0jax.batch import EOS_ID, RankExample
    from t0jax.evaluation.score import Scorer

    examples = []
    for number, (question, inputs) in enumerate(zip(asked, tokens, strict=True)):
        choices = [np.array([*choice, EOS_ID]) for choice in vocabulary.encode(question.choices)]
        examples.append(RankExample("infer", number, np.array(inputs), choices, [False] * len(choices)))
    scorer = Scorer(opened.model, opened.params, mesh=opened.mesh, **_shape(described, len(asked)))
    return [
        {"output": question.choices[int(logp.argmax())], "scores": dict(zip(question.choices, logp.tolist(), strict=True))}
        for question, logp in zip(asked, scorer.score(examples), strict=True)
    ]


def _generate(
    described: Run, opened: "OpenModel", vocabulary: "Vocabulary", asked: Sequence[Question], tokens: Sequence[Sequence[int]]
) -> list[dict[str, Any]]:
    import numpy as np

    from t0jax.evaluation.generate import Generator

    generator = Generator(opened.model, opened.params, described.decode, mesh=opened.mesh, **_shape(described, len(asked)))
    answers = generator.generate([np.array(inputs) for inputs in tokens])
    return [{"output": vocabulary.decode(answer.tolist())} for answer in answers]


def _shape(described: Run, prompts: int) -> dict[str, Any]:
    """Batches of the recipe's size, or of all prompts where they are fewer."""
    data = described.data
    return {"task_feature_lengths": data.task_feature_lengths, "batch_size": min(data.batch_size, prompts)}


def _text(found: dict[str, Any]) -> str:
    if "scores" not in found:
        return str(found["output"])
    return f"{found['output']}  ({', '.join(f'{choice} {logp:.3f}' for choice, logp in found['scores'].items())})"
