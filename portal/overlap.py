"""The two secrets of a key that was rotated: which of them is still called, how often and from where."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Sum

from apiauth.audit.calls import recent_calls
from apiauth.models import Key
from apiauth.models.audit import DecisionRollup, KeyUsage, MinuteRollup
from apiauth.services.keys import latest_overlap_end
from portal.lineages import KeyRow

QUIET = timedelta(days=1)
LONGER = timedelta(days=1)
MINUTES_KEPT = timedelta(days=2)
LOOKED_AT = 1_000


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret of a lineage, with what was done with it since the rotation."""

    row: KeyRow
    calls: int
    addresses: Sequence[str]
    is_quiet: bool
    longer: datetime | None
    """Until when it would work if it were given another day; None where it cannot be."""


def secrets_of(newest: KeyRow, olds: Sequence[KeyRow], *, see_addresses: bool, now: datetime) -> list[Secret]:
    """Return the present secret and the old ones that still work, newest first."""
    rows = [newest, *olds]
    by_id = {row.key.pk: row.key for row in rows}
    calls = _calls(by_id.values(), since=newest.key.created_at, now=now)
    return [
        Secret(
            row=row,
            calls=calls.get(row.key.pk, 0),
            addresses=_addresses(row.key, now) if see_addresses and row.is_old else (),
            is_quiet=is_quiet(row.key, row.usage, now),
            longer=_longer(row.key, by_id) if row.is_old else None,
        )
        for row in rows
    ]


def is_quiet(key: Key, usage: KeyUsage | None, now: datetime) -> bool:
    """Tell whether a key has not been presented for a day; one that is younger has not had the time to be quiet."""
    last = usage.last_used_at if usage else key.created_at
    return now - last >= QUIET


def _calls(keys: Iterable[Key], *, since: datetime, now: datetime) -> dict[int, int]:
    """Return how many calls each key made since a moment: by the minute as long as those are kept, then by the hour."""
    ids, app_id = [key.pk for key in keys], next(iter(keys)).app_id
    if now - since < MINUTES_KEPT:
        minutes = MinuteRollup.objects.in_app(app_id).between(since, now).filter(key_id__in=ids)
        counted = minutes.values("key_id").annotate(calls=Sum("allowed") + Sum("blocked"))
    else:
        hours = DecisionRollup.objects.in_app(app_id).between(since, now).filter(key_id__in=ids)
        counted = hours.values("key_id").annotate(calls=Sum("count"))
    return dict(counted.values_list("key_id", "calls"))


def _addresses(key: Key, now: datetime) -> list[str]:
    """Return from where the last calls of a day came, the most frequent first, at most five."""
    calls = recent_calls(app_id=key.app_id, key_id=key.pk, start=now - QUIET, end=now, most=LOOKED_AT)
    return [address for address, _ in Counter(address for _, address, *_ in calls if address).most_common(5)]


def _longer(key: Key, by_id: dict[int, Key]) -> datetime | None:
    successor = by_id.get(key.replaced_by_id or 0)
    if key.overlap_ends_at is None or successor is None:
        return None
    until = min(key.overlap_ends_at + LONGER, latest_overlap_end(key, successor))
    return until if until > key.overlap_ends_at else None
