"""Reads the decision log: by request id, or page by page, the newest first."""

import dataclasses
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection
from django.db.models import Q

from apiauth.audit import cursors
from apiauth.audit.statements import sql
from apiauth.core import clock, ids
from apiauth.core.limit_states import LimitState
from apiauth.core.scope import Reach
from apiauth.models.decision import Decision, DecisionQuerySet

LONGEST_RANGE = timedelta(days=90)
_CLOCKS_APART = timedelta(minutes=5)  # a gateway may be ahead
MOST_ROWS = 1000
LOOKED_THROUGH = 50_000  # rows that one page looks at where no index answers its filters
_SALT = "apiauth.audit.search"


@dataclass(frozen=True, slots=True)
class DecisionFilters:
    """What to look for; None is anything. `start` is inclusive, `end` is not."""

    outcome: str | None = None
    rule: str | None = None
    key_id: int | None = None
    method: str | None = None
    path_prefix: str | None = None
    client_ip: str | None = None
    decision_id: UUID | None = None
    start: datetime | None = None
    end: datetime | None = None

    @property
    def are_indexed(self) -> bool:
        """Tell whether an index leads to the matching rows alone: one by outcome or rule, for an app as a whole."""
        if self.decision_id:
            return True
        is_odd = bool(self.method or self.path_prefix or self.client_ip or self.outcome == "allowed")
        return not is_odd and (self.key_id is None or not (self.outcome or self.rule))


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One decision as it was recorded; app 0 is none."""

    id: UUID
    decided_at: datetime
    app_id: int
    key_id: int | None
    key_name: str | None
    presented_start: str | None
    allowed: bool
    rule: str | None
    blocked_by: str | None
    method: str
    path: str
    client_ip: str | None
    peer_ip: str | None
    user_agent: str
    required_permissions: list[str]
    held_permissions: list[str] | None
    rate_limits: list[LimitState]
    retry_after: int | None
    snapshot_age_ms: int
    duration_us: int
    node: str

    @property
    def request_id(self) -> str:
        """Return the id that the caller was given."""
        return ids.request_id(self.id)


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, and the cursor that goes on after them; None on the last page.

    There may be fewer rows than asked for, or none, and a cursor still: a page whose filters no index
    answers looks through so many rows and no more.
    """

    rows: list[DecisionRow]
    next_cursor: str | None
    has_more: bool
    last: UUID | None = None  # the last decision that was looked at, where the cursor goes on


_NAMES = {"key_name": "key_name__text", "node": "node__text"}
_COLUMNS = tuple(_NAMES.get(field.name, field.name) for field in dataclasses.fields(DecisionRow))


def decisions(
    *,
    app_id: int | None,
    within: Reach | None = None,
    filters: DecisionFilters = DecisionFilters(),
    cursor: str | None = None,
    after: UUID | None = None,
    limit: int = 50,
    offset: int = 0,
) -> Page:
    """Return a page of an app's decisions, the newest first.

    Without `start` the range is the 90 days before `end`; no range is longer. `app_id` None
    reads what belongs to no app, for staff; `within` keeps to the keys of a session's scope. A page
    begins behind `cursor`, else behind the decision `after`, else at `offset`. Raises Invalid for a
    cursor that was not made for this app and these filters.
    """
    limit = max(1, min(limit, MOST_ROWS))
    scope = _in_range(app_id, filters).within(within)
    last = UUID(hex=cursors.read(cursor, of=(app_id, filters), salt=_SALT)[0]) if cursor is not None else after
    if last is not None:
        scope, offset = _after(scope, last), 0
    is_narrow = within is not None and not within.is_whole_app
    horizon = _horizon(app_id, within, filters, last) if is_narrow or not filters.are_indexed else None
    rows = _matching(scope if horizon is None else scope.filter(decided_at__gte=horizon), filters)
    found = list(rows.newest_first().values_list(*_COLUMNS)[offset : offset + limit + 1])
    page = [DecisionRow(*row) for row in found[:limit]]
    goes_on_after = page[-1].id if len(found) > limit else _first_of(horizon)
    next_cursor = cursors.write([goes_on_after.hex], of=(app_id, filters), salt=_SALT) if goes_on_after else None
    return Page(page, next_cursor, next_cursor is not None, goes_on_after)


