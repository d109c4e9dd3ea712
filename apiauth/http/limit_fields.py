"""Writes what an answer says of rate limits: as data, and as header fields for the caller to forward.

The fields come in two spellings. `x-ratelimit-<window>-…` is the clients' own. `RateLimit-Policy`
and `RateLimit` follow draft-ietf-httpapi-ratelimit-headers-10: lists of strings with parameters,
written as RFC 9651 says.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import msgspec

from apiauth.core.limits import MONTHS, LimitRule

Limits = Sequence[tuple[LimitRule, int]]
"""The rules that hold for a call, each with what is left of it."""


def entries(limits: Limits) -> list[dict[str, str | int]]:
    """Return limits as an answer's `rate_limits` lists them."""
    return [{"rule": rule.text, "remaining": left, "limit": rule.max_requests} for rule, left in limits]


def header_fields(limits: Limits, now_ms: int) -> dict[str, str]:
    """Return every field that tells how a call's limits stand; none where it has no limits."""
    fields = {}
    for rule, left in _one_a_window(limits):
        fields[f"x-ratelimit-{rule.window}-limit"] = str(rule.max_requests)
        fields[f"x-ratelimit-{rule.window}-remaining"] = str(left)
    if limits:
        policies = [_policy(rule.name, rule.max_requests, _whole_seconds(rule)) for rule, _ in limits]
        states = [f"{_quoted(rule.name)};r={left};t={rule.seconds_left(now_ms)}" for rule, left in limits]
        fields["ratelimit-policy"] = ", ".join(policies)
        fields["ratelimit"] = ", ".join(states)
    return fields


class Templates(NamedTuple):
    """What `entries` and what `header_fields` come to for some rules, as the inside of the JSON.

    Each number that changes from call to call is a `%d`; `counts` returns what goes there.
    """

    entries: bytes
    fields: bytes
    rules: tuple[LimitRule, ...]
    windows: tuple[tuple[int, ...], ...]
    """The places of the rules that have one window, for each window."""
    lengths: tuple[int | None, ...]
    """The rules' windows in milliseconds; None for a month."""


@lru_cache(maxsize=4_096)
def templates(rules: tuple[LimitRule, ...]) -> Templates:
    """Return the templates for these rules; to build both from nothing was a fifth of what a check costs."""
    listed = [b'{"rule":%b,"remaining":%%d,"limit":%d}' % (_json(rule.text), rule.max_requests) for rule in rules]
    places: dict[str, list[int]] = {}
    for place, rule in enumerate(rules):
        places.setdefault(rule.window, []).append(place)
    fields = []
    for window, sharing in places.items():
        name = f"x-ratelimit-{window}".encode()
        most = b"%d" if len(sharing) > 1 else b"%d" % rules[sharing[0]].max_requests
        fields += [b'"%b-limit":"%b"' % (name, most), b'"%b-remaining":"%%d"' % name]
    if rules:
        policies = ", ".join(_policy(rule.name, rule.max_requests, _whole_seconds(rule)) for rule in rules)
        states = b", ".join(_json(_quoted(rule.name))[1:-1] + b";r=%d;t=%d" for rule in rules)
        fields += [b'"ratelimit-policy":%b' % _json(policies), b'"ratelimit":"%b"' % states]
    lengths = tuple(None if rule.unit in MONTHS else rule.length_ms for rule in rules)
    return Templates(b",".join(listed), b",".join(fields), rules, tuple(map(tuple, places.values())), lengths)


def counts(known: Templates, left: Sequence[int], now_ms: int) -> list[int]:
    """Return the numbers for both templates, those of the entries first; `left` is in the order of the rules."""
    if len(left) == 1:  # as most calls have it: half of the cost
        only = left[0]
        return [only, only, only, known.rules[0].seconds_left(now_ms)]
    numbers = [*left]
    for places in known.windows:
        tightest = places[0]
        for place in places:
            if left[place] < left[tightest]:
                tightest = place
        if len(places) > 1:  # the field cannot say beforehand whose limit it tells
            numbers.append(known.rules[tightest].max_requests)
        numbers.append(left[tightest])
    for length, rule, each in zip(known.lengths, known.rules, left, strict=True):
        # A window of fixed length is reckoned here: as `seconds_left` does it, at half of the cost.
        seconds = rule.seconds_left(now_ms) if length is None else -((now_ms % length - length) // 1000)
        numbers += (each, seconds)
    return numbers


def _json(text: str) -> bytes:
    """Return a text as JSON for a template, in which a `%` is written twice."""
    return msgspec.json.encode(text).replace(b"%", b"%%")


def _one_a_window(limits: Limits) -> list[tuple[LimitRule, int]]:
    """Return one limit for each window: the clients' names hold only the window, so the tightest speaks."""
    tightest: dict[str, tuple[LimitRule, int]] = {}
    for rule, left in limits:
        known = tightest.get(rule.window)
        if known is None or left < known[1]:
            tightest[rule.window] = (rule, left)
    return list(tightest.values())


@lru_cache(maxsize=4_096)
def _policy(name: str, most: int, seconds: int | None) -> str:
    window = f";w={seconds}" if seconds is not None else ""
    return f"{_quoted(name)};q={most}{window}"


@lru_cache(maxsize=4_096)
def _quoted(name: str) -> str:
    """Return a name as a String of RFC 9651, section 3.3.3: printable ASCII, as the ids of rules are."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _whole_seconds(rule: LimitRule) -> int | None:
    """Return a window's length for `w`: whole seconds, rounded up so that keeping to it never fails.

    None for a month, no two of which need be alike; `w` may be left out.
    """
    return None if rule.unit in MONTHS else -(-rule.length_ms // 1000)
