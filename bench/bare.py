"""Three routes of the backend API as bare Django views: what they cost without Keystead's layers.

They look up the same backend key, read and write the same rows in the same transactions, and
answer the same JSON. There is no middleware, no schema, no validation beyond what must be read,
no request id, no error object.
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from apiauth.core.actor import Actor
from apiauth.core.events import Event
from apiauth.core.secrets import SecretKind, new_secret
from apiauth.models import App, BackendKey, Key, KeyUsage, Ticket
from apiauth.models.fields import insert
from apiauth.services import activity


def ready(request: HttpRequest) -> HttpResponse:
    return JsonResponse({})


def caller_of(request: HttpRequest) -> BackendKey:
    token = request.headers["Authorization"].removeprefix("Bearer ")
    digests = settings.ENVIRONMENT.peppers.digests(SecretKind.BACKEND_KEY, token)
    return BackendKey.objects.get(digest__in=digests, revoked_at=None)


def keys(request: HttpRequest, slug: str) -> HttpResponse:
    caller = caller_of(request)
    if request.method == "POST":
        return create(request, caller, slug)
    app = App.objects.get(deployment_id=caller.deployment_id, slug=slug, deleted_at=None)
    rows = list(Key.objects.filter(app=app, revoked_at=None, disabled_at=None).order_by("-id"))
    usages = KeyUsage.objects.in_bulk([row.id for row in rows])
    return JsonResponse({"keys": [shown(row, app, usages.get(row.id)) for row in rows]})


def create(request: HttpRequest, caller: BackendKey, slug: str) -> HttpResponse:
    body, now = json.loads(request.body), datetime.now(UTC)
    with transaction.atomic():
        app = App.objects.select_for_update(no_key=True).get(
            deployment_id=caller.deployment_id, slug=slug, deleted_at=None
        )
        secret = new_secret(SecretKind.KEY, app.key_prefix, settings.ENVIRONMENT.peppers)

        def make() -> Key:
            key = Key(
                deployment_id=app.deployment_id, app=app, name=body["name"], permissions=body["permissions"],
                key_prefix=secret.prefix, key_suffix=secret.suffix, digest=secret.digest,
                pepper_version=secret.pepper_version, created_at=now, updated_at=now,
            )  # fmt: skip
            key.lineage_id = key.id
            return key

        key = insert(make)
        note(Event.KEY_CREATED, caller, now, app, key_id=key.id, details={"name": key.name})
    return JsonResponse({**shown(key, app, None), "secret": secret.text})


def tickets(request: HttpRequest) -> HttpResponse:
    caller, body, now = caller_of(request), json.loads(request.body), datetime.now(UTC)
    with transaction.atomic():
        app = App.objects.get(deployment_id=caller.deployment_id, slug=body["api_auth_app_slug"], deleted_at=None)
        secret = new_secret(SecretKind.TICKET, "kst", settings.ENVIRONMENT.peppers)
        ticket = insert(
            lambda: Ticket(
                deployment_id=app.deployment_id, app=app, role="admin", digest=secret.digest,
                pepper_version=secret.pepper_version, created_at=now, expires_at=now + timedelta(seconds=60),
            )
        )  # fmt: skip
        note(Event.TICKET_ISSUED, caller, now, app, details={"ticket": str(ticket.id)})
    return JsonResponse({"ticket": secret.text, "expires_at": int(ticket.expires_at.timestamp())})


def note(event: Event, caller: BackendKey, now: datetime, app: App, **about: Any) -> None:
    actor = Actor(kind="backend_key", id=str(caller.id), name=caller.name, via="api", client_ip="127.0.0.1")
    activity.record(event, actor=actor, now=now, deployment_id=app.deployment_id, app_id=app.id, **about)


def shown(key: Key, app: App, usage: KeyUsage | None) -> dict[str, Any]:
    return {
        "id": str(key.id),
        "deployment_id": str(key.deployment_id),
        "app_slug": app.slug,
        "name": key.name,
        "key_prefix": key.key_prefix,
        "key_suffix": key.key_suffix,
        "permissions": key.permissions,
        "metadata": key.metadata,
        "rate_limits": [],
        "org_role_permissions": [],
        "workspace_role_permissions": [],
        "allowed_cidrs": key.allowed_cidrs,
        "status": "active",
        "lineage_id": str(key.lineage_id),
        "replaced_by": None,
        "overlap_ends_at": None,
        "expires_at": key.expires_at and key.expires_at.isoformat(),
        "last_used_at": usage and usage.last_used_at.isoformat(),
        "is_active": True,
        "created_at": key.created_at.isoformat(),
        "updated_at": key.updated_at.isoformat(),
        "revoked_at": None,
        "revoked_reason": None,
    }


urlpatterns = [
    path("ready", ready),
    path("api-auth/apps/<slug:slug>/keys", keys),
    path("session/tickets", tickets),
]