def decisions_of_apps(
    *, app_ids: list[int] | None, filters: DecisionFilters, after: UUID | None = None, limit: int = 50
) -> Page:
    """Return a page of the decisions of several apps together, the newest first, for staff; None is all apps.

    Looks at outcome, rule, start and end of the filters. The page has no cursor: it goes on behind its `last`.
    """
    start, end = _bounds(filters)
    where = {
        "app_ids": app_ids,
        "start": start,
        "moment": min(end, _moment(after)) if after else end,
        "after": after or UUID(int=0),
        "allowed": {"allowed": True, "blocked": False}.get(filters.outcome or ""),
        "rule": filters.rule,
        "most": limit + 1,
    }
    with connection.cursor() as cursor:
        cursor.execute(sql("newest_of_apps"), where)
        found = cursor.fetchall()
    rows = Decision.objects.filter(pk__in=found[:limit]).between(start, end) if found else Decision.objects.none()
    page = [DecisionRow(*row) for row in rows.newest_first().values_list(*_COLUMNS)]
    return Page(page, None, len(found) > limit, page[-1].id if len(found) > limit else None)


def find_decision(*, app_id: int | None, within: Reach | None = None, request_id: str) -> DecisionRow | None:
    """Return the decision that a caller was given this id for, if it is one of the app's, and of the scope."""
    decision_id = ids.parse_request_id(request_id)
    if decision_id is None:
        return None
    rows = Decision.objects.in_app(app_id).within(within).filter(decided_at=_moment(decision_id), id=decision_id)
    return next((DecisionRow(*row) for row in rows.values_list(*_COLUMNS)), None)


def _in_range(app_id: int | None, filters: DecisionFilters) -> DecisionQuerySet:
    """Return the rows of the app, or of its key, in the time that is asked for: what an index finds in order."""
    start, end = _bounds(filters)
    rows = Decision.objects.in_app(app_id).between(start, end)
    if filters.decision_id is not None:
        moment = _moment(filters.decision_id)
        rows = rows.filter(decided_at=moment, id=filters.decision_id)
    return rows if filters.key_id is None else rows.filter(key_id=filters.key_id)


def _bounds(filters: DecisionFilters) -> tuple[datetime, datetime]:
    """Return the time that is asked for, at most as long as a range may be."""
    moment = _moment(filters.decision_id) if filters.decision_id else None
    latest = max(clock.now(), moment or clock.now()) + _CLOCKS_APART
    end = min(filters.end or latest, latest)
    earliest = end - LONGEST_RANGE - _CLOCKS_APART
    return max(filters.start or moment or earliest, earliest), end


def _matching(rows: DecisionQuerySet, filters: DecisionFilters) -> DecisionQuerySet:
    if filters.outcome in ("allowed", "blocked"):
        rows = rows.filter(allowed=filters.outcome == "allowed")
    if filters.rule is not None:
        rows = rows.filter(allowed=False, rule=filters.rule)
    if filters.path_prefix:
        rows = rows.filter(path__startswith=filters.path_prefix)
    exact = {"method": filters.method, "client_ip": filters.client_ip}
    return rows.filter(**{name: value for name, value in exact.items() if value is not None})


def _horizon(app_id: int | None, within: Reach | None, filters: DecisionFilters, last: UUID | None) -> datetime | None:
    """Return the moment down to which one page may look, `last` being where it begins; None where it may look at all.

    An index answers this without the rows. That of a key does not hold the app, and need not: only a moment comes back.
    """
    start, end = _bounds(filters)
    if last is not None:
        is_before_all = _first_of(_moment(last)) == last  # of its moment, as a page leaves off that has found nothing
        end = min(end, _moment(last) + timedelta(milliseconds=0 if is_before_all else 1))
    rows = Decision.objects.between(start, end)
    if filters.key_id is not None:
        rows = rows.filter(key_id=filters.key_id)
    elif within is None or within.is_whole_app:
        rows = rows.in_app(app_id)
    place = LOOKED_THROUGH - 1
    moments = rows.within(within).order_by("-decided_at").values_list("decided_at", flat=True)
    found: datetime | None = moments[place : place + 1].first()
    return found


def _first_of(moment: datetime | None) -> UUID | None:
    """Return an id before those of all decisions of a moment."""
    return UUID(int=clock.to_ms(moment) << 80) if moment else None


def _moment(decision_id: UUID) -> datetime:
    return clock.from_ms(ids.decision_time_ms(decision_id))


def _after(rows: DecisionQuerySet, decision_id: UUID) -> DecisionQuerySet:
    decided_at = _moment(decision_id)
    return rows.filter(decided_at__lte=decided_at).filter(
        Q(decided_at__lt=decided_at) | Q(decided_at=decided_at, id__lt=decision_id)
    )
