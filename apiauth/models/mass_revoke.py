"""A revoke of many keys at once: who asked for which keys and why; how far it is follows from the keys."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from apiauth.models.app import App
from apiauth.models.deployment import Deployment
from apiauth.models.fields import Row


class MassRevokeQuerySet(models.QuerySet["MassRevoke"]):
    """Reads of mass revokes."""

    def unfinished(self) -> MassRevokeQuerySet:
        return self.filter(finished_at=None).order_by("id")


class MassRevoke(Row):
    """It ends the keys that its filter found when it began, and those that were just being made."""

    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, null=True, related_name="+")
    app = models.ForeignKey(App, on_delete=models.PROTECT, null=True, related_name="+")
    filter = models.JSONField()
    key_ids = ArrayField(models.BigIntegerField())
    """The keys that were found: what a key is used from, or may do, can be another thing when its turn comes."""
    reason = models.CharField(max_length=500)
    found = models.PositiveIntegerField()
    started_by = models.CharField(max_length=200)
    actor = models.JSONField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    objects = MassRevokeQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["id"], name="mass_revoke_unfinished", condition=Q(finished_at=None))]

    def __str__(self) -> str:
        return f"revoke of {self.found} keys by {self.started_by}"
