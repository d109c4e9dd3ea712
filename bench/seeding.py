"""Deployments, apps and keys for a bench, made by the services that make them elsewhere; keys all at once."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apiauth.models import App

KEYS = 2_000
A_LIMIT_NOBODY_REACHES = {"unit": "minute", "duration": 1, "max_requests": 2_000_000_000, "mode": "per_key"}
NO_LIMIT = {**A_LIMIT_NOBODY_REACHES, "max_requests": 2_000_000_001}
"""Stands for none at all, in the gateway of `bench.unlimited_wsgi` alone."""


def new_deployment() -> int:
    """Set Django up, bring the tables up to date, and return the id of a new deployment."""
    import django

    django.setup()
    from django.core.management import call_command

    from apiauth.core import clock
    from apiauth.core.actor import SYSTEM
    from apiauth.services import deployments

    call_command("migrate", verbosity=0)
    return deployments.create_deployment(name="Bench", allowed_origins=(), actor=SYSTEM, now=clock.now()).id


def new_app(deployment_id: int, slug: str, rules: Sequence[Mapping[str, Any]] = ()) -> "App":
    """Return a new app, with a scheme of these limits where there are any."""
    from apiauth.core import clock
    from apiauth.core.actor import SYSTEM
    from apiauth.services import apps, limits

    about: dict[str, Any] = {"deployment_id": deployment_id, "actor": SYSTEM, "now": clock.now()}
    fields = {"slug": slug, "name": "Bench", "key_prefix": "bench"}
    if rules:
        limits.create_scheme(slug=slug, name=slug, rules=rules, **about)
        fields["rate_limit_scheme_slug"] = slug
    return apps.create_app(fields=fields, **about)


def new_keys(app: "App", count: int = KEYS) -> list[str]:
    """Give an app so many keys; return their secrets."""
    from apiauth.core import clock, ids
    from apiauth.core.secrets import SecretKind, new_secret
    from apiauth.models import Key
    from config import env

    now, peppers, rows, texts = clock.now(), env.load().peppers, [], []
    for row_id in range(first_id := ids.new_id(), first_id + count):  # in a row: thousands made at random would clash
        secret = new_secret(SecretKind.KEY, app.key_prefix, peppers)
        texts.append(secret.text)
        rows.append(
            Key(
                id=row_id, deployment_id=app.deployment_id, app_id=app.id, lineage_id=row_id, name=f"key {row_id}",
                key_prefix=app.key_prefix, key_suffix=secret.suffix, digest=secret.digest,
                pepper_version=secret.pepper_version, permissions=["read:x", "write:x"],
                metadata={"team": "blue"}, created_at=now, updated_at=now,
            )
        )  # fmt: skip
    Key.objects.bulk_create(rows, batch_size=1000)
    return texts
