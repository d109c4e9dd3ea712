"""An app: what a ticket opens, and what its keys have in common."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import JSONField, Q, Value

from apiauth.core.environment import Environment, environment_of
from apiauth.core.limits import BUILT_IN, LimitRule, load_rules
from apiauth.core.policy import Policy
from apiauth.core.roles import Role
from apiauth.core.scope import Owner
from apiauth.core.secrets import RESERVED_PREFIXES
from apiauth.models.deployment import Deployment
from apiauth.models.fields import BLANK, PREFIX, SLUG, PolicyField, Row
from apiauth.models.limit import RateLimitScheme


class AppQuerySet(models.QuerySet["App"]):
    """Reads of apps; the first call is the tenant."""

    def in_deployment(self, deployment_id: int) -> AppQuerySet:
        return self.filter(deployment_id=deployment_id, deleted_at=None)

    def newest_first(self) -> AppQuerySet:
        return self.order_by("-id")


class App(Row):
    """An API Auth app. Its slug is taken for ever, also after it is deleted."""

    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="apps")
    slug = models.CharField(max_length=64)
    name = models.CharField(max_length=100)
    key_prefix = models.CharField(max_length=32)
    description = models.TextField(null=True, blank=True)
    is_active = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=500, blank=True, default="")
    permissions = ArrayField(models.CharField(max_length=100), default=list, blank=True)
    permission_details = JSONField(default=dict, db_default=Value({}, output_field=JSONField()), blank=True)
    permission_presets = JSONField(default=dict, db_default=Value({}, output_field=JSONField()), blank=True)
    resources = ArrayField(models.CharField(max_length=200), default=list, blank=True)
    user_id = models.CharField(max_length=200, null=True, blank=True)
    organization_id = models.CharField(max_length=200, null=True, blank=True)
    workspace_id = models.CharField(max_length=200, null=True, blank=True)
    rate_limit_scheme = models.ForeignKey(
        RateLimitScheme, on_delete=models.PROTECT, null=True, blank=True, related_name="apps"
    )
    default_role = models.CharField(max_length=10, default=Role.ADMIN, choices=[(r.value, r.value) for r in Role])
    default_overlap_seconds = models.PositiveIntegerField(default=0)
    policy = PolicyField(default=Policy, db_default=Value({}, output_field=JSONField()))
    return_url = models.CharField(max_length=2000, blank=True, default="")
    test_url = models.CharField(max_length=2000, blank=True, default="")
    docs_url = models.CharField(max_length=2000, blank=True, default="", db_default="")
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True)

    objects = AppQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["deployment", "slug"], name="app_slug_once_a_deployment"),
            models.CheckConstraint(condition=Q(slug__regex=SLUG), name="app_slug_is_plain"),
            models.CheckConstraint(
                condition=Q(key_prefix__regex=PREFIX) & ~Q(key_prefix__in=sorted(RESERVED_PREFIXES)),
                name="app_key_prefix_is_plain",
            ),
            models.CheckConstraint(condition=~Q(name__regex=BLANK), name="app_has_a_name"),
            models.CheckConstraint(
                condition=Q(default_role__in=[role.value for role in Role]), name="app_default_role_is_known"
            ),
            models.CheckConstraint(
                condition=Q(default_overlap_seconds__lte=2_592_000), name="app_default_overlap_within_30_days"
            ),
            models.CheckConstraint(
                condition=Q(user_id__isnull=False) | Q(organization_id=None, workspace_id=None),
                name="app_organization_needs_user",
            ),
        ]
        indexes = [models.Index(fields=["key_prefix"], name="app_by_key_prefix")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_open(self) -> bool:
        """Tell whether its keys may be used and managed."""
        return self.is_active and self.deleted_at is None

    @property
    def environment(self) -> Environment | None:
        """Return the environment of its keys, which their prefix tells."""
        return environment_of(self.key_prefix)

    @property
    def limits(self) -> tuple[LimitRule, ...]:
        """Return the limits that hold for its keys, as the gateway has them: its scheme's, or the built-in one."""
        return load_rules(self.rate_limit_scheme.rules) if self.rate_limit_scheme else (BUILT_IN,)

    @property
    def owner(self) -> Owner:
        """Return whom the app belongs to, and with it the keys that nobody else is named for."""
        return Owner(self.user_id, self.organization_id, self.workspace_id)
