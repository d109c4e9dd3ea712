"""Facts about the installation itself: which pepper its digests were made under."""

from __future__ import annotations

from django.db import models


class PepperCheck(models.Model):
    """The fingerprint of a pepper in use, so that a start with another one is refused."""

    version = models.SmallIntegerField(primary_key=True)
    fingerprint = models.BinaryField(max_length=32)
    first_seen_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"pepper {self.version}"
