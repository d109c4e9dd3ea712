"""The two secrets of a key that was rotated: which of them is still called, how often and from where."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from apiauth.audit.calls import calls_of_secrets
from apiauth.models import Key
from apiauth.models.audit import KeyUsage
from portal import times
from portal.lineages import KeyRow

QUIET = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret of a lineage, with what was done with it since the rotation."""

    row: KeyRow
    calls: int
    is_exact: bool
    addresses: Sequence[str]
    is_quiet: bool
    unsure: str
    """Why nobody can say that it is quiet, though the log shows no call of the last day."""


def secrets_of(newest: KeyRow, olds: Sequence[KeyRow], *, see_addresses: bool, now: datetime) -> list[Secret]:
    """Return the present secret and the old ones that still work, newest first."""
    rows = [newest, *olds]
    ids = [row.key.pk for row in rows]
    since = newest.key.created_at
    calls = calls_of_secrets(app_id=newest.key.app_id, key_ids=ids, since=since, now=now)
    behind = times.behind(calls[newest.key.pk].complete_until, now)
    return [
        Secret(
            row=row,
            calls=calls[row.key.pk].calls,
            is_exact=calls[row.key.pk].is_exact,
            addresses=calls[row.key.pk].addresses if see_addresses else (),
            is_quiet=not behind and is_quiet(row.key, row.usage, now),
            unsure=behind if not row.usage or is_quiet(row.key, row.usage, now) else "",
        )
        for row in rows
    ]


def is_quiet(key: Key, usage: KeyUsage | None, now: datetime) -> bool:
    """Tell whether a key has not been presented for a day; one that is younger has not had the time to be quiet."""
    last = usage.last_used_at if usage else key.created_at
    return now - last >= QUIET
