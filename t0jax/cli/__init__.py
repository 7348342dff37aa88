"""The command line: parse, open, call. Importing it loads neither JAX nor TensorFlow nor gin."""

import argparse
import importlib
import importlib.util
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from t0jax import __version__
from t0jax.errors import AGAIN, InputError, NotNow, did_you_mean

COMMANDS = {
    "demo": "see T0's idea work on this machine: generate, train, score unseen tasks, report",
    "tasks": "list prompted tasks and mixtures, or render one task on rows",
    "cache": "render and tokenize tasks into SeqIO's cache",
    "train": "train a T5 on a mixture",
    "eval": "score every wording by rank classification, or generate where there are no choices",
    "report": "accuracy per wording, median and spread per dataset",
    "select": "the checkpoint of a run that is best on its training datasets' validation rows",
    "infer": "answer prompts: rank choices or generate",
    "convert": "a checkpoint from t0jax's, t5x's or Hugging Face's form into another",
    "inspect": "what a checkpoint holds, in any form",
    "plan": "whether a run fits a TPU slice, how long it takes and what it costs, before it is paid for",
    "launch": "a run on slices of TPUs: create, start, watch, go on after a preemption",
}
ACTIONS = {
    "tasks": {
        "lint": "say what breaks wordings, on rows",
        "overlap": "say what training rows have in common with held-out rows",
        "lock": "pin datasets of the Hugging Face hub to a commit",
        "prepare": "write the rows of any source as TensorFlow Datasets, into a folder or a bucket",
        "convert": "turn files of StoryCloze or Jigsaw, which are got by hand, into rows",
        "freeze": "make mixtures/templates.csv anew after a change of tables or templates (in a checkout)",
    },
    "launch": {
        "run": "from nothing to a finished run, within a budget; then nothing is left",
        "create": "ask for the slices and come back",
        "status": "how a job stands and what it has used up",
        "logs": "what the first worker says",
        "stop": "save, delete everything, and say what was deleted",
    },
}
"""Words that may follow a command: each is a command of its own in the folder of that name."""
GIN_PREFIX = "--gin."


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence, as everything here does."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message[0].upper() + message[1:]}. '{self.prog} --help' says what it takes.")

    def check_flags(self, arguments: Sequence[str]) -> None:
        """InputError for a flag that there is not; argparse might find fault with its value instead."""
        known = self._option_string_actions
        for flag in (item.partition("=")[0] for item in arguments if item.startswith("--")):
            if flag not in (*known, "--") and " " not in flag:  # with a space it is a value, as of --prompt
                near = did_you_mean(flag, known)
                raise InputError(f"'{self.prog}' has no flag {flag}.{near} '{self.prog} --help' lists them.")


def _overview() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {purpose}" for name, purpose in COMMANDS.items())
    return f"""usage: t0jax COMMAND [--help] ...

Multitask prompted training of T5: from a prompt to a number.

{commands}

t0jax COMMAND --help says what a command takes. t0jax --version says which version this is."""


def _dispatch(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    name, rest = arguments[0], arguments[1:]
    if name == "--version":
        print(f"t0jax {__version__}")
        return 0
    if name not in COMMANDS:
        raise InputError(f"There is no command {name!r}.{did_you_mean(name, COMMANDS)} 't0jax --help' lists them all.")
    actions, purpose = ACTIONS.get(name, {}), COMMANDS[name]
    epilog = "Further: " + "; ".join(f"t0jax {name} {action}: {what}" for action, what in actions.items()) if actions else None
    if actions and rest and not rest[0].startswith("-"):
        action, *rest = rest
        if action not in actions:
            known = f"it has {', '.join(actions)}"
            raise InputError(f"'t0jax {name}' has no action {action!r}; {known}.{did_you_mean(action, actions)}")
        purpose, name, epilog = actions[action], f"{name} {action}", None
    command = importlib.import_module(f"t0jax.cli.{name.replace(' ', '.')}")
    parser = _Parser(prog=f"t0jax {name}", description=purpose, epilog=epilog, allow_abbrev=False)
    command.add_arguments(parser)
    bindings = [item.removeprefix(GIN_PREFIX) for item in rest if item.startswith(GIN_PREFIX)]
    flags = [item for item in rest if not item.startswith(GIN_PREFIX)]
    parser.check_flags(flags)
    parsed = parser.parse_args(flags)
    if bindings and not hasattr(parsed, "gin_file"):
        raise InputError(f"'t0jax {name}' takes no gin bindings, but got {GIN_PREFIX}{bindings[0]}.")
    parsed.gin_bindings = bindings
    return command.run(parsed)


def leave(number: int, frame: FrameType | None) -> None:
    """End the process at once: an exception can be lost, as in a callback of JAX's while Python collects garbage."""
    os.write(2, f"t0jax: stopped by {signal.Signals(number).name}\n".encode())
    os._exit(128 + number)


class Terminated(KeyboardInterrupt):
    """SIGTERM, treated as Ctrl-C is: by a command that has children to end."""


def terminate(number: int, frame: FrameType | None) -> None:
    """End the process in order."""
    raise Terminated


@contextmanager
def listening(handlers: Mapping[signal.Signals, Callable[[int, FrameType | None], None]]) -> Iterator[None]:
    """Handle signals so for a while; only the main thread can, elsewhere nothing changes."""
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()} if is_main else {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_absent_tpu_alone() -> None:
    """Where libtpu is installed to plan with, JAX would look for a TPU: two seconds, and a page of complaints."""
    if "JAX_PLATFORMS" in os.environ or importlib.util.find_spec("libtpu") is None or importlib.util.find_spec("jax_plugins"):
        return
    vendors = (path.read_text().strip() for path in Path("/sys/bus/pci/devices").glob("*/vendor"))
    if "0x1ae0" not in vendors:  # Google's
        os.environ["JAX_PLATFORMS"] = "cpu"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 2 bad input or a full disk, 75 again, 130 or 143 a signal."""
    try:
        _leave_absent_tpu_alone()
        with listening({signal.SIGTERM: leave}):
            status = _dispatch(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
        return status
    except InputError as error:
        print(f"t0jax: {error}", file=sys.stderr)
        return 2
    except NotNow as error:
        print(f"t0jax: {error}", file=sys.stderr)
        return AGAIN
    except KeyboardInterrupt as stop:
        name = "SIGTERM" if isinstance(stop, Terminated) else "SIGINT"
        print(f"t0jax: stopped by {name}", file=sys.stderr, flush=True)
        status = 128 + signal.Signals[name]
        if arguments is None:  # threads of JAX and TensorFlow do not always survive an orderly end from the middle
            sys.stdout.flush()
            os._exit(status)
        return status
    except BrokenPipeError:  # the reader of our output went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a disk, a permission, a device
        place = error.filename or "what it was writing"
        print(f"t0jax: {place} failed ({error.strerror or error}): mend it, make room, or give another place.", file=sys.stderr)
        return 2
