"""The decision log. The worker writes it; the table is made by SQL, so Django does not manage it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import models

from apiauth.core import limit_states
from apiauth.core.scope import Reach
from apiauth.models.key import Key


class JsonTextField(models.JSONField):
    """A column of type json: kept as it was written, read as Python, never looked into by a query."""

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return value  # psycopg has parsed it


class LimitStatesField(models.TextField):  # type: ignore[type-arg]  # Django's fields take none when they run
    """How limits stood, kept as a short text: see apiauth.core.limit_states."""

    def from_db_value(self, value: str, expression: Any, connection: Any) -> list[limit_states.LimitState]:
        return limit_states.states_of(value)

    def get_prep_value(self, value: Any) -> str:
        return limit_states.text_of((state["rule"], state["remaining"]) for state in value)


class RecordedName(models.Model):
    """A name that stands in many decisions: of a gateway's host, or of a key as it was called. Never changed."""

    text = models.TextField(unique=True)

    class Meta:
        managed = False
        db_table = "apiauth_recordedname"

    def __str__(self) -> str:
        return self.text


class DecisionQuerySet(models.QuerySet["Decision"]):
    """Reads of decisions; the first call is the app."""

    def in_app(self, app_id: int | None) -> DecisionQuerySet:
        """Keep the decisions of one app; None for those that belong to no app, which only staff see."""
        return self.filter(app_id=app_id or 0)

    def within(self, reach: Reach | None) -> DecisionQuerySet:
        """Keep the decisions about keys that a session reaches; None for all, those about no key too."""
        if reach is None or reach.is_whole_app:
            return self
        return self.filter(key_id__in=Key.objects.within(reach).values("pk"))

    def between(self, start: datetime, end: datetime) -> DecisionQuerySet:
        """Keep decisions from `start` on and before `end`: a bounded range opens few partitions."""
        return self.filter(decided_at__gte=start, decided_at__lt=end)

    def newest_first(self) -> DecisionQuerySet:
        return self.order_by("-decided_at", "-id")


class Decision(models.Model):
    """One check's outcome, in the partition of the day it was made; `decided_at` is the id's own time.

    App 0 means none. The deployment stands here only without an app: an app knows its own.
    """

    pk = models.CompositePrimaryKey("app_id", "decided_at", "id")
    id = models.UUIDField()
    decided_at = models.DateTimeField()
    app_id = models.BigIntegerField()
    deployment_id = models.BigIntegerField(null=True)
    key_id = models.BigIntegerField(null=True)
    key_name = models.ForeignKey(RecordedName, models.DO_NOTHING, null=True, db_constraint=False, related_name="+")
    retry_after = models.IntegerField(null=True)
    snapshot_age_ms = models.IntegerField()
    duration_us = models.IntegerField()
    node = models.ForeignKey(RecordedName, models.DO_NOTHING, db_constraint=False, related_name="+")
    allowed = models.BooleanField()
    rule = models.TextField(null=True)
    blocked_by = models.TextField(null=True)
    client_ip = models.GenericIPAddressField(null=True)
    peer_ip = models.GenericIPAddressField(null=True)
    method = models.TextField()
    path = models.TextField()
    presented_start = models.TextField(null=True)
    user_agent = models.TextField()
    required_permissions = JsonTextField()
    held_permissions = JsonTextField(null=True)
    rate_limits = LimitStatesField()

    objects = DecisionQuerySet.as_manager()

    class Meta:
        managed = False
        db_table = "apiauth_decision"

    def __str__(self) -> str:
        return f"req_{self.id.hex}"
