"""What needs attention: keys to rotate, keys that end soon, old secrets that still work."""

from dataclasses import dataclass
from datetime import datetime

from apiauth.core.policy import RotationPolicy
from apiauth.models import Key
from apiauth.services.key_summary import KeySummary
from portal import policy_lines, tags, times

MOST_ITEMS = 5


@dataclass(frozen=True, slots=True)
class Item:
    """Something that needs attention, and the key to look at."""

    title: str
    text: str
    tone: str
    icon: str
    key_id: str


def items(summary: KeySummary, rotation: RotationPolicy, now: datetime) -> list[Item]:
    """Return what needs attention: keys to rotate, keys that expire within a week, old secrets that still work."""
    found = [_due(key, rotation, now) for key in summary.due]
    found += [_ending(key, now) for key in summary.expiring if _end(key) - now <= tags.SOON]
    found += [_grace(key, now) for key in summary.replaced]
    return found[:MOST_ITEMS]


def _end(key: Key) -> datetime:
    assert key.expires_at is not None
    return key.expires_at


def _due(key: Key, rotation: RotationPolicy, now: datetime) -> Item:
    tag = policy_lines.rotation_tag(key, rotation, now)
    return Item(
        title=f"{key.name}: {tag.word if tag else 'Rotate it'}",
        text=policy_lines.rotation_warning(key, rotation, now),
        tone=tag.tone if tag else "",
        icon="activity",
        key_id=str(key.pk),
    )


def _ending(key: Key, now: datetime) -> Item:
    end = _end(key)
    return Item(
        title=f"{key.name} expires in {times.left(end, now)}",
        text=f"Requests with it are blocked from {times.in_full(end)}. Make its successor before then.",
        tone="warn",
        icon="activity",
        key_id=str(key.pk),
    )


def _grace(key: Key, now: datetime) -> Item:
    end = key.ends_at or now
    return Item(
        title=f"The old secret of {key.name} works for another {times.left(end, now)}",
        text=f"Deploy the new one before {times.in_full(end)}, or end the grace once nothing uses …{key.key_suffix}.",
        tone="",
        icon="keys",
        key_id=str(key.pk),
    )
