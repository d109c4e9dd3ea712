"""An app's decisions as the clients read them: pages of the log, totals, counts over time."""

import json
from datetime import datetime, timedelta
from typing import Any, cast, get_args

from apiauth.audit import search, series
from apiauth.audit.calls import MINUTES_KEPT
from apiauth.audit.search import DecisionRow
from apiauth.audit.series import Point, Reason
from apiauth.audit.steps import Step
from apiauth.core.decision import Rule
from apiauth.core.scope import Reach
from apiauth.http.audit_query import SERIES_WINDOW, AnalyticsQuery, LogsQuery, SeriesQuery
from apiauth.http.wire import (
    AnalyticsJson,
    BrowserLogJson,
    BrowserLogPageJson,
    LimitStatsJson,
    LogJson,
    LogPageJson,
    PointJson,
    ReasonJson,
    SeriesJson,
    TopKeyJson,
    moment_json,
)
from apiauth.models import App, Key

_CLOCKS_APART = timedelta(minutes=5)


def logs(app: App, query: LogsQuery, now: datetime, *, within: Reach | None = None) -> LogPageJson:
    """Return a page of the decision log, the newest first; `within` keeps to a session's keys. Raises Invalid."""
    asked = query.page(now)
    found = search.decisions(
        app_id=app.id,
        within=within,
        filters=asked.filters,
        cursor=asked.cursor,
        after=asked.after,
        limit=asked.limit,
        offset=asked.offset,
    )
    return {
        "data": [_log(row, app) for row in found.rows],
        "limit": asked.limit,
        "has_more": found.has_more,
        "next_cursor": asked.wire_cursor(found.next_cursor),
    }


def for_browser(page: LogPageJson, *, with_addresses: bool, with_user_agents: bool) -> BrowserLogPageJson:
    """Return a page as the hooks read it: `rate_limits` is a JSON text there, and texts are never null.

    What the session may not see is empty.
    """
    return {**page, "data": [_browser_log(entry, with_addresses, with_user_agents) for entry in page["data"]]}


def _browser_log(entry: LogJson, with_address: bool, with_user_agent: bool) -> BrowserLogJson:
    return {
        **entry,
        "key_id": entry["key_id"] or "",
        "key_name": entry["key_name"] or "",
        "client_ip": (entry["client_ip"] or "") if with_address else "",
        "user_agent": entry["user_agent"] if with_user_agent else "",
        "rate_limits": json.dumps(entry["rate_limits"]),
    }


def _log(row: DecisionRow, app: App) -> LogJson:
    return {
        "request_id": row.request_id,
        "deployment_id": str(app.deployment_id),
        "app_slug": app.slug,
        "key_id": str(row.key_id) if row.key_id else None,
        "key_name": row.key_name,
        "outcome": "allowed" if row.allowed else "blocked",
        "blocked_by_rule": row.blocked_by,
        "rule": cast("Rule | None", row.rule),  # a text from the database, where only rules are written
        "client_ip": row.client_ip,
        "path": f"{row.method} {row.path}",
        "user_agent": row.user_agent,
        "required_permissions": row.required_permissions,
        "held_permissions": row.held_permissions,
        "presented_start": row.presented_start,
        "retry_after": row.retry_after,
        "rate_limits": row.rate_limits,
        "timestamp": moment_json(row.decided_at),
    }


