"""A ticket: a short-lived, single-use code for one app and one subject."""

from __future__ import annotations

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from apiauth.core.ceiling import Ceiling
from apiauth.core.roles import Role
from apiauth.core.scope import Owner, Reach
from apiauth.models.app import App
from apiauth.models.deployment import Deployment
from apiauth.models.fields import Row


class Grant(Row):
    """What a ticket hands over and a session holds: who, in which role, within which ceilings."""

    deployment = models.ForeignKey(Deployment, on_delete=models.PROTECT, related_name="+")
    app = models.ForeignKey(App, on_delete=models.PROTECT, related_name="%(class)ss")
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    pepper_version = models.SmallIntegerField(editable=False)
    subject_id = models.CharField(max_length=200, blank=True, default="")
    subject_name = models.CharField(max_length=200, blank=True, default="")
    subject_email = models.CharField(max_length=254, blank=True, default="")
    organization_id = models.CharField(max_length=200, null=True, blank=True)
    workspace_id = models.CharField(max_length=200, null=True, blank=True)
    role = models.CharField(max_length=10, choices=[(role.value, role.value) for role in Role])
    permissions = ArrayField(models.CharField(max_length=100), null=True, blank=True)
    longest_expiry_days = models.PositiveIntegerField(null=True, blank=True)
    key_cap = models.PositiveIntegerField(null=True, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    return_url = models.CharField(max_length=2000, blank=True, default="")
    theme = models.CharField(max_length=10, blank=True, default="")
    locale = models.CharField(max_length=35, blank=True, default="")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        abstract = True

    @property
    def ceiling(self) -> Ceiling:
        """Return the bounds that the ticket set."""
        return Ceiling(
            permissions=None if self.permissions is None else frozenset(self.permissions),
            longest_expiry_days=self.longest_expiry_days,
            key_cap=self.key_cap,
            metadata=self.metadata,
        )

    @property
    def owner(self) -> Owner:
        """Return whom it is for: whoever makes a key with it owns that key."""
        return Owner(self.subject_id or None, self.organization_id, self.workspace_id)

    @property
    def reach(self) -> Reach:
        """Return the keys within its scope, by the policy of its app."""
        return Reach(self.app_id, self.app.policy.scope.model, self.owner)

    @property
    def display_name(self) -> str:
        """Return how to call the subject: by name, else email, else the product's id."""
        return self.subject_name or self.subject_email or self.subject_id or "Unnamed"


class TicketQuerySet(models.QuerySet["Ticket"]):
    """Reads of tickets."""

    def in_deployment(self, deployment_id: int) -> TicketQuerySet:
        return self.filter(deployment_id=deployment_id)


class Ticket(Grant):
    """A row is kept for 24 hours after it expires, so that its page can say what became of it."""

    issued_by = models.CharField(max_length=100, blank=True, default="")
    code_challenge = models.CharField(max_length=128, blank=True, default="")
    used_at = models.DateTimeField(null=True)

    objects = TicketQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(role__in=[role.value for role in Role]), name="ticket_role_is_known"),
            models.CheckConstraint(condition=Q(expires_at__gt=F("created_at")), name="ticket_expires_after_created"),
            models.CheckConstraint(
                condition=Q(used_at=None) | Q(used_at__lt=F("expires_at")), name="ticket_used_within_its_life"
            ),
        ]
        indexes = [models.Index(fields=["expires_at"], name="ticket_by_expiry")]

    def __str__(self) -> str:
        return f"ticket {self.pk} for {self.display_name}"

    def lifetime_seconds(self) -> int:
        """Return for how many seconds the ticket works from its issue."""
        return int((self.expires_at - self.created_at).total_seconds())

    def is_expired(self, now: datetime) -> bool:
        """Tell whether the ticket's time is over."""
        return self.expires_at <= now
