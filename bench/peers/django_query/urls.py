"""A check as a Django view would do it without Keystead's gateway: it asks the database each time.

It asks for no more columns than it needs, and does less than the gateway: it counts no limit and records nothing.
"""

import json
from typing import Any

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.utils import timezone

from apiauth.core.secrets import SecretKind, checksum_matches, is_well_formed
from apiauth.models import Key
from bench.peers.ready import ready


def check(request: HttpRequest) -> JsonResponse:
    """Say whether a key may do what it asks for."""
    asked = json.loads(request.body)
    key = key_of(asked["principal"]["value"])
    if key is None:
        return JsonResponse({"allowed": False}, status=401)
    if not set(asked["required_permissions"]) <= set(key["permissions"]):
        return JsonResponse({"allowed": False}, status=403)
    return JsonResponse({"allowed": True, "identity": identity(key), "permissions": key["permissions"]})


def key_of(secret: str) -> dict[str, Any] | None:
    """Return what an answer needs of the key that works at the moment, nothing for all others."""
    if not (is_well_formed(secret) and checksum_matches(secret)):
        return None
    digests = settings.ENVIRONMENT.peppers.digests(SecretKind.KEY, secret)
    found = Key.objects.filter(digest__in=digests, revoked_at=None, disabled_at=None, app__deleted_at=None)
    for key in found.values("id", "deployment_id", "app__slug", "name", "permissions", "expires_at"):
        return None if key["expires_at"] and key["expires_at"] <= timezone.now() else key
    return None


def identity(key: dict[str, Any]) -> dict[str, Any]:
    """Return who it is."""
    return {
        "key_id": str(key["id"]),
        "deployment_id": str(key["deployment_id"]),
        "app_slug": key["app__slug"],
        "key_name": key["name"],
    }


urlpatterns = [path("ready", ready), path("v1/authz/check", check)]
