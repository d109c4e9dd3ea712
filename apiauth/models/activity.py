"""The activity log: every management action, each entry bound to the one before it.

One chain per app, one per deployment for what belongs to no app, one for the installation.
An entry's hash covers salted digests of its personal fields, not the fields: erasing a value
and its salt later leaves the chain whole.
"""

from __future__ import annotations

from datetime import datetime

from django.db import models
from django.db.models import Q

from apiauth.core.events import Event
from apiauth.core.scope import Reach
from apiauth.models.fields import Row
from apiauth.models.key import Key

INSTALLATION_CHAIN = "installation"


def app_chain(app_id: int) -> str:
    """Return the name of an app's chain."""
    return f"app:{app_id}"


def deployment_chain(deployment_id: int) -> str:
    """Return the name of a deployment's own chain."""
    return f"deployment:{deployment_id}"


class ActivityChain(models.Model):
    """The head of one chain; its row is locked while an entry is added."""

    name = models.CharField(max_length=40, primary_key=True)
    length = models.BigIntegerField(default=0)
    head = models.BinaryField(max_length=32, default=bytes(32))

    def __str__(self) -> str:
        return self.name


class ActivityEntryQuerySet(models.QuerySet["ActivityEntry"]):
    """Reads of the activity log."""

    def in_chain(self, name: str) -> ActivityEntryQuerySet:
        return self.filter(chain_id=name)

    def within(self, reach: Reach, session_id: int) -> ActivityEntryQuerySet:
        """Keep what was done with keys that a session reaches, and what it did itself."""
        if reach.is_whole_app:
            return self
        return self.filter(Q(key_id__in=Key.objects.within(reach).values("pk")) | Q(session_id=session_id))

    def between(self, start: datetime, end: datetime) -> ActivityEntryQuerySet:
        """Keep what was done from a moment up to another."""
        return self.filter(at__gte=start, at__lte=end)

    def newest_of(self, event: Event) -> ActivityEntry | None:
        """Return the newest entry of one event, which an index finds within one chain."""
        return self.filter(event=event).newest_first().first()

    def newest_first(self) -> ActivityEntryQuerySet:
        return self.order_by("-sequence")


class ActivityEntry(Row):
    """One action. `personal` and `salts` can be erased; `personal_digests` and the hashes stay."""

    chain = models.ForeignKey(ActivityChain, on_delete=models.PROTECT, related_name="entries")
    sequence = models.BigIntegerField()
    event = models.CharField(max_length=50)
    at = models.DateTimeField()
    deployment_id = models.BigIntegerField(null=True)
    app_id = models.BigIntegerField(null=True)
    key_id = models.BigIntegerField(null=True)
    session_id = models.BigIntegerField(null=True)
    actor_kind = models.CharField(max_length=20)
    actor_id = models.CharField(max_length=200)
    via = models.CharField(max_length=20)
    details = models.JSONField(default=dict)
    personal = models.JSONField(default=dict)
    salts = models.JSONField(default=dict)
    personal_digests = models.JSONField(default=dict)
    previous_hash = models.BinaryField(max_length=32)
    hash = models.BinaryField(max_length=32)

    objects = ActivityEntryQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["chain", "sequence"], name="activity_entry_once_a_place")]
        indexes = [
            models.Index(fields=["key_id", "-id"], name="activity_by_key"),
            models.Index(fields=["chain", "event", "-sequence"], name="activity_newest_of_event"),
        ]
        verbose_name_plural = "activity entries"

    def __str__(self) -> str:
        return f"{self.event} at {self.at:%Y-%m-%d %H:%M:%S}"
