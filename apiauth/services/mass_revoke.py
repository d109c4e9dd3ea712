"""Ends many keys at once, as after a leak: tried first, then done in batches that any process can go on with."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.db import transaction
from django.db.models import Count, F, Func, Q, Sum, Value
from django.db.models.fields import BigIntegerField, BooleanField

from apiauth.core.actor import Actor
from apiauth.core.errors import Conflict, Invalid, KeyAlreadyRevoked, NotFound
from apiauth.core.events import Event
from apiauth.core.key_filter import KeyFilter, read_filter
from apiauth.core.networks import is_narrower_than_a_network, network_around
from apiauth.models import App, DecisionRollup, Deployment, Key, MassRevoke
from apiauth.models.fields import insert
from apiauth.models.key import KeyQuerySet
from apiauth.services import activity, keys
from apiauth.services.text import plain_text

BATCH = 100  # of one transaction, which holds the log of the keys' app for a second at most
SAMPLE = 20


class _Within(Func):
    """Tells whether an address, kept as text, lies within a range."""

    template = "(%(expressions)s)"
    arg_joiner = "::inet <<= "
    output_field = BooleanField()


class _Each(Func):
    """Returns each element of an array, as a row of its own."""

    function = "unnest"
    output_field = BigIntegerField()


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a mass revoke would end: how many keys, the newest of them, and how many calls they made in the last day."""

    count: int
    sample: list[Key]
    apps: int
    calls_last_day: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a mass revoke is: `left` keys are still to be ended."""

    found: int
    left: int
    is_finished: bool


def require_seen_by_staff(wanted: KeyFilter) -> None:
    """Raise Invalid where a filter asks for more of an address than staff may see in one of the apps it is about.

    What a filter finds tells whether a guess is right: narrower and narrower ranges would lead to the address.
    An operator at the command line is not asked: who may read the database needs no guesses.
    """
    if not wanted.last_used_from or _staff_may_see(wanted.last_used_from, wanted.app_id, wanted.deployment_id):
        return
    raise Invalid(
        "The policy of an app that this is about keeps whole addresses from staff. Ask for a network, a /24 or a /48 "
        "at least, or for one app whose policy shows them; an operator can ask for less with ./keystead revoke.",
        field="last_used_from",
    )


def seen_by_staff(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a filter as staff may see it: an operator may have asked for a single address."""
    asked = document.get("last_used_from")
    if not asked or _staff_may_see(asked, document.get("app_id"), document.get("deployment_id")):
        return dict(document)
    return {**document, "last_used_from": network_around(asked)}


def find(wanted: KeyFilter, *, now: datetime) -> KeyQuerySet:
    """Return the keys that a filter finds and that a revoke would still end."""
    ids, endings = wanted.named()
    conditions = {
        "deployment_id": wanted.deployment_id,
        "app_id": wanted.app_id,
        "key_prefix": wanted.key_prefix,
        "created_at__gte": wanted.created_after,
        "created_at__lt": wanted.created_before,
        "user_id": wanted.user_id,
        "permissions__contains": [wanted.permission] if wanted.permission else None,
    }
    rows = Key.objects.filter(**{name: value for name, value in conditions.items() if value is not None})
    if wanted.created_by:
        rows = rows.filter(Q(created_by=wanted.created_by) | Q(created_by_id=wanted.created_by))
    if wanted.last_used_from:
        used = _Within(F("usage__client_ip"), Value(wanted.last_used_from), function="")
        rows = rows.filter(usage__client_ip__isnull=False).alias(is_within=used).filter(is_within=True)
    if wanted.keys:
        rows = rows.filter(Q(pk__in=ids) | Q(key_suffix__in=endings))
    return rows.not_ended_for_good(now)


def try_out(wanted: KeyFilter, *, now: datetime) -> DryRun:
    """Return what a revoke by this filter would end now; nothing is changed. Calls are counted by the hour."""
    rows = find(wanted, now=now)
    figures = rows.aggregate(count=Count("pk"), apps=Count("app_id", distinct=True))
    calls = DecisionRollup.objects.filter(key_id__in=rows.values("pk"))
    calls = calls.between(now - timedelta(days=1), now + timedelta(hours=1))
    total = calls.aggregate(total=Sum("count"))["total"] or 0
    sample = list(rows.select_related("app").newest_first()[:SAMPLE])
    return DryRun(figures["count"], sample, figures["apps"], total)


