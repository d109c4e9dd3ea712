"""An app's decisions on the wire; audit_answers makes them."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from apiauth.core.decision import Rule
from apiauth.http.wire.moments import MomentText

Outcome = Literal["allowed", "blocked"]


class LimitStateJson(TypedDict):
    """How a rate limit stood after a check."""

    rule: str
    remaining: int
    limit: int


class _LogJson(TypedDict):
    request_id: str
    deployment_id: str
    app_slug: str
    outcome: Outcome
    blocked_by_rule: str | None
    rule: Rule | None
    path: str
    user_agent: str
    required_permissions: list[str]
    held_permissions: list[str] | None
    presented_start: str | None
    retry_after: int | None
    timestamp: MomentText


class LogJson(_LogJson):
    """One decision of the gateway."""

    key_id: str | None
    key_name: str | None
    client_ip: str | None
    rate_limits: list[LimitStateJson]


class BrowserLogJson(_LogJson):
    """One decision for a page: `rate_limits` is a JSON text there, and texts are never null."""

    key_id: str
    key_name: str
    client_ip: str
    rate_limits: str


class LogPageJson(TypedDict):
    """A page of the decision log, newest first."""

    data: list[LogJson]
    limit: int
    has_more: bool
    next_cursor: str | None


class BrowserLogPageJson(TypedDict):
    """A page of the decision log for a page, newest first."""

    data: list[BrowserLogJson]
    limit: int
    has_more: bool
    next_cursor: str | None


class TopKeyJson(TypedDict):
    """How often one key was checked."""

    key_id: str
    key_name: str
    total_requests: int


class PathCountJson(TypedDict):
    """How often one method and path was checked."""

    path: str
    total_requests: int


class ReasonJson(TypedDict):
    """How often one rule blocked."""

    blocked_by_rule: str
    rule: str
    count: int
    percentage: float


class LimitHitsJson(TypedDict):
    """How often one rate limit blocked."""

    rule: str
    hit_count: int
    percentage: float


class LimitStatsJson(TypedDict):
    """How often rate limits blocked."""

    total_hits: int
    percentage_of_blocked: float
    top_rules: list[LimitHitsJson]


class AnalyticsJson(TypedDict):
    """Totals of a window, and the parts that were asked for."""

    total_requests: int
    allowed_requests: int
    blocked_requests: int
    success_rate: float
    keys_used_24h: int
    top_keys: NotRequired[list[TopKeyJson]]
    top_paths: NotRequired[list[PathCountJson]]
    blocked_reasons: NotRequired[list[ReasonJson]]
    rate_limit_stats: NotRequired[LimitStatsJson]


class PointJson(TypedDict):
    """The counts of one step."""

    timestamp: MomentText
    total_requests: int
    allowed_requests: int
    blocked_requests: int
    success_rate: float


class SeriesJson(TypedDict):
    """Counts over time, oldest first; steps without checks are left out, unless `fill` asks for them."""

    data: list[PointJson]
    interval: str
