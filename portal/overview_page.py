"""What the overview shows: totals, the chart, why calls were blocked, and what needs attention."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from apiauth.core import limit_words
from apiauth.models import Key
from apiauth.services.key_summary import KeySummary, summary
from portal import attention, lineages, tags, traffic
from portal.explain import label
from portal.inputs import Range
from portal.session import PortalRequest


@dataclass(frozen=True, slots=True)
class Cause:
    """A rule that blocked, how often, and its share of all that was blocked."""

    rule: str
    label: str
    count: int
    share: str
    width: str


def contents(request: PortalRequest, span: Range) -> dict[str, Any]:
    """Return everything on the overview."""
    counts = traffic.counts(request.reach, span, request.now)
    keys = _summary(request)
    return {
        "chart": traffic.drawn(traffic.points(counts), span, request.now),
        "range": span,
        "causes": causes(counts),
        "limits": [limit_words.line(rule) for rule in request.app.limits],
        "working": lineages.count_text(keys.count),
        "has_keys": bool(keys.count) or Key.objects.within(request.reach).exists(),
        "next_end": next(iter(keys.expiring), None),
        "items": attention.items(keys, request.app.policy.rotation, request.now),
        "rights": request.rights,
        "now": request.now,
        "app": request.app,
    }


def causes(counts: Iterable[traffic.Count]) -> list[Cause]:
    """Return what blocked calls, the most frequent first."""
    sums = Counter[str]()
    for _, rule, count in counts:
        if rule:
            sums[rule] += count
    every, most = sums.total(), max(sums.values(), default=0)
    return [
        Cause(rule, label(rule), count, f"{100 * count / every:.0f}%", f"{100 * count / most:.1f}")
        for rule, count in sorted(sums.items(), key=lambda pair: (-pair[1], pair[0]))
    ]


def _summary(request: PortalRequest) -> KeySummary:
    return summary(
        keys=Key.objects.within(request.reach),
        rotation=request.app.policy.rotation,
        due_by=request.now + tags.SOON,
        most_counted=lineages.MOST_COUNTED + 1,
        most_named=attention.MOST_ITEMS,
        now=request.now,
    )
