"""The environment that keys belong to, as their prefix spells it: `nw_test` for trying out, `nw_live` for real."""

from enum import StrEnum


class Environment(StrEnum):
    """What a product keeps apart so that trying out harms nothing."""

    LIVE = "live"
    TEST = "test"


_BY_LAST_PART = {environment.value: environment for environment in Environment}


def environment_of(key_prefix: str) -> Environment | None:
    """Return the environment that is the last part of a prefix, or None where it names none."""
    return _BY_LAST_PART.get(key_prefix.rpartition("_")[2])


def prefix_pattern(*environments: Environment) -> str:
    """Return the regular expression of prefixes that name one of these, by the rule of `environment_of`."""
    return rf"(^|_)({'|'.join(environments)})$"
