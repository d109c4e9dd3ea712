"""What was told about a key before its time, and to whom: each step once."""

from __future__ import annotations

from datetime import datetime

from django.db import models

from apiauth.models.fields import Row
from apiauth.models.key import Key


class KeyWarningQuerySet(models.QuerySet["KeyWarning"]):
    """Reads of warnings."""

    def unsent(self) -> KeyWarningQuerySet:
        """Keep those whose mail waits: neither sent nor given up, whenever it is tried next."""
        return self.filter(mail_due_at__isnull=False)

    def to_mail(self, now: datetime) -> KeyWarningQuerySet:
        """Keep those whose mail is to be sent, or tried again, by now; the oldest first."""
        return self.filter(mail_due_at__lte=now).order_by("mail_due_at", "id")


class KeyWarning(Row):
    """One step about one moment: `days` before it, or 0 once it has come.

    The row is also the mail's place in the queue: it is written with the event in one transaction, and
    `mail_due_at` is null where there is nothing to send, or no more.
    """

    key = models.ForeignKey(Key, on_delete=models.PROTECT, related_name="warnings")
    event = models.CharField(max_length=50)
    days = models.PositiveSmallIntegerField()
    moment = models.DateTimeField()
    told_at = models.DateTimeField()
    recipient = models.CharField(max_length=254, blank=True, default="")
    mail_due_at = models.DateTimeField(null=True)
    mail_attempts = models.PositiveIntegerField(default=0)
    mail_sent_at = models.DateTimeField(null=True)

    objects = KeyWarningQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["key", "event", "days", "moment"], name="key_warning_once_a_step"),
        ]
        indexes = [
            models.Index(
                fields=["mail_due_at"], name="key_warning_to_mail", condition=models.Q(mail_due_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event} of key {self.key_id}, {self.days} days ahead"
