"""The end that a key had before a policy gave it an earlier one, kept until the policy holds for it."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import F

from apiauth.models.key import Key


class PlannedEndQuerySet(models.QuerySet["PlannedEnd"]):
    """Reads of planned ends; the first call is the app."""

    def in_app(self, app_id: int) -> PlannedEndQuerySet:
        return self.filter(key__app_id=app_id)

    def can_be_withdrawn(self, now: datetime) -> PlannedEndQuerySet:
        """Keep those whose day has not come, of keys that nobody has given another end meanwhile."""
        return self.filter(applies_at__gt=now, key__expires_at=F("planned"))


class PlannedEnd(models.Model):
    """A key's end from a tighter policy. Until `applies_at` the policy may be withdrawn; then `previous` comes back."""

    key = models.OneToOneField(Key, on_delete=models.CASCADE, primary_key=True, related_name="planned_end")
    previous = models.DateTimeField(null=True)
    planned = models.DateTimeField()
    applies_at = models.DateTimeField()

    objects = PlannedEndQuerySet.as_manager()

    def __str__(self) -> str:
        return f"the end of key {self.key_id} from {self.applies_at}"
