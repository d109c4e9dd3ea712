"""Deployments and the backend keys that speak for them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from apiauth.core.actor import Actor
from apiauth.core.errors import Conflict, Invalid, NotAuthenticated, NotFound
from apiauth.core.events import Event
from apiauth.core.secrets import (
    BACKEND_KEY_PREFIX,
    NewSecret,
    SecretKind,
    checksum_matches,
    is_well_formed,
    new_secret,
    prefix_of,
)
from apiauth.models import BackendKey, Deployment
from apiauth.models.fields import insert
from apiauth.services import activity
from apiauth.services.text import plain_text, web_address

SCOPES = ("apps:read", "apps:write", "keys:write", "tickets:issue", "gateway:check")
_LAST_USED_EVERY = timedelta(seconds=60)
_ORIGIN = re.compile(r"https?://[a-z0-9.:\[\]-]+")


@dataclass(frozen=True, slots=True)
class IssuedBackendKey:
    """A backend key in the one moment in which its secret exists."""

    row: BackendKey
    secret: NewSecret


@transaction.atomic
def create_deployment(
    *, name: str, allowed_origins: Sequence[str], is_embedded: bool = False, actor: Actor, now: datetime
) -> Deployment:
    """Make a deployment. Raises Invalid for an empty name or an origin that is none."""
    values = {
        "name": plain_text(name, field="name", most=100),
        "allowed_origins": [valid_origin(origin) for origin in allowed_origins],
        "is_embedded": is_embedded,
    }
    row = insert(lambda: Deployment(**values, created_at=now, updated_at=now))
    activity.record(
        Event.DEPLOYMENT_CREATED,
        actor=actor,
        now=now,
        deployment_id=row.id,
        details=_described(row),
    )
    return row


@transaction.atomic
def update_deployment(
    *,
    deployment_id: int,
    name: str,
    allowed_origins: Sequence[str],
    is_embedded: bool,
    actor: Actor,
    now: datetime,
) -> Deployment:
    """Rename a deployment, change its list of origins or whether it embeds Keystead. Raises NotFound, Invalid."""
    row = Deployment.objects.select_for_update().filter(pk=deployment_id).first()
    if row is None:
        raise NotFound("This deployment doesn't exist.")
    row.name = plain_text(name, field="name", most=100)
    row.allowed_origins = [valid_origin(origin) for origin in allowed_origins]
    row.is_embedded = is_embedded
    row.updated_at = now
    row.save(update_fields=["name", "allowed_origins", "is_embedded", "updated_at"])
    activity.record(
        Event.DEPLOYMENT_EDITED,
        actor=actor,
        now=now,
        deployment_id=row.id,
        details=_described(row),
    )
    return row


def _described(row: Deployment) -> dict[str, Any]:
    return {"name": row.name, "origins": row.allowed_origins, "embedded": row.is_embedded}


def valid_origin(text: str) -> str:
    """Return a web origin in its one form. Raises Invalid for a path, a wildcard or another scheme."""
    origin = text.strip().lower().rstrip("/")
    parts = web_address(origin) if _ORIGIN.fullmatch(origin) else None
    if parts is None or parts.path or "@" in origin:
        raise Invalid("An origin looks like https://app.example: scheme, host, and a port if any.", field="origin")
    return origin


@transaction.atomic
def issue_backend_key(
    *, deployment_id: int, name: str, scopes: Sequence[str] = SCOPES, actor: Actor, now: datetime
) -> IssuedBackendKey:
    """Make a backend key of a deployment. Raises NotFound, Invalid. The secret is in the answer alone."""
    name = plain_text(name, field="name", most=100)
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown:
        raise Invalid(f"There is no scope called {unknown[0]}.", field="scopes")
    if not Deployment.objects.filter(pk=deployment_id).exists():
        raise NotFound("This deployment doesn't exist.")
    secret = new_secret(SecretKind.BACKEND_KEY, BACKEND_KEY_PREFIX, settings.ENVIRONMENT.peppers)
    row = insert(
        lambda: BackendKey(
            deployment_id=deployment_id,
            name=name,
            digest=secret.digest,
            pepper_version=secret.pepper_version,
            key_suffix=secret.suffix,
            scopes=list(scopes),
            created_at=now,
        )
    )
    activity.record(
        Event.BACKEND_KEY_CREATED,
        actor=actor,
        now=now,
        deployment_id=deployment_id,
        details={"backend_key": str(row.id), "name": name, "scopes": list(scopes)},
    )
    return IssuedBackendKey(row, secret)


@transaction.atomic
def revoke_backend_key(*, deployment_id: int, backend_key_id: int, actor: Actor, now: datetime) -> BackendKey:
    """End a backend key at once. Raises NotFound outside the deployment, Conflict when it is revoked already."""
    keys = BackendKey.objects.in_deployment(deployment_id).select_for_update()
    row = keys.filter(pk=backend_key_id).first()
    if row is None:
        raise NotFound("This backend key doesn't exist.")
    if row.revoked_at is not None:
        raise Conflict("This backend key is already revoked.")
    row.revoked_at = now
    row.save(update_fields=["revoked_at"])
    activity.record(
        Event.BACKEND_KEY_REVOKED,
        actor=actor,
        now=now,
        deployment_id=deployment_id,
        details={"backend_key": str(row.id), "name": row.name},
    )
    return row


def authenticate_backend_key(text: str, *, now: datetime) -> BackendKey:
    """Return the usable backend key that this secret is. Raises NotAuthenticated, whatever is wrong with it.

    Writes its last use, at most once a minute.
    """
    if not (is_well_formed(text) and prefix_of(text) == BACKEND_KEY_PREFIX and checksum_matches(text)):
        raise NotAuthenticated("This backend key is not valid.")
    digests = settings.ENVIRONMENT.peppers.digests(SecretKind.BACKEND_KEY, text)
    row = BackendKey.objects.usable().filter(digest__in=digests).first()
    if row is None:
        raise NotAuthenticated("This backend key is not valid.")
    if row.last_used_at is None or now - row.last_used_at >= _LAST_USED_EVERY:
        BackendKey.objects.filter(pk=row.pk).update(last_used_at=now)
    return row
