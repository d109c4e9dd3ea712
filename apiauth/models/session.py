"""A session: what a ticket was exchanged for, and never wider than that ticket."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from apiauth.core.roles import Role
from apiauth.models.ticket import Grant, Ticket


class SessionQuerySet(models.QuerySet["Session"]):
    """Reads of sessions."""

    def in_app(self, app_id: int) -> SessionQuerySet:
        return self.filter(app_id=app_id)


class Session(Grant):
    """`expires_at` is the absolute end; a session also ends after half an hour without a request."""

    ticket = models.OneToOneField(Ticket, on_delete=models.SET_NULL, null=True, related_name="session")
    client_ip = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=400, blank=True, default="")
    last_seen_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ended_reason = models.CharField(max_length=100, blank=True, default="")

    objects = SessionQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(role__in=[role.value for role in Role]), name="session_role_is_known"),
            models.CheckConstraint(condition=Q(expires_at__gt=F("created_at")), name="session_expires_after_created"),
        ]
        indexes = [models.Index(fields=["app", "-id"], name="session_newest_of_app")]

    def __str__(self) -> str:
        return f"session {self.pk} of {self.display_name}"
