"""What the overview shows: totals, the chart, why calls were blocked, and what needs attention."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apiauth.audit import series
from apiauth.core import limit_words
from apiauth.core.policy import RotationPolicy
from apiauth.core.scope import Reach
from apiauth.models import Key
from portal import lineages, policy_lines, tags, times, traffic
from portal.explain import label
from portal.inputs import Range
from portal.session import PortalRequest

MOST_ITEMS = 5


@dataclass(frozen=True, slots=True)
class Cause:
    """A rule that blocked, how often, and its share of all that was blocked."""

    rule: str
    label: str
    count: int
    share: str
    width: str


@dataclass(frozen=True, slots=True)
class Item:
    """Something that needs attention, and the page on which to act."""

    title: str
    text: str
    tone: str
    icon: str
    link: str
    key_id: str


def contents(request: PortalRequest, span: Range) -> dict[str, Any]:
    """Return everything on the overview."""
    chart = traffic.chart(request.reach, span, request.now)
    keys = list(_working_keys(request.reach, request.now))
    newest = [key for key in keys if key.replaced_by_id is None]
    return {
        "chart": chart,
        "range": span,
        "causes": causes(request.reach, span, request.now),
        "limits": [limit_words.line(rule) for rule in request.app.limits],
        "working": len(newest),
        "has_keys": bool(keys) or Key.objects.within(request.reach).exists(),
        "next_end": min((key for key in newest if key.expires_at), key=_end, default=None),
        "items": items(keys, request.app.policy.rotation, request.now),
        "rights": request.rights,
        "now": request.now,
        "app": request.app,
    }


def causes(reach: Reach, span: Range, now: datetime) -> list[Cause]:
    """Return what blocked calls in a range, the most frequent first."""
    counts: dict[str, int] = {}
    for reason in series.blocked_reasons(app_id=reach.app_id, within=reach, start=span.start(now), end=now):
        counts[reason.rule] = counts.get(reason.rule, 0) + reason.count
    every, most = sum(counts.values()), max(counts.values(), default=0)
    return [
        Cause(rule, label(rule), count, f"{100 * count / every:.0f}%", f"{100 * count / most:.1f}")
        for rule, count in sorted(counts.items(), key=lambda pair: -pair[1])
    ]


def items(keys: list[Key], rotation: RotationPolicy, now: datetime) -> list[Item]:
    """Return what needs attention: keys to rotate, keys that expire within a week, old secrets that still work."""
    due = [key for key in reversed(keys) if _is_due_soon(key, rotation, now)]
    ending = sorted((key for key in keys if _ends_soon(key, now)), key=_end)
    grace = [key for key in keys if key.replaced_by_id]
    found = [_due(key, rotation, now) for key in due]
    found += [_ending(key, now) for key in ending] + [_grace(key, now) for key in grace]
    return found[:MOST_ITEMS]


def _working_keys(reach: Reach, now: datetime) -> list[Key]:
    fields = ("pk", "name", "key_suffix", "created_at", "expires_at", "replaced_by_id", "overlap_ends_at")
    return list(Key.objects.within(reach).active_at(now).newest_first().only(*fields)[: lineages.MOST_COUNTED])


def _end(key: Key) -> datetime:
    assert key.expires_at is not None
    return key.expires_at


def _ends_soon(key: Key, now: datetime) -> bool:
    return key.replaced_by_id is None and key.expires_at is not None and key.expires_at - now <= tags.SOON


def _is_due_soon(key: Key, rotation: RotationPolicy, now: datetime) -> bool:
    due = policy_lines.due_at(key, rotation)
    return due is not None and due - now <= tags.SOON


def _due(key: Key, rotation: RotationPolicy, now: datetime) -> Item:
    tag = policy_lines.rotation_tag(key, rotation, now)
    return Item(
        title=f"{key.name}: {tag.word if tag else 'Rotate it'}",
        text=policy_lines.rotation_warning(key, rotation, now),
        tone=tag.tone if tag else "",
        icon="activity",
        link="key",
        key_id=str(key.pk),
    )


def _ending(key: Key, now: datetime) -> Item:
    end = _end(key)
    return Item(
        title=f"{key.name} expires in {times.left(end, now)}",
        text=f"Requests with it are blocked from {times.in_full(end)}. Make its successor before then.",
        tone="warn",
        icon="activity",
        link="key",
        key_id=str(key.pk),
    )


def _grace(key: Key, now: datetime) -> Item:
    end = key.ends_at or now
    return Item(
        title=f"The old secret of {key.name} works for another {times.left(end, now)}",
        text=f"Deploy the new one before {times.in_full(end)}, or end the grace once nothing uses …{key.key_suffix}.",
        tone="",
        icon="keys",
        link="key",
        key_id=str(key.pk),
    )
