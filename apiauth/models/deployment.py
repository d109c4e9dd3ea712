"""A deployment: one tenant of an installation, and the backend keys that speak for it."""

from __future__ import annotations

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from apiauth.core.secrets import BACKEND_KEY_PREFIX
from apiauth.models.fields import BLANK, Row


class Deployment(Row):
    """A product's environment. Owns its backend keys, apps, allowed origins and branding."""

    name = models.CharField(max_length=100)
    allowed_origins = ArrayField(models.CharField(max_length=300), default=list, blank=True)
    is_embedded = models.BooleanField("embedded", default=False)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=~Q(name__regex=BLANK), name="deployment_has_a_name")]

    def __str__(self) -> str:
        return self.name


class BackendKeyQuerySet(models.QuerySet["BackendKey"]):
    """Reads of backend keys."""

    def in_deployment(self, deployment_id: int) -> BackendKeyQuerySet:
        return self.filter(deployment_id=deployment_id)

    def usable(self) -> BackendKeyQuerySet:
        return self.filter(revoked_at=None)


class BackendKey(Row):
    """The secret that a product's backend sends as a bearer token; only its digest is here."""

    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="backend_keys")
    name = models.CharField(max_length=100)
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    pepper_version = models.SmallIntegerField(editable=False)
    key_suffix = models.CharField(max_length=4, editable=False)
    scopes = ArrayField(models.CharField(max_length=50), default=list)
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    objects = BackendKeyQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(name__regex=BLANK), name="backend_key_has_a_name"),
            models.CheckConstraint(
                condition=Q(revoked_at=None) | Q(revoked_at__gte=models.F("created_at")),
                name="backend_key_revoked_after_created",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({BACKEND_KEY_PREFIX}_…{self.key_suffix})"

    def is_usable(self, now: datetime) -> bool:
        """Tell whether the key opens anything at this moment."""
        return self.revoked_at is None or self.revoked_at > now
