"""What an app's policy asks of its keys, in sentences, and how near a key is to falling short of it."""

from datetime import datetime, timedelta

from apiauth.core.policy import Policy, RotationPolicy, WhenOverdue
from apiauth.models import Key
from portal import times
from portal.tags import Tag, tone_of

WARNED_FROM = timedelta(days=30)


def lines(policy: Policy) -> list[str]:
    """Return what the policy asks of keys; nothing for an app that asks nothing."""
    found = [expiry_line(policy), rotation_line(policy.rotation), undo_line(policy)]
    return [line for line in found if line]


def expiry_line(policy: Policy) -> str:
    """Return within how many days keys have to end."""
    days = policy.expiry.longest_days
    return f"Keys of this app end within {_days(days)}." if days else ""


def rotation_line(rotation: RotationPolicy) -> str:
    """Return how often keys have to be rotated, and what becomes of one that was not."""
    if rotation.every_days is None:
        return ""
    line = f"Keys must be rotated every {_days(rotation.every_days)}."
    if rotation.when_overdue is not WhenOverdue.BLOCK:
        return line
    grace = f"after another {_days(rotation.grace_days)}" if rotation.grace_days else "from that day on"
    return f"{line} A key that was not is blocked {grace}."


def undo_line(policy: Policy) -> str:
    """Return for how long a revoke can be taken back."""
    minutes = policy.revocation.undo_minutes
    return f"A revoke can be undone for {minutes} minute{'' if minutes == 1 else 's'}." if minutes else ""


def rotation_tag(key: Key, rotation: RotationPolicy, now: datetime) -> Tag | None:
    """Return the mark of a live key that must be rotated within thirty days, or should have been."""
    due = key.rotation_deadline(rotation)
    if due is None or not key.is_active(now) or due - now > WARNED_FROM:
        return None
    if due > now:
        return Tag(f"Rotate within {times.left(due, now)}", tone_of(due - now))
    blocks = rotation.blocks_at(key.created_at)
    return Tag("Blocked: rotation overdue" if blocks and blocks <= now else "Rotation overdue", "bad")


def rotation_warning(key: Key, rotation: RotationPolicy, now: datetime) -> str:
    """Return what a key that is due, or soon will be, comes to in a sentence; empty for any other."""
    due, blocks = key.rotation_deadline(rotation), rotation.blocks_at(key.created_at)
    if due is None or rotation_tag(key, rotation, now) is None:
        return ""
    if blocks and blocks <= now:
        return f"This key had to be rotated by {times.in_full(due)}, and its calls are blocked. Rotate it now."
    what = f"This key {'had to be' if due <= now else 'must be'} rotated by {times.in_full(due)}."
    return f"{what} Its calls are blocked from {times.in_full(blocks)}." if blocks else what


def _days(days: int) -> str:
    return f"{days} day{'' if days == 1 else 's'}"
