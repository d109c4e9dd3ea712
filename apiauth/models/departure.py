"""Who of a product's users was removed from an app, and what became of their keys."""

from django.db import models

from apiauth.models.app import App
from apiauth.models.fields import Row


class Departure(Row):
    """The last removal of one subject from one app; kept for those who have to prove that it was done."""

    app = models.ForeignKey(App, on_delete=models.PROTECT, related_name="departures")
    subject_id = models.CharField(max_length=200)
    at = models.DateTimeField()
    sessions_ended = models.PositiveIntegerField()
    keys_revoked = models.PositiveIntegerField()
    keys_left = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "subject_id"], name="departure_once_a_subject")]

    def __str__(self) -> str:
        return f"departure of {self.subject_id}"
