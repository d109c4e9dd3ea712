"""The one moment in which a secret exists: a row is made with its digest, and the text goes to the caller."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings

from apiauth.core.actor import Actor
from apiauth.core.secrets import NewSecret, SecretKind, new_secret
from apiauth.models import App, Key
from apiauth.models.fields import insert


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key in the one moment in which its secret exists."""

    key: Key
    secret: NewSecret


def issue(app: App, *, actor: Actor, now: datetime, values: dict[str, Any]) -> IssuedKey:
    """Write the row of a new key with fields that were checked, and return it with its secret."""
    secret = new_secret(SecretKind.KEY, app.key_prefix, settings.ENVIRONMENT.peppers)

    def make() -> Key:
        key = Key(
            deployment_id=app.deployment_id,
            app=app,
            key_prefix=secret.prefix,
            key_suffix=secret.suffix,
            digest=secret.digest,
            pepper_version=secret.pepper_version,
            created_by=actor.name[:200],
            created_by_id=actor.id[:200],
            created_at=now,
            updated_at=now,
            **values,
        )
        key.lineage_id = values.get("lineage_id", key.id)
        return key

    return IssuedKey(insert(make), secret)
