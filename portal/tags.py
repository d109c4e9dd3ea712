"""Short marks on a key: a word or two, and the tone in which they are shown."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from apiauth.models import Key, KeyStatus
from apiauth.models.audit import KeyUsage
from portal import times

ENDING = timedelta(days=30)
SOON = timedelta(days=7)
LAST = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Tag:
    """A status in one word or two, and the tone in which it is shown."""

    word: str
    tone: str = ""


def tone_of(left: timedelta) -> str:
    """Return how urgent it is that something happens in so long: the steps are 7 days and 1 day."""
    return "bad" if left <= LAST else "warn" if left <= SOON else ""


def status_tag(key: Key, now: datetime, usage: KeyUsage | None) -> Tag:
    """Return how a key's status is shown; from thirty days before its end on, when that is."""
    status = key.status(now)
    if status is KeyStatus.IN_GRACE and key.ends_at:
        return Tag(f"In grace, {times.left(key.ends_at, now)} left", "warn")
    if status is not KeyStatus.ACTIVE:
        tone = "bad" if status is KeyStatus.REVOKED else ""
        return Tag(status.value.replace("_", " ").capitalize(), tone)
    if key.expires_at and key.expires_at - now <= ENDING:
        return Tag(f"Expires in {times.left(key.expires_at, now)}", tone_of(key.expires_at - now))
    return Tag("Active", "ok") if usage else Tag("Not used yet")
