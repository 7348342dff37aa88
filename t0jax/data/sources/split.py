"""What every door leads to: one split of a dataset at rest, readable from any row on."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from t0jax.errors import InputError
from t0jax.prompts.render import Prompted


class MissingRowsError(InputError):
    """A source has no such dataset or split: another may have it, and `skip_missing` goes on without it."""


class SplitRows(Protocol):
    """The rows of one split, in their order. Small, hashable, equal when they are the same rows, and picklable.

    Opening one reads no more than it must to say how many rows there are and which; worker processes read it by themselves.
    """

    @property
    def origin(self) -> str:
        """Where the rows lie, for reports: `local: DATA/imdb/default/train.jsonl`."""
        ...

    @property
    def num_rows(self) -> int:
        """How many rows `read` gives at most."""
        ...

    @property
    def fingerprint(self) -> str:
        """A hash that changes when a row changes."""
        ...

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[Mapping[str, Any] | Prompted]:
        """Rows `start` to `stop`: as the dataset has them, or, from a source of one task's examples, prompted already.

        InputError for a row that cannot be read.
        """
        ...
