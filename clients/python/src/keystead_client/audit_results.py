"""What the calls about decisions return, frozen. Times are aware datetimes; ids are decimal strings."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Limit:
    """What is left of one rate limit."""

    rule: str
    remaining: int
    limit: int


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One decision of the decision log; `path` is the method, a space and the path.

    `presented_start` is how a secret began that is no key's.
    """

    request_id: str
    deployment_id: str
    app_slug: str
    key_id: str | None
    key_name: str | None
    outcome: str  # "allowed" or "blocked"
    blocked_by_rule: str | None
    rule: str | None
    client_ip: str | None
    path: str
    user_agent: str | None
    timestamp: datetime
    required_permissions: tuple[str, ...] = ()
    held_permissions: tuple[str, ...] | None = None
    presented_start: str | None = None
    retry_after: int | None = None  # whole seconds
    rate_limits: tuple[Limit, ...] = ()


@dataclass(frozen=True, slots=True)
class LogPage:
    """One page of the decision log, the newest first."""

    data: tuple[LogEntry, ...]
    has_more: bool
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class TopKey:
    """How often one key was checked."""

    key_id: str
    key_name: str
    total_requests: int


@dataclass(frozen=True, slots=True)
class TopPath:
    """How often one path was checked."""

    path: str
    total_requests: int


@dataclass(frozen=True, slots=True)
class BlockedReason:
    """How often one rule blocked; `percentage` is 0 to 100, of all that was blocked."""

    blocked_by_rule: str
    rule: str
    count: int
    percentage: float


@dataclass(frozen=True, slots=True)
class LimitHits:
    """How often one rate limit blocked; `percentage` is 0 to 100, of what rate limits blocked."""

    rule: str
    hit_count: int
    percentage: float


@dataclass(frozen=True, slots=True)
class LimitStats:
    """What rate limits blocked, and which of them the most."""

    total_hits: int
    percentage_of_blocked: float
    top_rules: tuple[LimitHits, ...]


@dataclass(frozen=True, slots=True)
class Analytics:
    """Totals; `success_rate` is 0 to 100. What was not asked for is None."""

    total_requests: int
    allowed_requests: int
    blocked_requests: int
    success_rate: float
    keys_used_24h: int
    top_keys: tuple[TopKey, ...] | None = None
    top_paths: tuple[TopPath, ...] | None = None
    blocked_reasons: tuple[BlockedReason, ...] | None = None
    rate_limit_stats: LimitStats | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """The counts of one step of time, which begins at `timestamp`."""

    timestamp: datetime
    total_requests: int
    allowed_requests: int
    blocked_requests: int
    success_rate: float


@dataclass(frozen=True, slots=True)
class Series:
    """Counts over time, the oldest first; steps without a check only where they were asked for."""

    data: tuple[Point, ...]
    interval: str
