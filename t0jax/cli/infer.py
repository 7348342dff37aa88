"""`t0jax infer`: answer prompts, by ranking given choices or by greedy generation."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from t0jax.cli.recipe import add_gin_arguments, read_run
from t0jax.config import Run
from t0jax.errors import InputError

if TYPE_CHECKING:
    from t0jax.cli.weights import OpenModel
    from t0jax.data.vocabulary import Vocabulary

SEPARATOR = "|"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags of the command."""
    add_gin_arguments(parser)
    parser.add_argument(
        "--checkpoint_path",
        metavar="C",
        help="in any form; without --gin_file by its own config.gin, or by what its tensors say",
    )
    parser.add_argument("--prompt", action="append", metavar="TEXT", help="a prompt; may be given again")
    parser.add_argument("--file", metavar="PATH", help="prompts, one a line; default: standard input")
    parser.add_argument("--choices", metavar="A|B|C", help="answer with the likeliest of these instead of generating")
    parser.add_argument("--json", action="store_true", help="one JSON object a line: input, output and, with choices, scores")


def run(arguments: argparse.Namespace) -> int:
    """Answer every prompt, in order, one line each on standard output."""
    from t0jax.cli.weights import open_model, open_vocabulary

    described = _described(arguments)
    choices = _choices(arguments.choices)
    prompts = _prompts(arguments)
    vocabulary = open_vocabulary(described)
    opened = open_model(described)
    answer = _rank if choices else _generate
    for prompt, line in zip(prompts, answer(described, opened, vocabulary, prompts, choices), strict=True):
        print(json.dumps({"input": prompt, **line}, ensure_ascii=False) if arguments.json else _text(line))
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


def _choices(text: str | None) -> list[str]:
    if text is None:
        return []
    choices = [choice.strip() for choice in text.split(SEPARATOR)]
    if len(set(choices)) < max(2, len(choices)) or not all(choices):
        raise InputError(f"--choices is {text!r}; it must be two or more different answers, as 'yes{SEPARATOR}no'.")
    return choices


def _prompts(arguments: argparse.Namespace) -> list[str]:
    if arguments.prompt and arguments.file:
        raise InputError("Give prompts either by --prompt or by --file.")
    if arguments.prompt:
        return list(arguments.prompt)
    try:
        lines = Path(arguments.file).read_text(encoding="utf-8") if arguments.file else sys.stdin.read()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The prompts in {arguments.file} cannot be read ({error}): give a text file, one prompt a line."
        ) from error
    prompts = [line for line in lines.splitlines() if line.strip()]
    if not prompts:
        raise InputError(f"{arguments.file or 'Standard input'} holds no prompt: write one on each line.")
    return prompts


def _rank(
    described: Run, opened: "OpenModel", vocabulary: "Vocabulary", prompts: Sequence[str], choices: Sequence[str]
) -> Iterator[dict[str, Any]]:
    import numpy as np

    from t0jax.batch import EOS_ID, RankExample
    from t0jax.evaluation.score import Scorer

    answers = [np.array([*tokens, EOS_ID]) for tokens in vocabulary.encode(choices)]
    inputs = map(np.array, vocabulary.encode(prompts))
    examples = [RankExample("infer", number, tokens, answers, [False] * len(answers)) for number, tokens in enumerate(inputs)]
    scorer = Scorer(opened.model, opened.params, mesh=opened.mesh, **_shape(described, len(prompts)))
    for logp in scorer.score(examples):
        yield {"output": choices[int(logp.argmax())], "scores": dict(zip(choices, logp.tolist(), strict=True))}


def _generate(
    described: Run, opened: "OpenModel", vocabulary: "Vocabulary", prompts: Sequence[str], _: Sequence[str]
) -> Iterator[dict[str, Any]]:
    import numpy as np

    from t0jax.evaluation.generate import Generator

    generator = Generator(opened.model, opened.params, mesh=opened.mesh, **_shape(described, len(prompts)))
    for tokens in generator.generate([np.array(tokens) for tokens in vocabulary.encode(prompts)]):
        yield {"output": vocabulary.decode(tokens.tolist())}


def _shape(described: Run, prompts: int) -> dict[str, Any]:
    """Batches of the recipe's size, or of all prompts where they are fewer."""
    data = described.data
    return {"task_feature_lengths": data.task_feature_lengths, "batch_size": min(data.batch_size, prompts)}


def _text(line: dict[str, Any]) -> str:
    if "scores" not in line:
        return str(line["output"])
    return f"{line['output']}  ({', '.join(f'{choice} {logp:.3f}' for choice, logp in line['scores'].items())})"
