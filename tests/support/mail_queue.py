"""A mail that waits to be sent."""

from datetime import datetime

from apiauth.core.events import Event
from apiauth.models import Key, KeyWarning
from apiauth.models.fields import insert


def leave_mail(key: Key, told_at: datetime) -> None:
    """Put a mail about a key into the queue, which no server has taken since."""
    step = {"event": Event.KEY_EXPIRING, "days": 7, "moment": told_at, "told_at": told_at}
    insert(lambda: KeyWarning(key=key, recipient="dana@example.com", mail_due_at=told_at, **step))
