"""Rate-limit schemes: made, changed and deleted here alone."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from apiauth.core.actor import Actor
from apiauth.core.errors import Conflict, Invalid, NotFound
from apiauth.core.events import Event
from apiauth.core.limits import load_rules, parse_rules
from apiauth.models import App, RateLimitScheme
from apiauth.models.fields import insert, violated_constraint
from apiauth.services import activity
from apiauth.services.text import plain_description, plain_slug, plain_text
from apiauth.services.versions import refuse_unseen


@transaction.atomic
def create_scheme(
    *,
    deployment_id: int,
    slug: str,
    name: str,
    rules: Sequence[Mapping[str, Any]],
    description: str | None = None,
    actor: Actor,
    now: datetime,
) -> RateLimitScheme:
    """Make a scheme. Raises Invalid that names the field, Conflict when the slug is taken."""
    slug = plain_slug(slug, field="slug")
    name = plain_text(name, field="name", most=100)
    described = plain_description(description)
    stored = [rule.as_json() for rule in parse_rules(rules)]
    try:
        scheme = insert(
            lambda: RateLimitScheme(
                deployment_id=deployment_id,
                slug=slug,
                name=name,
                description=described,
                rules=stored,
                created_at=now,
                updated_at=now,
            )
        )
    except IntegrityError as error:
        if violated_constraint(error) == "rate_limit_scheme_slug_once_a_deployment":
            raise Conflict("A rate-limit scheme with this slug exists already.", field="slug") from None
        raise
    _record(Event.SCHEME_CREATED, scheme, actor, now)
    return scheme


@transaction.atomic
def update_scheme(
    *,
    deployment_id: int,
    slug: str,
    changes: Mapping[str, Any],
    actor: Actor,
    now: datetime,
    seen: Collection[datetime] | None = None,
) -> RateLimitScheme:
    """Change `name`, `description` or `rules` (all of them at once; one that comes again goes on with its counts).

    `seen` holds the values of `updated_at` that the caller has seen. Raises NotFound, Invalid, ChangedMeanwhile.
    """
    scheme = find_scheme(deployment_id=deployment_id, slug=slug, lock=True)
    refuse_unseen(scheme.updated_at, seen)
    if "name" in changes:
        scheme.name = plain_text(changes["name"], field="name", most=100)
    if "description" in changes:
        scheme.description = plain_description(changes["description"])
    if "rules" in changes:
        scheme.rules = [rule.as_json() for rule in parse_rules(changes["rules"], known=load_rules(scheme.rules))]
    scheme.updated_at = now
    scheme.save(update_fields=["name", "description", "rules", "updated_at"])
    _record(Event.SCHEME_EDITED, scheme, actor, now)
    return scheme


@transaction.atomic
def delete_scheme(*, deployment_id: int, slug: str, actor: Actor, now: datetime) -> None:
    """Delete a scheme that nothing uses. Raises NotFound; Invalid while an app uses it."""
    scheme = find_scheme(deployment_id=deployment_id, slug=slug, lock=True)
    if App.objects.in_deployment(deployment_id).filter(rate_limit_scheme=scheme).exists():
        raise Invalid("An app uses this rate-limit scheme. Give the app another one first.", field="slug")
    scheme.deleted_at = scheme.updated_at = now
    scheme.save(update_fields=["deleted_at", "updated_at"])
    _record(Event.SCHEME_DELETED, scheme, actor, now)


def find_scheme(*, deployment_id: int, slug: str, lock: bool = False) -> RateLimitScheme:
    """Return a scheme of a deployment by its slug. Raises NotFound."""
    schemes = RateLimitScheme.objects.in_deployment(deployment_id)
    scheme = (schemes.select_for_update() if lock else schemes).filter(slug=slug).first()
    if scheme is None:
        raise NotFound("There is no rate-limit scheme with this slug.")
    return scheme


def _record(event: Event, scheme: RateLimitScheme, actor: Actor, now: datetime) -> None:
    details = {"scheme": scheme.slug, "name": scheme.name, "rules": scheme.rules}
    activity.record(event, actor=actor, now=now, deployment_id=scheme.deployment_id, details=details)
