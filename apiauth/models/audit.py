"""What the gateway and the worker write. The tables are made by SQL, so Django does not manage them."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


class Decision(models.Model):
    """One check's outcome, in the partition of the day it was made; `decided_at` is the id's own time."""

    pk = models.CompositePrimaryKey("decided_at", "id")
    id = models.UUIDField()
    decided_at = models.DateTimeField()
    deployment_id = models.BigIntegerField(null=True)
    app_id = models.BigIntegerField(null=True)
    key_id = models.BigIntegerField(null=True)
    key_name = models.TextField(null=True)
    presented_start = models.TextField(null=True)
    allowed = models.BooleanField()
    rule = models.TextField(null=True)
    blocked_by = models.TextField(null=True)
    method = models.TextField()
    path = models.TextField()
    client_ip = models.GenericIPAddressField(null=True)
    peer_ip = models.GenericIPAddressField(null=True)
    user_agent = models.TextField()
    required_permissions = ArrayField(models.TextField())
    held_permissions = ArrayField(models.TextField(), null=True)
    rate_limits = models.JSONField()
    retry_after = models.IntegerField(null=True)
    snapshot_age_ms = models.IntegerField()
    duration_us = models.IntegerField()
    node = models.TextField()

    class Meta:
        managed = False
        db_table = "apiauth_decision"

    def __str__(self) -> str:
        return f"req_{self.id.hex}"


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

    class Meta:
        managed = False
        db_table = "apiauth_decisionrollup"

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H}: {self.count}"


class PathRollup(models.Model):
    """How many decisions a key had for one method and path in one hour."""

    pk = models.CompositePrimaryKey("app_id", "hour", "key_id", "path", "allowed")
    hour = models.DateTimeField()
    app_id = models.BigIntegerField()
    key_id = models.BigIntegerField()
    path = models.TextField()
    allowed = models.BooleanField()
    count = models.BigIntegerField()

    class Meta:
        managed = False
        db_table = "apiauth_pathrollup"

    def __str__(self) -> str:
        return f"{self.path}: {self.count}"


class KeyUsage(models.Model):
    """When a key was last presented, by whom and for what."""

    key_id = models.BigIntegerField(primary_key=True)
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
    generation = models.BigIntegerField()
    confirmed_at = models.DateTimeField()
    started_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = "apiauth_gatewaystatus"

    def __str__(self) -> str:
        return f"{self.host} {self.pid}"