@transaction.atomic
def start(wanted: KeyFilter, *, reason: str, actor: Actor, now: datetime) -> MassRevoke:
    """Note a mass revoke; no key is ended yet, `run_batch` does that. Raises NotFound, Conflict where no key fits,
    Invalid for the reason."""
    text = plain_text(reason, field="reason", most=500)
    where = _scope(wanted)
    found = list(find(wanted, now=now).values_list("pk", flat=True))
    if not found:
        raise Conflict("No key that still works fits this.")
    job = insert(
        lambda: MassRevoke(
            **where,
            filter=wanted.document(),
            key_ids=found,
            reason=text,
            found=len(found),
            started_by=actor.name[:200],
            actor=msgspec.to_builtins(replace(actor, email="", client_ip=None, user_agent="")),
            started_at=now,
        )
    )
    _record(
        Event.MASS_REVOKE_STARTED, job, actor, now, {"filter": wanted.document(), "reason": text, "keys": len(found)}
    )
    return job


@transaction.atomic
def run_batch(job: MassRevoke, *, now: datetime) -> int:
    """End the next keys of a mass revoke in one transaction; return how many.

    0 where it is finished, another process is at it, or others hold the last of its keys just now. May
    be called by several processes and again after any was killed: a key is ended once, with one event.
    The keys are locked before the first is ended, since each takes the activity log's row with it.
    """
    runs = MassRevoke.objects.unfinished().filter(pk=job.pk)
    if not runs.select_for_update(skip_locked=True, of=("self",)).exists():
        return 0
    batch = list(_left(job, now).select_for_update(skip_locked=True, of=("self",)).order_by("id")[:BATCH])
    actor = msgspec.convert(job.actor, Actor)
    batch.sort(key=lambda key: (key.app_id, key.pk))  # each app's log is taken in an order that every run keeps
    ended = sum(_end(key, job.reason, actor, now) for key in batch)
    if ended == 0 and not _left(job, now).exists():
        _finish(job, actor, now)
    return ended


def run_unfinished(*, now: datetime) -> int:
    """Go on with the oldest unfinished mass revoke by one batch; return how many keys were ended."""
    job = MassRevoke.objects.unfinished().first()
    return run_batch(job, now=now) if job else 0


def progress(job: MassRevoke, *, now: datetime) -> Progress:
    """Return how far a mass revoke is, counted from the keys themselves."""
    job.refresh_from_db(fields=["finished_at"])
    left = 0 if job.finished_at else _left(job, now).count()
    return Progress(max(job.found, left), left, job.finished_at is not None)


def _staff_may_see(address_range: str, app_id: int | None, deployment_id: int | None) -> bool:
    """Tell whether the policies of the apps that a filter is about, of all without any, let staff see a range."""
    if not is_narrower_than_a_network(address_range):
        return True
    where = {"pk": app_id, "deployment_id": deployment_id}
    apps = App.objects.filter(**{name: value for name, value in where.items() if value is not None})
    return all(policy.audit.staff_see_addresses for policy in apps.values_list("policy", flat=True))


def _left(job: MassRevoke, now: datetime) -> KeyQuerySet:
    """Return the keys still to be ended: of those that were found, and of those that were being made just then."""
    found = MassRevoke.objects.filter(pk=job.pk).annotate(key=_Each(F("key_ids"))).values("key")
    made = find(read_filter(job.filter), now=now).filter(created_at__lte=job.started_at).values("pk")
    return Key.objects.filter(pk__in=found.union(made)).not_ended_for_good(now)


def _end(key: Key, reason: str, actor: Actor, now: datetime) -> bool:
    try:
        keys.revoke_key(app_id=key.app_id, key_id=key.pk, reason=reason, actor=actor, now=now)
    except KeyAlreadyRevoked:
        return False
    return True


def _finish(job: MassRevoke, actor: Actor, now: datetime) -> None:
    if MassRevoke.objects.filter(pk=job.pk, finished_at=None).update(finished_at=now):
        _record(Event.MASS_REVOKE_FINISHED, job, actor, now, {"mass_revoke": str(job.pk)})


def _scope(wanted: KeyFilter) -> dict[str, Any]:
    """Return the app and the deployment that a filter names. Raises NotFound."""
    if wanted.app_id is not None:
        app = App.objects.filter(pk=wanted.app_id).first()
        if app is None or wanted.deployment_id not in (None, app.deployment_id):
            raise NotFound("This app doesn't exist.")
        return {"app": app, "deployment_id": app.deployment_id}
    if wanted.deployment_id is not None and not Deployment.objects.filter(pk=wanted.deployment_id).exists():
        raise NotFound("This deployment doesn't exist.")
    return {"app": None, "deployment_id": wanted.deployment_id}


def _record(event: Event, job: MassRevoke, actor: Actor, now: datetime, details: dict[str, Any]) -> None:
    where = {"deployment_id": job.deployment_id, "app_id": job.app_id}
    activity.record(event, actor=actor, now=now, details={"mass_revoke": str(job.pk), **details}, **where)