def analytics(app: App, query: AnalyticsQuery, now: datetime, *, within: Reach | None = None) -> AnalyticsJson:
    """Return totals and the parts that were asked for. Rates and percentages are 0 to 100. Raises Invalid."""
    start, end = query.bounds(now, SERIES_WINDOW)
    most = query.most()
    where: dict[str, Any] = {"app_id": app.id, "key_id": query.key(), "within": within, "start": start, "end": end}
    totals = series.totals(**where)
    answer: AnalyticsJson = {
        "total_requests": totals.total,
        "allowed_requests": totals.allowed,
        "blocked_requests": totals.blocked,
        "success_rate": _percent(totals.allowed, totals.total),
        "keys_used_24h": series.keys_used(app_id=app.id, within=within, since=now - timedelta(hours=24)),
    }
    if query.wants("include_top_keys"):
        answer["top_keys"] = _top_keys(app, query, within, start, end)
    if query.wants("include_top_paths"):
        paths = series.top_paths(**where, limit=most)
        answer["top_paths"] = [{"path": entry.path, "total_requests": entry.total} for entry in paths]
    reasons_wanted, limits_wanted = query.wants("include_blocked_reasons"), query.wants("include_rate_limits")
    if reasons_wanted or limits_wanted:
        reasons = series.blocked_reasons(**where, limit=None if limits_wanted else most)
        if reasons_wanted:
            answer["blocked_reasons"] = [_reason(entry, totals.blocked) for entry in reasons[:most]]
        if limits_wanted:
            answer["rate_limit_stats"] = _limit_stats(reasons, totals.blocked, most)
    return answer


def _top_keys(
    app: App, query: AnalyticsQuery, within: Reach | None, start: datetime, end: datetime
) -> list[TopKeyJson]:
    wanted = query.key()
    where: dict[str, Any] = {"app_id": app.id, "within": within, "start": start, "end": end}
    if wanted is None:
        counted = series.top_keys(**where, limit=query.most())
        most = [(entry.key_id, entry.total) for entry in counted]
    else:
        total = series.totals(**where, key_id=wanted).total
        most = [(wanted, total)] if wanted and total else []
    names = dict(Key.objects.in_app(app.id).filter(pk__in=[key_id for key_id, _ in most]).values_list("id", "name"))
    return [
        {"key_id": str(key_id), "key_name": names.get(key_id, ""), "total_requests": total} for key_id, total in most
    ]


def _reason(entry: Reason, blocked: int) -> ReasonJson:
    return {
        "blocked_by_rule": entry.blocked_by or entry.rule,
        "rule": entry.rule,
        "count": entry.count,
        "percentage": _percent(entry.count, blocked),
    }


def _limit_stats(reasons: list[Reason], blocked: int, most: int) -> LimitStatsJson:
    limits = [entry for entry in reasons if entry.rule == Rule.RATE_LIMITED]
    hits = sum(entry.count for entry in limits)
    return {
        "total_hits": hits,
        "percentage_of_blocked": _percent(hits, blocked),
        "top_rules": [
            {"rule": entry.blocked_by, "hit_count": entry.count, "percentage": _percent(entry.count, hits)}
            for entry in limits[:most]
        ],
    }


def timeseries(app: App, query: SeriesQuery, now: datetime, *, within: Reach | None = None) -> SeriesJson:
    """Return counts over time; the shorter the step, the shorter the range. Raises Invalid.

    Steps without checks are left out unless `fill` is asked for.
    """
    start, end = query.bounds(now, SERIES_WINDOW)
    step: Step = query.interval if query.interval in get_args(Step) else "hour"  # type: ignore[assignment]  # one of its own literals
    # A range that reaches on into the future still ends with the last check.
    if step == "minute":  # what is no longer on record, or not whole, must not read as none
        start = max(start, now - MINUTES_KEPT + timedelta(minutes=1))
    end = max(start, min(end, now + _CLOCKS_APART))
    where: dict[str, Any] = {"app_id": app.id, "key_id": query.key(), "within": within}
    points = series.timeline(**where, start=start, end=end, step=step, zone=query.zone())
    if not query.wants_gaps():
        points = [point for point in points if point.allowed or point.blocked]
    return {"data": [_point(point) for point in points], "interval": step}


def _point(point: Point) -> PointJson:
    total = point.allowed + point.blocked
    return {
        "timestamp": moment_json(point.start),
        "total_requests": total,
        "allowed_requests": point.allowed,
        "blocked_requests": point.blocked,
        "success_rate": _percent(point.allowed, total),
    }


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 0.0
