"""What a person did that cannot work, in one sentence: the value, the limit, the remedy."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input. The message is complete by itself: the command line prints it without a traceback and exits with 2."""


class NotNow(Exception):
    """Nothing is wrong with what was asked, but something is not there, or has gone: the same command may work later.

    The command line prints the message without a traceback and exits with AGAIN.
    """


AGAIN = 75
"""EX_TEMPFAIL of sysexits.h: the status of a command that should be given again as it is."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A closing sentence that names up to three of `known` near to `name`; empty when nothing is near."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(near)}?" if near else ""
