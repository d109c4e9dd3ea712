"""A key of an app: shown once as a secret, afterwards known by its prefix and last four characters."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from apiauth.core.environment import Environment, environment_of
from apiauth.core.policy import RotationPolicy
from apiauth.core.scope import Owner, Reach
from apiauth.models.app import App
from apiauth.models.deployment import Deployment
from apiauth.models.fields import BLANK, PREFIX, Row


class KeyStatus(StrEnum):
    """What a key is at one moment; where several hold, the first in this order is shown."""

    REVOKED = "revoked"
    DISABLED = "disabled"
    ROTATED_OUT = "rotated_out"
    EXPIRED = "expired"
    IN_GRACE = "in_grace"
    ACTIVE = "active"


class KeyQuerySet(models.QuerySet["Key"]):
    """Every read of keys starts from its app or its deployment: there is no unscoped listing."""

    def in_app(self, app_id: int) -> KeyQuerySet:
        return self.filter(app_id=app_id)

    def in_deployment(self, deployment_id: int) -> KeyQuerySet:
        return self.filter(deployment_id=deployment_id)

    def within(self, reach: Reach) -> KeyQuerySet:
        """Keep the keys that one session reaches: what is outside is as good as absent."""
        conditions = reach.conditions()
        rows = self.in_app(reach.app_id)
        return rows.none() if conditions is None else rows.filter(**conditions)

    def lineage_of(self, key_id: int) -> KeyQuerySet:
        """Keep a key and those before and after it by rotation."""
        return self.filter(lineage_id__in=Key.objects.filter(pk=key_id).values("lineage_id"))

    def newest_first(self) -> KeyQuerySet:
        return self.order_by("-id")

    def newest_of_lineage(self) -> KeyQuerySet:
        """Keep the newest key of each lineage: what the portal lists."""
        return self.filter(replaced_by=None)

    def not_ended_for_good(self, now: datetime) -> KeyQuerySet:
        """Keep keys that are not revoked or rotated out; a disabled one can be enabled again."""
        return self.filter(Q(overlap_ends_at=None) | Q(overlap_ends_at__gt=now), revoked_at=None)

    def not_ended(self, now: datetime) -> KeyQuerySet:
        """Keep keys that nobody has ended: not revoked, disabled or rotated out. They may have expired."""
        return self.filter(Q(overlap_ends_at=None) | Q(overlap_ends_at__gt=now), revoked_at=None, disabled_at=None)

    def active_at(self, now: datetime) -> KeyQuerySet:
        """Keep keys that the gateway would let through now, as far as the key itself decides."""
        return self.not_ended(now).filter(Q(expires_at=None) | Q(expires_at__gt=now))

    def due(self, rotation: RotationPolicy, now: datetime) -> KeyQuerySet:
        """Keep keys that should have been rotated by now and were not."""
        if rotation.every_days is None or (rotation.enforced_from and rotation.enforced_from > now):
            return self.none()
        oldest = now - timedelta(days=rotation.every_days)
        return self.active_at(now).newest_of_lineage().filter(created_at__lte=oldest)


class Key(Row):
    """One API key. Rotation sets `replaced_by` and `overlap_ends_at`, never `expires_at`."""

    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="keys")
    app = models.ForeignKey(App, on_delete=models.PROTECT, related_name="keys")
    lineage_id = models.BigIntegerField(editable=False)
    name = models.CharField(max_length=100)
    note = models.CharField(max_length=500, blank=True, default="")
    key_prefix = models.CharField(max_length=32)
    key_suffix = models.CharField(max_length=4)
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    pepper_version = models.SmallIntegerField(editable=False)
    permissions = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    allowed_cidrs = ArrayField(models.CharField(max_length=50), default=list, blank=True)
    resources = ArrayField(models.CharField(max_length=200), default=list, db_default=[], blank=True)
    limits = models.JSONField(default=list, db_default=[], blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    disabled_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    revoked_reason = models.CharField(max_length=500, null=True)
    revoked_by = models.CharField(max_length=200, blank=True, default="")
    revoked_by_kind = models.CharField(max_length=20, blank=True, default="", db_default="")
    replaced_by = models.OneToOneField("self", on_delete=models.PROTECT, null=True, related_name="replaces")
    overlap_ends_at = models.DateTimeField(null=True)
    user_id = models.CharField(max_length=200, null=True, blank=True)
    organization_id = models.CharField(max_length=200, null=True, blank=True)
    workspace_id = models.CharField(max_length=200, null=True, blank=True)
    created_by = models.CharField(max_length=200, blank=True, default="")
    created_by_id = models.CharField(max_length=200, blank=True, default="", db_default="")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    objects = KeyQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(name__regex=BLANK), name="key_has_a_name"),
            models.CheckConstraint(condition=Q(key_prefix__regex=PREFIX), name="key_prefix_is_plain"),
            models.CheckConstraint(
                condition=Q(expires_at=None) | Q(expires_at__gt=F("created_at")),
                name="key_expires_after_created",
            ),
            models.CheckConstraint(
                condition=Q(revoked_at=None) | Q(revoked_at__gte=F("created_at")),
                name="key_revoked_after_created",
            ),
            models.CheckConstraint(
                condition=Q(replaced_by=None, overlap_ends_at=None)
                | Q(replaced_by__isnull=False, overlap_ends_at__isnull=False),
                name="key_overlap_belongs_to_rotation",
            ),
        ]
        indexes = [
            models.Index(fields=["app", "-id"], name="key_newest_of_app"),
            models.Index(fields=["app", "lineage_id"], name="key_by_lineage"),
            models.Index(fields=["app", "key_suffix"], name="key_by_suffix"),
            models.Index(fields=["expires_at"], name="key_by_expiry", condition=Q(expires_at__isnull=False)),
            models.Index(fields=["app", "user_id", "-id"], name="key_of_user"),
            models.Index(fields=["app", "organization_id", "workspace_id", "-id"], name="key_of_workspace"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.key_prefix}_…{self.key_suffix})"

    def status(self, now: datetime) -> KeyStatus:
        """Return what the key is at this moment."""
        if self.revoked_at is not None:  # whatever the moment: who asks may have begun before, or by another clock
            return KeyStatus.REVOKED
        if self.disabled_at is not None:
            return KeyStatus.DISABLED
        ended: tuple[tuple[KeyStatus, datetime | None], ...] = (
            (KeyStatus.ROTATED_OUT, self.overlap_ends_at),
            (KeyStatus.EXPIRED, self.expires_at),
        )
        for status, since in ended:
            if since is not None and since <= now:
                return status
        return KeyStatus.IN_GRACE if self.replaced_by_id else KeyStatus.ACTIVE

    def is_active(self, now: datetime) -> bool:
        """Tell whether the key itself lets calls through; its app may still be disabled."""
        return self.status(now) in (KeyStatus.ACTIVE, KeyStatus.IN_GRACE)

    @property
    def environment(self) -> Environment | None:
        """Return the environment that the key's prefix names."""
        return environment_of(self.key_prefix)

    @property
    def owner(self) -> Owner:
        """Return whom the key belongs to."""
        return Owner(self.user_id, self.organization_id, self.workspace_id)

    def rotation_due_at(self, rotation: RotationPolicy) -> datetime | None:
        """Return when the key must be rotated; None for never, and where it has been."""
        return None if self.replaced_by_id else rotation.due_at(self.created_at)

    def rotation_deadline(self, rotation: RotationPolicy) -> datetime | None:
        """Return when the key must be rotated as its owner is told; None for never, and where it ends by then."""
        due = self.rotation_due_at(rotation)
        return None if due and self.expires_at and self.expires_at <= due else due

    @property
    def ends_at(self) -> datetime | None:
        """Return when the key stops by itself: its expiry or the end of its overlap, whichever is first."""
        return min((moment for moment in (self.expires_at, self.overlap_ends_at) if moment), default=None)


class FormToken(Row):
    """A one-time token of a form that creates or rotates: the same form sent twice makes one key."""

    session_id = models.BigIntegerField()
    digest = models.BinaryField(max_length=32, editable=False)
    key = models.ForeignKey(Key, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["session_id", "digest"], name="form_token_used_once")]

    def __str__(self) -> str:
        return f"form token of key {self.key_id}"
