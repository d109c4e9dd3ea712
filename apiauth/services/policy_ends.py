"""The ends that a policy gives to the keys it finds, and gives back where it is loosened before it holds for them.

The end is written as soon as the policy is set, although it lies at or after the moment from which the policy
applies: so the key's owner sees it, is warned of it in time, and no gateway has to learn anything on the day.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from django.db import connection
from django.db.models import F, Q

from apiauth.audit.statements import statements
from apiauth.core.actor import Actor
from apiauth.core.events import Event
from apiauth.core.policy import ExpiryPolicy, Policy
from apiauth.models import App, Key, PlannedEnd
from apiauth.models.key import KeyQuerySet
from apiauth.services import activity
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


def outlasting(app: App, policy: Policy, applies_at: datetime) -> KeyQuerySet:
    """Return the keys that last longer than a tighter policy lets them; those that ended for good are left alone."""
    keys = Key.objects.in_app(app.id)
    if policy.expiry.longest_days is None or not policy.expiry.is_tighter_than(app.policy.expiry):
        return keys.none()
    too_long = Q(expires_at=None) | Q(expires_at__gt=F("created_at") + timedelta(days=policy.expiry.longest_days))
    later = Q(expires_at=None) | Q(expires_at__gt=applies_at)
    return keys.not_ended_for_good(applies_at).filter(too_long & later)


def count_given_back(app: App, policy: Policy, now: datetime) -> int:
    """Return how many keys would get a later end back under a looser policy."""
    if not app.policy.expiry.is_tighter_than(policy.expiry):
        return 0
    return sum(1 for _ in _given_back(app, policy.expiry, now))


def move_ends(app: App, policy: Policy, *, applies_at: datetime, actor: Actor, now: datetime) -> None:
    """Give the keys of an app the ends that they have under another policy than it has now, each with its entry.

    The app's row has to be locked, as everything that changes a key's end locks it. Call it last in a
    service's transaction: it holds the log of the app from the first entry on.
    """
    if policy.expiry.is_tighter_than(app.policy.expiry):
        moves = _earlier(app, policy, applies_at, now)
    elif app.policy.expiry.is_tighter_than(policy.expiry):
        moves = _given_back(app, policy.expiry, now)
    else:
        return
    while batch := list(islice(moves, BATCH)):
        _carry_out(batch, actor, now)
    PlannedEnd.objects.in_app(app.id).filter(applies_at__lte=now).delete()


def _earlier(app: App, policy: Policy, applies_at: datetime, now: datetime) -> Iterator[Move]:
    planned = PlannedEnd.objects.in_app(app.id).can_be_withdrawn(now)
    previous = dict(planned.values_list("key_id", "previous"))
    for key in outlasting(app, policy, applies_at).iterator(chunk_size=BATCH):
        end = _latest(policy.expiry, key, applies_at)
        yield Move(key, end, previous.get(key.pk, key.expires_at), applies_at)


def _given_back(app: App, expiry: ExpiryPolicy, now: datetime) -> Iterator[Move]:
    planned = PlannedEnd.objects.in_app(app.id).can_be_withdrawn(now).select_related("key")
    for each in planned.iterator(chunk_size=BATCH):
        latest = _latest(expiry, each.key, each.applies_at)
        end = min((moment for moment in (each.previous, latest) if moment), default=None)
        if end != each.planned:
            yield Move(each.key, end, each.previous, each.applies_at)


def _latest(expiry: ExpiryPolicy, key: Key, applies_at: datetime) -> datetime | None:
    """Return the latest end of a key that was there before the policy: it does not end before that applies."""
    latest = expiry.latest(key.created_at)
    return max(latest, applies_at) if latest else None


def _carry_out(moves: list[Move], actor: Actor, now: datetime) -> None:
    key_ids = [move.key.pk for move in moves]
    with connection.cursor() as cursor:  # the ORM's own way took a third of all the time
        cursor.execute(sql("move_ends"), {"key_ids": key_ids, "ends": [move.end for move in moves], "now": now})
    PlannedEnd.objects.filter(pk__in=key_ids).delete()
    PlannedEnd.objects.bulk_create(
        PlannedEnd(key=move.key, previous=move.previous, planned=move.end, applies_at=move.applies_at)
        for move in moves
        if move.end is not None and move.end != move.previous and move.applies_at > now
    )
    entries = [(move.key.pk, _details(move)) for move in moves]
    where = {"deployment_id": moves[0].key.deployment_id, "app_id": moves[0].key.app_id}
    activity.record_each(Event.KEY_EDITED, entries, actor=actor, now=now, **where)


def _details(move: Move) -> dict[str, object]:
    change = {"before": written(move.key.expires_at), "after": written(move.end)}
    return {"name": move.key.name, "changed": {"expires_at": change}, "policy_applies_at": written(move.applies_at)}
