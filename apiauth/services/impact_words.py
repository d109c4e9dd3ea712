"""What a change to a key would break, in words: how many calls, from where, to what, and counted over which time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from apiauth.audit import completeness
from apiauth.core.networks import network_of
from apiauth.services import time_words
from apiauth.services.impact import WINDOWS, Preview
from apiauth.verify.replay import Count


class Addresses(StrEnum):
    """How much of the addresses that calls came from somebody sees."""

    WHOLE = "whole"
    NETWORKS = "networks"
    HIDDEN = "hidden"


@dataclass(frozen=True, slots=True)
class Breakage:
    """What the page says of a change before it is made."""

    sentence: str
    window: str
    lag: str
    """How far behind the log is, where that matters."""
    addresses: Sequence[Count]
    more_addresses: int
    paths: Sequence[Count]
    more_paths: int
    breaks: bool


def breakage(found: Preview | None, *, see: Addresses, now: datetime) -> Breakage:
    """Return what a preview says, to somebody who sees so much of addresses; None is that nobody knows."""
    if found is None:
        too_often = "This key is called too often to count in time what would be blocked."
        lag = time_words.behind(completeness.complete_until(), now)
        return Breakage(
            too_often, window="", lag=lag, addresses=(), more_addresses=0, paths=(), more_paths=0, breaks=True
        )
    impact = found.impact
    addresses = () if see is Addresses.HIDDEN else impact.addresses
    return Breakage(
        sentence=_sentence(found, see is not Addresses.HIDDEN, now),
        window=_window(found),
        lag=time_words.behind(found.complete_until, now),
        addresses=_networks(addresses) if see is Addresses.NETWORKS else addresses,
        more_addresses=impact.address_count - len(addresses) if addresses else 0,
        paths=impact.paths,
        more_paths=impact.path_count - len(impact.paths),
        breaks=impact.blocked > 0,
    )


def _networks(addresses: Sequence[Count]) -> Sequence[Count]:
    """Return the counts by network, those of addresses in the same one together."""
    calls: Counter[str] = Counter()
    for each in addresses:
        calls[network_of(each.name) or each.name] += each.calls
    return [Count(name, count) for name, count in calls.most_common()]


def _sentence(found: Preview, see_addresses: bool, now: datetime) -> str:
    impact = found.impact
    if not impact.calls:
        return "Nothing would have been blocked: the key made no call that was allowed."
    if not impact.blocked:
        each = "its one call" if impact.calls == 1 else f"all {impact.calls:,} calls"
        return f"Nothing would have been blocked: {each} would still be allowed."
    whole = impact.blocked == impact.calls
    calls = f"{'all ' if whole and impact.calls > 1 else ''}{impact.blocked:,}"
    of = "" if whole else f" of {impact.calls:,}"
    where = (
        f" from {impact.address_count:,} address{'' if impact.address_count == 1 else 'es'}" if see_addresses else ""
    )
    last = f", the last one {time_words.ago(found.last_at, now)}" if found.last_at else ""
    word = "call" if impact.calls == 1 else "calls"
    return f"This would have blocked {calls}{of} {word}{where}{last}."


def _window(found: Preview) -> str:
    """Return the time that was looked at; of a busy key that is less than the longest."""
    length = found.end - found.start
    if length == WINDOWS[0]:
        return f"Counted over the last 7 days, as of {time_words.clock(found.end)}."
    if length in WINDOWS:
        return f"Counted over the last {_length(length)} alone, since the key is called so often."
    return f"Counted over its last {found.impact.calls:,} calls, from {time_words.in_full(found.start)} on."


def _length(length: timedelta) -> str:
    return "24 hours" if length == timedelta(days=1) else "hour"
