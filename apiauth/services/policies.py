"""What an app locks, and what becomes of the keys that a tighter policy finds: nothing before the chosen date."""

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from msgspec.structs import replace

from apiauth.core.actor import Actor
from apiauth.core.errors import Invalid, Unprocessable
from apiauth.core.events import Event
from apiauth.core.policy import Policy, RotationPolicy, check_moment_kept, read_policy
from apiauth.models import App, Key
from apiauth.models.key import KeyQuerySet
from apiauth.services import activity
from apiauth.services.apps import find_app, update_app
from apiauth.services.policy_ends import affected, count_given_back, is_rescheduled, move_ends
from apiauth.services.versions import refuse_unseen

FARTHEST = timedelta(days=366)
MOST_NAMED = 20  # keys that a refusal names, of those that a policy would touch


@dataclass(frozen=True, slots=True)
class AffectedKey:
    """A key that a policy would touch: the end it would get, and from when it would have to be rotated.

    None where that stays as it is, or where there would be none.
    """

    key: Key
    ends_at: datetime | None
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Impact:
    """The keys that a policy would touch if it held from `applies_at` on, in place of the one that `present` is."""

    expiring: KeyQuerySet
    due: KeyQuerySet
    policy: Policy
    applies_at: datetime
    present: Policy
    given_back: int = 0
    """How many keys would get back a later end, which a policy that does not hold for them yet has taken."""

    def count(self) -> int:
        """Return how many keys that are."""
        return (self.expiring | self.due).count()

    def keys(self, most: int, *, before: int | None = None) -> Iterator[AffectedKey]:
        """Yield the newest of them, at most so many, each with what it comes to; `before` goes on behind a key's id."""
        expiring, due = (rows if before is None else rows.filter(pk__lt=before) for rows in (self.expiring, self.due))
        ending = set(expiring.newest_first().values_list("pk", flat=True)[:most])
        for key in (expiring | due).newest_first()[:most]:
            latest = self.policy.expiry.latest_of_found(key.created_at, self.applies_at)
            ends_at = latest if key.pk in ending else None
            due_at = key.rotation_due_at(self.policy.rotation)
            is_unchanged = due_at == key.rotation_due_at(self.present.rotation)
            yield AffectedKey(key, ends_at, None if is_unchanged else due_at)


class KeysAffected(Unprocessable):
    """This policy affects keys. Choose from when it applies to them."""

    def __init__(self, count: int, impact: Impact) -> None:
        """Take how many keys `impact` has, and read the first of them."""
        keys = "1 key" if count == 1 else f"{count} keys"
        sentence = f"This policy affects {keys}. Choose from when it applies to them."
        super().__init__(sentence, field="policy_applies_at")
        self.count, self.first = count, list(impact.keys(MOST_NAMED))


def preview(app: App, policy: Policy, *, applies_at: datetime | None, now: datetime) -> Impact:
    """Return what `set_policy` would do with the same values, as if from now on where no moment is chosen.

    Raises Invalid as it does.
    """
    _check_moment(applies_at, now)
    impact = impact_of(app, _scheduled(app.policy, policy, applies_at, now), applies_at=applies_at or now, now=now)
    return dataclasses.replace(impact, given_back=count_given_back(app, policy, now))


def impact_of(app: App, policy: Policy, *, applies_at: datetime, now: datetime) -> Impact:
    """Return what a policy would do to the keys that an app has now."""
    keys = Key.objects.in_app(app.id)
    rotation = _enforced_from(policy.rotation, applies_at)
    due = keys.due(rotation, applies_at) if rotation.is_tighter_than(app.policy.rotation) else keys.none()
    return Impact(affected(app, policy, applies_at, now), due, policy, applies_at, app.policy)


