"""What the gateway and the worker write beside decisions: counts, last uses, how far they are.

The tables are made by SQL, so Django does not manage them.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Self

from django.db import models

from apiauth.core.scope import Reach
from apiauth.models.key import Key


class CountsQuerySet(models.QuerySet[Any]):
    """Reads of counts; the first call is the app."""

    def in_app(self, app_id: int) -> Self:
        return self.filter(app_id=app_id)

    def of_key(self, key_id: int | None) -> Self:
        """Keep one key's counts; None for all keys."""
        return self if key_id is None else self.filter(key_id=key_id)

    def of_keys(self, key_ids: Collection[int]) -> Self:
        """Keep the counts of some keys."""
        return self.filter(key_id__in=key_ids)

    def within(self, reach: Reach | None) -> Self:
        """Keep the counts of the keys that a session reaches; None for all."""
        if reach is None or reach.is_whole_app:
            return self
        return self.filter(key_id__in=Key.objects.within(reach).values("pk"))


class RollupQuerySet(CountsQuerySet):
    """Reads of hourly counts."""

    def between(self, start: datetime, end: datetime) -> Self:
        """Keep the hours that overlap the time from `start` to `end`."""
        first = start.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        return self.filter(hour__gte=first, hour__lt=end)


class DayQuerySet(CountsQuerySet):
    """Reads of counts by the UTC day."""

    def between(self, start: datetime, end: datetime) -> Self:
        """Keep the days that overlap the time from `start` to `end`."""
        first = start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return self.filter(day__gte=first, day__lt=end)


class MinuteQuerySet(CountsQuerySet):
    """Reads of counts by the minute."""

    def between(self, start: datetime, end: datetime) -> Self:
        """Keep the minutes that overlap the time from `start` to `end`."""
        return self.filter(minute__gte=start.replace(second=0, microsecond=0), minute__lt=end)


class DecisionRollup(models.Model):
    """How many decisions of one outcome a key had in one hour; app and key 0 mean none."""

    pk = models.CompositePrimaryKey("app_id", "hour", "key_id", "rule", "blocked_by")
    hour = models.DateTimeField()
    deployment_id = models.BigIntegerField()
    app_id = models.BigIntegerField()
    key_id = models.BigIntegerField()
    rule = models.TextField()
    blocked_by = models.TextField()
    count = models.BigIntegerField()

    objects = RollupQuerySet.as_manager()

    class Meta:
        managed = False
        db_table = "apiauth_decisionrollup"

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H}: {self.count}"


class AppRollup(models.Model):
    """How many decisions of one outcome all keys of an app had in one hour."""

    pk = models.CompositePrimaryKey("app_id", "hour", "rule", "blocked_by")
    hour = models.DateTimeField()
    app_id = models.BigIntegerField()
    rule = models.TextField()
    blocked_by = models.TextField()
    count = models.BigIntegerField()

    objects = RollupQuerySet.as_manager()

    class Meta:
        managed = False
        db_table = "apiauth_approllup"

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H}: {self.count}"


class KeyDayRollup(models.Model):
    """How many decisions a known key had in one UTC day."""

    pk = models.CompositePrimaryKey("app_id", "day", "key_id")
    day = models.DateTimeField()
    app_id = models.BigIntegerField()
    key_id = models.BigIntegerField()
    allowed = models.BigIntegerField()
    blocked = models.BigIntegerField()

    objects = DayQuerySet.as_manager()

    class Meta:
        managed = False
        db_table = "apiauth_keydayrollup"

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d}: {self.allowed + self.blocked}"


class MinuteRollup(models.Model):
    """How many decisions a key had in one minute of the last two days; key 0 means none."""

    pk = models.CompositePrimaryKey("app_id", "minute", "key_id")
    minute = models.DateTimeField()
    app_id = models.BigIntegerField()
    key_id = models.BigIntegerField()
    allowed = models.BigIntegerField()
    blocked = models.BigIntegerField()

    objects = MinuteQuerySet.as_manager()

    class Meta:
        managed = False
        db_table = "apiauth_minuterollup"

    def __str__(self) -> str:
        return f"{self.minute:%Y-%m-%d %H:%M}: {self.allowed + self.blocked}"


class AppMinuteRollup(models.Model):
    """How many decisions all keys of an app had in one minute of the last two days."""

    pk = models.CompositePrimaryKey("app_id", "minute")
    minute = models.DateTimeField()
    app_id = models.BigIntegerField()
    allowed = models.BigIntegerField()
    blocked = models.BigIntegerField()

    objects = MinuteQuerySet.as_manager()

    class Meta:
        managed = False
        db_table = "apiauth_appminuterollup"

    def __str__(self) -> str:
        return f"{self.minute:%Y-%m-%d %H:%M}: {self.allowed + self.blocked}"


class PathRollup(models.Model):
    """How many decisions an app had for one method and path in one hour."""

    pk = models.CompositePrimaryKey("app_id", "hour", "path", "allowed")
    hour = models.DateTimeField()
    app_id = models.BigIntegerField()
    path = models.TextField()
    allowed = models.BooleanField()
    count = models.BigIntegerField()

    objects = RollupQuerySet.as_manager()

    class Meta:
        managed = False
        db_table = "apiauth_pathrollup"

    def __str__(self) -> str:
        return f"{self.path}: {self.count}"


class KeyPathRollup(models.Model):
    """How many decisions a known key had for one method and path in one UTC day."""

    pk = models.CompositePrimaryKey("app_id", "key_id", "day", "path", "allowed")
    day = models.DateTimeField()
    app_id = models.BigIntegerField()
    key_id = models.BigIntegerField()
    path = models.TextField()
    allowed = models.BooleanField()
    count = models.BigIntegerField()

    objects = DayQuerySet.as_manager()

    class Meta:
        managed = False
        db_table = "apiauth_keypathrollup"

    def __str__(self) -> str:
        return f"{self.path}: {self.count}"


class KeyUsage(models.Model):
    """When a key was last presented, by whom and for what."""

    key = models.OneToOneField(
        Key, models.DO_NOTHING, primary_key=True, db_constraint=False, related_name="usage", serialize=False
    )
    app_id = models.BigIntegerField()
    last_used_at = models.DateTimeField()
    client_ip = models.TextField(null=True)
    method = models.TextField()
    path = models.TextField()
    allowed = models.BooleanField()

    class Meta:
        managed = False
        db_table = "apiauth_keyusage"

    def __str__(self) -> str:
        return f"key {self.key_id}"


class SpoolFile(models.Model):
    """How far one spool file has been drained; written in the transaction of its records."""

    name = models.TextField(primary_key=True)
    host = models.TextField()
    drained_bytes = models.BigIntegerField()
    records = models.BigIntegerField()
    quarantined = models.BigIntegerField()
    updated_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "apiauth_spoolfile"

    def __str__(self) -> str:
        return self.name


class GatewayStatus(models.Model):
    """What one gateway process has acknowledged: every change below transaction id `generation`."""

    incarnation = models.UUIDField(primary_key=True)
    host = models.TextField()
    pid = models.IntegerField()
    limits = models.TextField(default="host")
    stale_bound_seconds = models.FloatField(default=15)
    generation = models.BigIntegerField()
    confirmed_at = models.DateTimeField()
    started_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "apiauth_gatewaystatus"

    def __str__(self) -> str:
        return f"{self.host} {self.pid}"
