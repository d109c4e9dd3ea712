"""How rate limits stood after a check, as a text that a column keeps: `60/60s=41,1000/3600s=977`."""

from collections.abc import Iterable
from typing import TypedDict


class LimitState(TypedDict):
    """What was left of one rule after the check."""

    rule: str
    remaining: int
    limit: int


def text_of(states: Iterable[tuple[str, int]]) -> str:
    """Return pairs of a rule and what is left of it as one text; the rule's own text begins with its limit."""
    return ",".join([f"{rule}={remaining}" for rule, remaining in states])


def states_of(text: str) -> list[LimitState]:
    """Return what `text_of` wrote."""
    return [_state(part) for part in text.split(",")] if text else []


def _state(part: str) -> LimitState:
    rule, _, remaining = part.rpartition("=")
    return {"rule": rule, "remaining": int(remaining), "limit": int(rule.partition("/")[0])}
