"""How often a mixture draws each wording of a dataset: the cap rules that circulate for T0."""

from collections.abc import Callable, Mapping

from t0jax.errors import InputError, did_you_mean

MAX_EXAMPLES_PER_DATASET = 500_000


def released(train_size: int, templates: int, cap: int) -> int:
    """T0's released code: a dataset above the cap shares it out among its templates; one below is not divided."""
    return cap // templates if train_size > cap else train_size


def t_few(train_size: int, templates: int, cap: int) -> int:
    """T-Few's: no template of any dataset is drawn more often than its share of the cap."""
    return min(train_size, cap // templates)


def prose(train_size: int, templates: int, cap: int) -> int:
    """The prose of promptsource's pull request 405: a dataset counts as its rows, at most the cap, however many templates."""
    return min(train_size, cap) // templates


CAP_RULES: Mapping[str, Callable[[int, int, int], int]] = {"released": released, "t_few": t_few, "prose": prose}
"""(rows of the training split, templates of the dataset, cap) -> rate of one template."""


def cap_rule(name: str) -> Callable[[int, int, int], int]:
    """The rule of that name; InputError when there is none."""
    if name not in CAP_RULES:
        raise InputError(f"There is no cap rule {name!r}; there are {', '.join(CAP_RULES)}.{did_you_mean(name, CAP_RULES)}")
    return CAP_RULES[name]
