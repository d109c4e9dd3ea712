"""Rate-limit schemes: named lists of rules that apps share."""

from __future__ import annotations

from django.db import models

from apiauth.models.deployment import Deployment
from apiauth.models.fields import SLUG, Row


class RateLimitSchemeQuerySet(models.QuerySet["RateLimitScheme"]):
    """Reads of schemes; the first call is the tenant."""

    def in_deployment(self, deployment_id: int) -> RateLimitSchemeQuerySet:
        return self.filter(deployment_id=deployment_id, deleted_at=None)


class RateLimitScheme(Row):
    """Rules by which the gateway counts; `rules` holds what core.limits has validated."""

    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="rate_limit_schemes")
    slug = models.CharField(max_length=64)
    name = models.CharField(max_length=100)
    description = models.TextField(null=True, blank=True)
    rules = models.JSONField(default=list)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True)

    objects = RateLimitSchemeQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(slug__regex=SLUG), name="rate_limit_scheme_slug_is_plain"),
            models.UniqueConstraint(
                fields=["deployment", "slug"],
                condition=models.Q(deleted_at=None),
                name="rate_limit_scheme_slug_once_a_deployment",
            ),
        ]

    def __str__(self) -> str:
        return self.name
