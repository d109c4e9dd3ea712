"""Whether it is safe to revoke a key and the old secrets that end with it, in words."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from apiauth.core.policy import RotationPolicy
from apiauth.models import Key
from apiauth.models.audit import KeyUsage
from portal import times
from portal.lineages import KeyRow

IN_USE = timedelta(days=1)


def verdict(row: KeyRow, olds: Sequence[KeyRow], rotation: RotationPolicy, behind: str, now: datetime) -> str:
    """Return what revoking a key does to its callers, and to those of its old secrets that still work.

    `behind` tells how far behind the log is, where that matters: then nobody can say that a key is quiet.
    """
    called = last_called([old for old in olds if is_called(old.key, rotation, now)])
    still = f"the old secret (…{called.key.key_suffix}) is still called, last {_ago(called, now)}" if called else ""
    if is_called(row.key, rotation, now):
        also = f" And {still}." if still else ""
        return f"In use within the last day. Revoking breaks its callers within about a second.{also}"
    if still:
        return f"In use: {still}. Stopping it too breaks its callers within about a second."
    if behind and (works(row.key, rotation, now) or olds):
        return "Whether it is in use is not known: the log is behind."
    return _quiet(row, olds, rotation, now)


def last_called(rows: Sequence[KeyRow]) -> KeyRow | None:
    """Return the key that was called last; None where none of them ever was."""
    called = [(row.usage.last_used_at, row) for row in rows if row.usage]
    return max(called, key=lambda each: each[0])[1] if called else None


def is_called(key: Key, rotation: RotationPolicy, now: datetime) -> bool:
    """Tell whether a key works and was called within the last day."""
    usage: KeyUsage | None = getattr(key, "usage", None)
    return usage is not None and works(key, rotation, now) and now - usage.last_used_at < IN_USE


def works(key: Key, rotation: RotationPolicy, now: datetime) -> bool:
    """Tell whether calls with a key are let through: it has not ended, and is not blocked for its rotation."""
    blocks = None if key.replaced_by_id else rotation.blocks_at(key.created_at)
    return key.is_active(now) and (blocks is None or blocks > now)


def _quiet(row: KeyRow, olds: Sequence[KeyRow], rotation: RotationPolicy, now: datetime) -> str:
    last = last_called([row, *olds])
    if last is None:
        return "Never used. Safe to revoke."
    whose = "last call" if last is row else f"last call with the old secret (…{last.key.key_suffix})"
    how = "Quiet" if works(last.key, rotation, now) else "Its calls are blocked already"
    return f"{how}: {whose} {_ago(last, now)}."


def _ago(row: KeyRow, now: datetime) -> str:
    return times.ago(row.usage.last_used_at, now) if row.usage else ""
