"""What a person did that cannot work, in one sentence: the value, the limit, the remedy."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input. The message is complete by itself: the command line prints it without a traceback and exits with 2."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A closing sentence that names up to three of `known` near to `name`; empty when nothing is near."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(near)}?" if near else ""
