"""The ends that a policy gives to the keys it finds, and gives back where it is loosened before it holds for them.

The end is written as soon as the policy is set, although it lies at or after the moment from which the policy
applies: so the key's owner sees it, is warned of it in time, and no gateway has to learn anything on the day.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from django.db import connection
from django.db.models import F, Q

from apiauth.audit.statements import statements
from apiauth.core.policy import MOST_UNDO_MINUTES, ExpiryPolicy, Policy
from apiauth.models import App, Key, PlannedEnd
from apiauth.models.key import KeyQuerySet
from apiauth.services.key_rows import written

BATCH = 500

sql = statements(Path(__file__).parent / "sql")


@dataclass(frozen=True, slots=True)
class Move:
    """A key whose end a policy moves; `previous` comes back where the policy is loosened before `applies_at`."""

    key: Key
    end: datetime | None
    previous: datetime | None
    applies_at: datetime


def outlasting(app: App, policy: Policy, applies_at: datetime, now: datetime) -> KeyQuerySet:
    """Return the keys that last longer than a tighter policy lets them, as far as they are in use or can be again.

    A revoke may be undone and an overlap be extended, so both are looked through: no key comes back beyond the policy.
    """
    longest = policy.expiry.longest_days
    if longest is None or not policy.expiry.is_tighter_than(app.policy.expiry):
        return Key.objects.none()
    too_long = Q(expires_at=None) | Q(expires_at__gt=F("created_at") + timedelta(days=longest))
    later = Q(expires_at=None) | Q(expires_at__gt=applies_at)
    return _may_work_again(Key.objects.in_app(app.id), now).filter(too_long & later)


def affected(app: App, policy: Policy, applies_at: datetime, now: datetime) -> KeyQuerySet:
    """Return those of `outlasting` that somebody has to be told of: in use, or revoked and still to be undone."""
    undo = max(app.policy.revocation.undo_minutes, policy.revocation.undo_minutes)
    lasting = Q(overlap_ends_at=None) | Q(overlap_ends_at__gt=applies_at)
    kept = Q(revoked_at=None)
    if undo:
        kept |= Q(revoked_at__gt=now - timedelta(minutes=undo))
    return outlasting(app, policy, applies_at, now).filter(lasting & kept)


def count_given_back(app: App, policy: Policy, now: datetime) -> int:
    """Return how many keys would get a later end back under a looser policy."""
    if not app.policy.expiry.is_tighter_than(policy.expiry):
        return 0
    return sum(move.key.revoked_at is None for move in _given_back(app, policy.expiry, now))


def is_rescheduled(app: App, policy: Policy, applies_at: datetime | None, now: datetime) -> bool:
    """Tell whether a policy is to hold for the keys it found from another moment than was said."""
    if applies_at is None:
        return False
    return any(_moved(_planned(app, now), policy.expiry, applies_at))


def move_ends(
    app: App, policy: Policy, *, applies_at: datetime | None, now: datetime
) -> list[tuple[int, dict[str, object]]]:
    """Give the keys of an app the ends that they have under another policy than it has now.

    Returns each key's id with what its entry in the log says. The entries are for the caller to write, after this:
    who changes a key elsewhere takes the key and the log in that order. The app's row has to be locked.
    """
    if policy.expiry.is_tighter_than(app.policy.expiry):
        moves = _earlier(app, policy, applies_at or now, now)
    elif app.policy.expiry.is_tighter_than(policy.expiry):
        moves = _given_back(app, policy.expiry, now)
    else:
        moves = _moved(_planned(app, now), policy.expiry, applies_at) if applies_at else iter(())
    told = []
    while batch := list(islice(moves, BATCH)):
        _carry_out(batch, now)
        told += [(move.key.pk, _details(move)) for move in batch if move.end != move.key.expires_at]
    PlannedEnd.objects.in_app(app.id).filter(applies_at__lte=now).delete()
    return told


def _earlier(app: App, policy: Policy, applies_at: datetime, now: datetime) -> Iterator[Move]:
    planned = PlannedEnd.objects.in_app(app.id).can_be_withdrawn(now)
    previous = dict(planned.values_list("key_id", "previous"))
    for key in outlasting(app, policy, applies_at, now).order_by("id").iterator(chunk_size=BATCH):
        end = policy.expiry.latest_of_found(key.created_at, applies_at)
        yield Move(key, end, previous.get(key.pk, key.expires_at), applies_at)


def _planned(app: App, now: datetime) -> Iterator[PlannedEnd]:
    """Yield the plans that can still be changed, of keys that are in use or can be again."""
    keys = _may_work_again(Key.objects.in_app(app.id), now)
    planned = PlannedEnd.objects.can_be_withdrawn(now).filter(key__in=keys).select_related("key")
    return planned.order_by("key_id").iterator(chunk_size=BATCH)


def _given_back(app: App, expiry: ExpiryPolicy, now: datetime) -> Iterator[Move]:
    return _moved(_planned(app, now), expiry, None)


def _moved(planned: Iterable[PlannedEnd], expiry: ExpiryPolicy, applies_at: datetime | None) -> Iterator[Move]:
    """Yield what becomes of plans under an expiry that holds from a moment, None for the one that was planned."""
    for each in planned:
        moment = applies_at or each.applies_at
        latest = expiry.latest_of_found(each.key.created_at, moment)
        end = min((limit for limit in (each.previous, latest) if limit), default=None)
        if end != each.planned or moment != each.applies_at:
            yield Move(each.key, end, each.previous, moment)


def _may_work_again(keys: KeyQuerySet, now: datetime) -> KeyQuerySet:
    """Keep keys that are not revoked for good, whatever a policy may still say of undoing, nor rotated out."""
    undone = Q(revoked_at=None) | Q(revoked_at__gt=now - timedelta(minutes=MOST_UNDO_MINUTES))
    return keys.filter(undone, Q(overlap_ends_at=None) | Q(overlap_ends_at__gt=now))


def _carry_out(moves: list[Move], now: datetime) -> None:
    key_ids = [move.key.pk for move in moves]
    with connection.cursor() as cursor:  # the ORM's own way took a third of all the time
        cursor.execute(sql("move_ends"), {"key_ids": key_ids, "ends": [move.end for move in moves], "now": now})
    PlannedEnd.objects.filter(pk__in=key_ids).delete()
    PlannedEnd.objects.bulk_create(
        PlannedEnd(key=move.key, previous=move.previous, planned=move.end, applies_at=move.applies_at)
        for move in moves
        if move.end is not None and move.end != move.previous and move.applies_at > now
    )


def _details(move: Move) -> dict[str, object]:
    change = {"before": written(move.key.expires_at), "after": written(move.end)}
    return {"name": move.key.name, "changed": {"expires_at": change}, "policy_applies_at": written(move.applies_at)}
