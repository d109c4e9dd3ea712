"""The list of keys as people think of them: a lineage a row, the newest key, its old secret inside."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Exists, OuterRef, Q, Sum
from django.db.models.functions import TruncDay

from apiauth.core.scope import Reach
from apiauth.models import Key, KeyStatus
from apiauth.models.audit import DecisionRollup, KeyUsage
from apiauth.models.key import KeyQuerySet
from portal import charts, policy_lines
from portal.session import Rights
from portal.tags import ENDING, Tag, status_tag

PAGE = 50
MOST_COUNTED = 1000
DAYS_SHOWN = 7
FILTERS = ("all", "active", "ending", "ended")


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one key did in the last seven days."""

    allowed: int = 0
    blocked: int = 0
    days: tuple[int, ...] = ()

    @property
    def spark(self) -> charts.Spark | None:
        """Return the line over the days."""
        return charts.sparkline(self.days, width=84, height=24)

    @property
    def spark_label(self) -> str:
        """Return the line in words."""
        return ", ".join(f"{share}%" for share in charts.shares(self.days))


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One line of the list: a key with what it did, and what can be done with it."""

    key: Key
    id: str
    tag: Tag
    rotation_tag: Tag | None
    usage: KeyUsage | None
    traffic: Traffic
    is_old: bool
    is_active: bool
    is_disabled: bool
    may_disable: bool
    may_edit: bool
    edit_word: str
    may_rotate: bool
    may_revoke: bool

    @property
    def more_permissions(self) -> int:
        """Return how many permissions are not named in the list."""
        return max(0, len(self.key.permissions) - 1)


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of the list."""

    rows: list[KeyRow]
    after: str
    counts: dict[str, str]
    total: int


def page(*, rights: Rights, status: str, query: str, after: int | None, now: datetime) -> Listing:
    """Return the lineages within a session's scope that match, newest first, from `after` on."""
    lineages = Key.objects.within(rights.session.reach).newest_of_lineage()
    counts = _counts(lineages, now)
    found = lineages.filter(_condition(status, now))
    if query:
        found = found.filter(Q(name__icontains=query) | Q(key_suffix=query))
    if after is not None:
        found = found.filter(pk__lt=after)
    keys = list(found.select_related("usage").newest_first()[: PAGE + 1])
    shown = keys[:PAGE]
    return Listing(
        rows=rows(_with_old_ones(rights.session.reach, shown, now), rights=rights, now=now),
        after=str(shown[-1].pk) if len(keys) > PAGE else "",
        counts={name: _part_text(count, counts["all"]) for name, count in counts.items()},
        total=counts["all"],
    )


def rows(keys: Iterable[Key], *, rights: Rights, now: datetime) -> list[KeyRow]:
    """Return keys with what is known of their use and what may be done with them, in the order given."""
    listed = list(keys)
    traffic = _traffic(rights.session.app_id, [key.pk for key in listed], now)
    return [row(key, rights=rights, now=now, traffic=traffic.get(key.pk, Traffic())) for key in listed]


def row(key: Key, *, rights: Rights, now: datetime, traffic: Traffic = Traffic()) -> KeyRow:
    """Return a key, read with its last use, with what may be done with it."""
    usage = _usage(key, rights)
    return KeyRow(
        key=key,
        id=str(key.pk),
        tag=status_tag(key, now, usage),
        rotation_tag=policy_lines.rotation_tag(key, rights.session.app.policy.rotation, now),
        usage=usage,
        traffic=traffic,
        is_old=key.replaced_by_id is not None,
        is_active=key.is_active(now),
        is_disabled=key.status(now) is KeyStatus.DISABLED,
        may_disable=rights.disable(key),
        may_edit=rights.edit(key),
        edit_word=rights.edit_word(key),
        may_rotate=rights.rotate(key),
        may_revoke=rights.revoke(key),
    )


def in_grace(reach: Reach, now: datetime) -> KeyQuerySet:
    """Return the old keys within a scope that still work."""
    return Key.objects.within(reach).filter(replaced_by__isnull=False).active_at(now).select_related("usage")


def _usage(key: Key, rights: Rights) -> KeyUsage | None:
    """Return the last use of a key, without its address where the session may not see any."""
    found: KeyUsage | None = getattr(key, "usage", None)
    if found is not None and not rights.see_addresses:
        found.client_ip = None
    return found


def _with_old_ones(reach: Reach, keys: list[Key], now: datetime) -> list[Key]:
    """Put behind each key the older ones of its lineage that still work."""
    older = defaultdict(list)
    for old in in_grace(reach, now).filter(lineage_id__in=[key.lineage_id for key in keys]).newest_first():
        older[old.lineage_id].append(old)
    return [each for key in keys for each in (key, *older[key.lineage_id])]


def _condition(status: str, now: datetime) -> Q:
    unended = Q(revoked_at=None, disabled_at=None)
    active = unended & (Q(expires_at=None) | Q(expires_at__gt=now))
    overlaps = Key.objects.active_at(now).filter(
        app_id=OuterRef("app_id"), lineage_id=OuterRef("lineage_id"), replaced_by__isnull=False
    )
    conditions: dict[str, Q] = {
        "active": active,
        "ending": active & (Q(expires_at__lte=now + ENDING) | Q(Exists(overlaps))),
        "ended": ~active,
    }
    return conditions.get(status, Q())


def _counts(lineages: KeyQuerySet, now: datetime) -> dict[str, int]:
    """Count by status, among the newest thousand: a count over all of a large app would cost more than its page."""
    newest = lineages.newest_first()[: MOST_COUNTED + 1].values("pk")
    return Key.objects.filter(pk__in=newest).aggregate(
        **{name: Count("pk", filter=_condition(name, now) or Q(pk__isnull=False)) for name in FILTERS}
    )


def count_text(count: int) -> str:
    """Return a count as pages show it: none is told beyond a thousand."""
    return f"{count:,}" if count <= MOST_COUNTED else f"{MOST_COUNTED:,}+"


def _part_text(count: int, every: int) -> str:
    """Return a count of some lineages: at least so many, where not all of them were looked at."""
    return count_text(count) if every <= MOST_COUNTED or count > MOST_COUNTED else f"{count:,}+"


def _traffic(app_id: int, ids: list[int], now: datetime) -> dict[int, Traffic]:
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    first = today - timedelta(days=DAYS_SHOWN - 1)
    counted = (
        DecisionRollup.objects.filter(app_id=app_id, key_id__in=ids, hour__gte=first)
        .annotate(date=TruncDay("hour"))
        .values("key_id", "date")
        .annotate(allowed=Sum("count", filter=Q(rule=""), default=0), every=Sum("count"))
    )
    days: dict[int, list[int]] = defaultdict(lambda: [0] * DAYS_SHOWN)
    allowed: dict[int, int] = defaultdict(int)
    for row in counted:
        index = (row["date"] - first).days
        if index < DAYS_SHOWN:
            days[row["key_id"]][index] = row["every"]
            allowed[row["key_id"]] += row["allowed"]
    return {
        key_id: Traffic(allowed[key_id], sum(per_day) - allowed[key_id], tuple(per_day))
        for key_id, per_day in days.items()
    }
