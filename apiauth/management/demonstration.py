"""The first run's things to look at: a deployment, an app and three keys of an imaginary product."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction

from apiauth.core.actor import SYSTEM
from apiauth.core.errors import NotAuthenticated
from apiauth.models import App
from apiauth.services import apps, deployments, keys, limits
from config import first_secrets

NAME = "Northwind (demo)"
SLUG = "aa_demo"
_PERMISSIONS = ["routes:read", "routes:write", "positions:write", "invoices:read"]
_DETAILS = {
    "routes:read": {"description": "Look up routes and travel times.", "group": "Routes"},
    "routes:write": {"description": "Save, change and remove routes.", "group": "Routes"},
    "positions:write": {"description": "Report where a vehicle is.", "group": "Fleet"},
    "invoices:read": {"description": "Read invoices and their lines.", "group": "Billing"},
}
_RULES = [
    {"id": "per-key", "unit": "minute", "duration": 1, "max_requests": 60, "mode": "per_key", "priority": 0},
    {"id": "per-app", "unit": "minute", "duration": 1, "max_requests": 600, "mode": "per_app", "priority": 1},
]


@dataclass(frozen=True, slots=True)
class Places:
    """Where the demonstration keeps its backend key, and hands over its keys for the first traffic."""

    backend_key: Path
    traffic: Path


@transaction.atomic
def make_or_refresh(*, product_url: str, places: Places, now: datetime) -> App | None:
    """Return the demo's app, made where there is none; None where someone has deleted it.

    The product may have moved to another port: its addresses follow.
    """
    app = _find()
    if app is None:
        app = _make(product_url, now)
        _make_keys(app, places.traffic, now)
    elif app.deleted_at is None and product_url:
        _follow(app, product_url, now)
    _keep_backend_key(app.deployment_id, places.backend_key, now)
    return app if app.deleted_at is None else None


def _find() -> App | None:
    apps_of_demo = App.objects.select_related("deployment").filter(slug=SLUG, deployment__name=NAME)
    return apps_of_demo.order_by("id").first()


def _make(product_url: str, now: datetime) -> App:
    origins = [product_url] if product_url else []
    deployment = deployments.create_deployment(name=NAME, allowed_origins=origins, actor=SYSTEM, now=now)
    limits.create_scheme(
        deployment_id=deployment.id, slug="demo", name="Demo limits", rules=_RULES, actor=SYSTEM, now=now
    )
    fields = {
        "slug": SLUG,
        "name": "Northwind Maps",
        "key_prefix": "nw_live",
        "description": "The example app of the first run.",
        "permissions": _PERMISSIONS,
        "permission_details": _DETAILS,
        "rate_limit_scheme_slug": "demo",
        **_links(product_url),
    }
    return apps.create_app(deployment_id=deployment.id, fields=fields, actor=SYSTEM, now=now)


def _links(product_url: str) -> dict[str, str]:
    if not product_url:
        return {}
    return {"return_url": f"{product_url}/settings", "test_url": f"{product_url}/v2/routes"}


def _make_keys(app: App, traffic: Path, now: datetime) -> None:
    """Make three keys; their secrets go into a file that the caller deletes after the first traffic."""
    wanted: tuple[dict[str, Any], ...] = (
        {"name": "Old importer", "permissions": ["routes:read"]},
        {"name": "Billing worker", "permissions": ["invoices:read"], "expires_at": now + timedelta(days=3)},
        {"name": "Production API", "permissions": _PERMISSIONS[:3]},
    )
    issued = [keys.create_key(app_id=app.id, actor=SYSTEM, now=now, **values) for values in wanted]
    keys.revoke_key(app_id=app.id, key_id=issued[0].key.id, reason="No longer in use", actor=SYSTEM, now=now)
    shown = [{"name": one.key.name, "secret": one.secret.text, "permissions": one.key.permissions} for one in issued]
    first_secrets.write(traffic, json.dumps({"keys": shown}))


def _follow(app: App, product_url: str, now: datetime) -> None:
    """Put the product's present address in the place of its last one, and leave every other address alone."""
    parts = urlsplit(app.return_url)
    last, present = f"{parts.scheme}://{parts.netloc}", deployments.valid_origin(product_url)
    deployment = app.deployment
    origins = [present, *(origin for origin in deployment.allowed_origins if origin not in (last, present))]
    if sorted(origins) != sorted(deployment.allowed_origins):
        deployments.update_deployment(
            deployment_id=deployment.id,
            name=deployment.name,
            allowed_origins=origins,
            is_embedded=deployment.is_embedded,
            actor=SYSTEM,
            now=now,
        )
    if last != present and app.return_url == f"{last}/settings":
        apps.update_app(deployment_id=deployment.id, slug=SLUG, changes=_links(product_url), actor=SYSTEM, now=now)


def _keep_backend_key(deployment_id: int, path: Path, now: datetime) -> None:
    """Make sure that the file holds a backend key that works; a lost or revoked one gets a successor."""
    try:
        row = deployments.authenticate_backend_key(path.read_text().strip(), now=now)
        if row.deployment_id == deployment_id:
            return
    except (OSError, UnicodeDecodeError, NotAuthenticated):
        pass
    issued = deployments.issue_backend_key(deployment_id=deployment_id, name="Example product", actor=SYSTEM, now=now)
    first_secrets.write(path, issued.secret.text + "\n")
