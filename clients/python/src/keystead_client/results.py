"""What the management calls return, frozen. Times are aware datetimes; ids are decimal strings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a rate-limit scheme; without `endpoints` it holds for all paths."""

    unit: str
    duration: int
    max_requests: int
    mode: str = "per_app"
    endpoints: tuple[str, ...] | None = None
    priority: int = 0


@dataclass(frozen=True, slots=True)
class App:
    """One app. `etag` is there when it was read or changed by itself: pass it as `if_match`."""

    id: str
    app_slug: str
    name: str
    key_prefix: str
    description: str | None
    is_active: bool
    permissions: tuple[str, ...]
    resources: tuple[str, ...]
    default_role: str
    default_overlap_seconds: int
    return_url: str
    test_url: str
    docs_url: str
    created_at: datetime
    updated_at: datetime
    rate_limits: tuple[Rule, ...] = ()
    rate_limit_scheme_slug: str | None = None
    user_id: str | None = None
    organization_id: str | None = None
    workspace_id: str | None = None
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class AppPage:
    """Some of a deployment's apps, the newest first."""

    apps: tuple[App, ...]
    total: int
    has_more: bool


@dataclass(frozen=True, slots=True)
class Key:
    """One key, as it can be shown to anybody who manages keys: its secret is not here."""

    id: str
    app_slug: str
    name: str
    key_prefix: str
    key_suffix: str
    permissions: tuple[str, ...]
    metadata: Mapping[str, Any]
    allowed_cidrs: tuple[str, ...]
    status: str
    lineage_id: str
    replaced_by: str | None
    overlap_ends_at: datetime | None
    expires_at: datetime | None
    last_used_at: datetime | None
    is_active: bool
    created_at: datetime
    updated_at: datetime
    revoked_at: datetime | None
    revoked_reason: str | None


@dataclass(frozen=True, slots=True)
class KeyList:
    """The keys of an app, the newest first."""

    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key and its secret, which is shown this once. No repr holds it."""

    key: Key
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RateLimitScheme:
    """A named set of rate limits; `etag` as with an app."""

    id: str
    slug: str
    name: str
    description: str | None
    rules: tuple[Rule, ...]
    created_at: datetime
    updated_at: datetime
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class SchemeList:
    """The rate-limit schemes of a deployment, by slug."""

    schemes: tuple[RateLimitScheme, ...]


@dataclass(frozen=True, slots=True)
class Ticket:
    """A way in for one person, once and for a minute: redirect to `url` with a 303. No repr holds it."""

    url: str = field(repr=False)
    ticket: str = field(repr=False)
    expires_at: int  # Unix seconds


@dataclass(frozen=True, slots=True)
class Limit:
    """What is left of one rate limit."""

    rule: str
    remaining: int
    limit: int


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One decision of the decision log; `path` is the method, a space and the path."""

    request_id: str
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
    count: int
    percentage: float


@dataclass(frozen=True, slots=True)
class Analytics:
    """Totals; `success_rate` is 0 to 100. A list that was not asked for is None."""

    total_requests: int
    allowed_requests: int
    blocked_requests: int
    success_rate: float
    keys_used_24h: int
    top_keys: tuple[TopKey, ...] | None = None
    top_paths: tuple[TopPath, ...] | None = None
    blocked_reasons: tuple[BlockedReason, ...] | None = None


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
    """Counts over time, the oldest first; steps without a check are left out."""

    data: tuple[Point, ...]
    interval: str
