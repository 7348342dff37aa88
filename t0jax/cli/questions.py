"""What `t0jax infer` is asked: prompts from flags, a file or standard input, each with the choices that it is ranked over."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from t0jax.errors import InputError

SEPARATOR = "|"


@dataclass(frozen=True)
class Question:
    """A prompt; with choices it is answered by the likeliest of them."""

    prompt: str
    choices: tuple[str, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags that say what is asked."""
    parser.add_argument("--prompt", action="append", metavar="TEXT", help="a prompt; may be given again")
    parser.add_argument(
        "--file",
        metavar="PATH",
        help="prompts, one a line, or in a file *.jsonl one object a line: input and, where it has some, choices; "
        "default: standard input",
    )
    parser.add_argument("--choices", metavar="A|B|C", help="answer with the likeliest of these instead of generating")


def read_questions(arguments: argparse.Namespace) -> list[Question]:
    """The questions in the order given; an InputError where there is none, and for choices that are none."""
    choices = _choices(arguments.choices)
    if arguments.prompt and arguments.file:
        raise InputError("Give prompts either by --prompt or by --file.")
    if arguments.prompt:
        return [Question(prompt, choices) for prompt in arguments.prompt]
    lines = _lines(arguments.file)
    if arguments.file and arguments.file.endswith(".jsonl"):
        questions = list(_objects(arguments.file, lines, choices))
    else:
        questions = [Question(line, choices) for line in lines if line.strip()]
    if not questions:
        raise InputError(f"{arguments.file or 'Standard input'} holds no prompt: write one on each line.")
    return questions


def _choices(text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    choices = tuple(choice.strip() for choice in text.split(SEPARATOR))
    if not _are_choices(choices):
        raise InputError(f"--choices is {text!r}; it must be two or more different answers, as 'yes{SEPARATOR}no'.")
    return choices


def _are_choices(choices: Sequence[object]) -> bool:
    return all(isinstance(choice, str) and choice for choice in choices) and len(set(choices)) == len(choices) > 1


def _lines(path: str | None) -> list[str]:
    try:
        text = Path(path).read_text(encoding="utf-8") if path else sys.stdin.read()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"The prompts in {path or 'standard input'} cannot be read ({error}): give a text file, one prompt a line."
        ) from error
    return text.split("\n")  # not splitlines: it ends lines at signs that texts hold


def _objects(path: str, lines: Sequence[str], default: tuple[str, ...]) -> Iterator[Question]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
            prompt, choices = found["input"], found.get("choices")
            if not isinstance(prompt, str) or not (choices is None or (isinstance(choices, list) and _are_choices(choices))):
                raise TypeError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise InputError(
                f'{path}, line {number} is no question: write {{"input": "..."}}, and for ranking "choices" with two or more '
                "different answers."
            ) from None
        yield Question(prompt, default if choices is None else tuple(choices))
