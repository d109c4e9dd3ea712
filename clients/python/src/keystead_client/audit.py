"""The record of decisions: pages of the log, totals, counts over time."""

from typing import Unpack

from keystead_client import audit_results as results
from keystead_client.calls import Call, app_path, query_of, reader
from keystead_client.options import Interval, LogFilters, Window


def list_logs(app_slug: str, *, cursor: str | None = None, **filters: Unpack[LogFilters]) -> Call[results.LogPage]:
    """Return a page of the decision log, the newest first; `iterate_logs` walks all pages."""
    query = query_of(cursor=cursor, **filters)
    return Call("GET", f"{app_path(app_slug)}/audit/logs", reader(results.LogPage), query=query, may_repeat=True)


def analytics(
    app_slug: str,
    *,
    include_top_keys: bool = False,
    include_top_paths: bool = False,
    include_blocked_reasons: bool = False,
    include_rate_limits: bool = False,
    top_limit: int = 10,
    **window: Unpack[Window],
) -> Call[results.Analytics]:
    """Return totals of the last 30 days, or of a window."""
    query = query_of(
        include_top_keys=include_top_keys,
        include_top_paths=include_top_paths,
        include_blocked_reasons=include_blocked_reasons,
        include_rate_limits=include_rate_limits,
        top_limit=top_limit,
        **window,
    )
    return Call("GET", f"{app_path(app_slug)}/audit/analytics", reader(results.Analytics), query=query, may_repeat=True)


def timeseries(
    app_slug: str,
    *,
    interval: Interval = "hour",
    tz: str | None = None,
    fill: bool = False,
    **window: Unpack[Window],
) -> Call[results.Series]:
    """Return counts over time: days, weeks and months of the zone `tz`, with the empty steps too if `fill` says so."""
    query = query_of(interval=interval, tz=tz, fill=fill, **window)
    return Call("GET", f"{app_path(app_slug)}/audit/timeseries", reader(results.Series), query=query, may_repeat=True)