@transaction.atomic
def set_policy(
    *,
    deployment_id: int,
    slug: str,
    policy: Policy,
    applies_at: datetime | None = None,
    actor: Actor,
    now: datetime,
    seen: Collection[datetime] | None = None,
) -> App:
    """Put a policy in force: at once for what is done from now on, from `applies_at` on for the keys that it finds.

    Keys that may no longer last as long get an end, never before `applies_at`; none is due for
    rotation before it. Where a looser policy follows before that moment, they get back what it allows of
    the ends that they had; another moment that is chosen before then takes its place. The app's row is
    locked as creating and rotating lock it, so no key slips through. Raises NotFound, ChangedMeanwhile,
    Invalid (a moment past or too far, or an `enforced_from` that is not the present one), and Unprocessable
    where keys are affected and no moment is chosen.
    """
    app = find_app(deployment_id=deployment_id, slug=slug, lock=True)
    refuse_unseen(app.updated_at, seen)
    _check_moment(applies_at, now)
    before, after = app.policy, _scheduled(app.policy, policy, applies_at, now)
    if after == before and not is_rescheduled(app, after, applies_at, now):
        return app
    impact = impact_of(app, after, applies_at=applies_at or now, now=now)
    count = impact.count()
    if count and applies_at is None:
        raise KeysAffected(count, impact)
    moved = move_ends(app, after, applies_at=applies_at, now=now)
    app.policy, app.updated_at = after, now
    app.save(update_fields=["policy", "updated_at"])
    details = {"changed": _changes(before, after), "affected_keys": count}
    if applies_at:
        details["applies_at"] = applies_at.isoformat()
    where = {"deployment_id": app.deployment_id, "app_id": app.id}
    activity.record(Event.APP_POLICY_CHANGED, actor=actor, now=now, details=details, **where)
    activity.record_each(Event.KEY_EDITED, moved, actor=actor, now=now, **where)
    return app


@transaction.atomic
def edit_app(
    *,
    deployment_id: int,
    slug: str,
    changes: Mapping[str, Any],
    applies_at: datetime | None,
    actor: Actor,
    now: datetime,
    seen: Collection[datetime] | None,
) -> App:
    """Change the fields of an app that `changes` names, its policy among them; all of it or nothing.

    A `policy` of null locks nothing. Raises as `update_app` and `set_policy` do.
    """
    if "policy" not in changes:
        if applies_at is not None:
            raise Invalid("Send the policy that applies then.", field="policy_applies_at")
        return update_app(deployment_id=deployment_id, slug=slug, changes=changes, actor=actor, now=now, seen=seen)
    app = find_app(deployment_id=deployment_id, slug=slug, lock=True)
    refuse_unseen(app.updated_at, seen)
    policy = read_policy({} if changes["policy"] is None else changes["policy"])
    # First, since it takes keys, and those come before the log.
    app = set_policy(deployment_id=deployment_id, slug=slug, policy=policy, applies_at=applies_at, actor=actor, now=now)
    others = {name: value for name, value in changes.items() if name != "policy"}
    if not others:
        return app
    return update_app(deployment_id=deployment_id, slug=slug, changes=others, actor=actor, now=now)


def _check_moment(applies_at: datetime | None, now: datetime) -> None:
    if applies_at is not None and not now <= applies_at <= now + FARTHEST:
        raise Invalid("Choose a moment from now on, at most a year ahead.", field="policy_applies_at")


def _scheduled(before: Policy, after: Policy, applies_at: datetime | None, now: datetime) -> Policy:
    """Return a policy with the moment from which its rotation holds; only `applies_at` can move that."""
    moment = present = before.rotation.enforced_from
    check_moment_kept(after.rotation, present)
    if after.rotation.is_tighter_than(before.rotation):
        moment = applies_at or now
    elif applies_at and present and present > now:
        moment = applies_at
    return replace(after, rotation=_enforced_from(after.rotation, moment))


def _enforced_from(rotation: RotationPolicy, moment: datetime | None) -> RotationPolicy:
    return replace(rotation, enforced_from=moment if rotation.every_days is not None else None)


def _changes(before: Policy, after: Policy) -> dict[str, Any]:
    """Return what differs, by its place in the document, before and after."""
    return {
        f"{part}.{name}": {"before": old, "after": after.document()[part][name]}
        for part, values in before.document().items()
        for name, old in values.items()
        if old != after.document()[part][name]
    }
