"""The two secrets of a key that was rotated: which of them is still called, how often and from where."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from apiauth.audit.calls import calls_of_secrets
from apiauth.models import Key
from apiauth.models.audit import KeyUsage
from apiauth.services.keys import latest_overlap_end
from portal import times
from portal.lineages import KeyRow

QUIET = timedelta(days=1)
LONGER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret of a lineage, with what was done with it since the rotation."""

    row: KeyRow
    calls: int
    addresses: Sequence[str]
    is_quiet: bool
    unsure: str
    """Why nobody can say that it is quiet, though the log shows no call of the last day."""
    longer: datetime | None
    """Until when it would work if it were given another day; None where it cannot be."""


def secrets_of(newest: KeyRow, olds: Sequence[KeyRow], *, see_addresses: bool, now: datetime) -> list[Secret]:
    """Return the present secret and the old ones that still work, newest first."""
    rows = [newest, *olds]
    by_id = {row.key.pk: row.key for row in rows}
    since = newest.key.created_at
    calls = calls_of_secrets(app_id=newest.key.app_id, key_ids=by_id, since=since, now=now)
    behind = times.behind(calls[newest.key.pk].complete_until, now)
    return [
        Secret(
            row=row,
            calls=calls[row.key.pk].calls,
            addresses=calls[row.key.pk].addresses if see_addresses and row.is_old else (),
            is_quiet=not behind and is_quiet(row.key, row.usage, now),
            unsure=behind if not row.usage or is_quiet(row.key, row.usage, now) else "",
            longer=_longer(row.key, by_id) if row.is_old else None,
        )
        for row in rows
    ]


def is_quiet(key: Key, usage: KeyUsage | None, now: datetime) -> bool:
    """Tell whether a key has not been presented for a day; one that is younger has not had the time to be quiet."""
    last = usage.last_used_at if usage else key.created_at
    return now - last >= QUIET


def _longer(key: Key, by_id: dict[int, Key]) -> datetime | None:
    successor = by_id.get(key.replaced_by_id or 0)
    if key.overlap_ends_at is None or successor is None:
        return None
    until = min(key.overlap_ends_at + LONGER, latest_overlap_end(key, successor))
    return until if until > key.overlap_ends_at else None
