"""What the management calls return, frozen. Times are aware datetimes; ids are decimal strings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Gateways:
    """How many gateways have taken a change in, of those that may still answer."""

    acknowledged: int
    live: int


@dataclass(frozen=True, slots=True)
class Propagated:
    """Whether a change is in force on every gateway; both are None where the call did not wait for that."""

    propagated: bool | None = None
    gateways: Gateways | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rate limit, of a scheme or of a key; without `endpoints` it holds for all paths.

    Without a mode it is `per_app` in a scheme, and `per_key` on a key. One that is sent with its
    `id` goes on counting where it stood.
    """

    unit: str
    duration: int
    max_requests: int
    mode: str | None = None
    endpoints: tuple[str, ...] | None = None
    priority: int = 0
    id: str | None = None


@dataclass(frozen=True, slots=True)
class App:
    """One app. `etag` is there when it was read or changed by itself: pass it as `if_match`."""

    id: str
    deployment_id: str
    app_slug: str
    name: str
    key_prefix: str
    environment: str | None
    description: str | None
    is_active: bool
    permissions: tuple[str, ...]
    permission_details: Mapping[str, Any]
    permission_presets: Mapping[str, Any]
    resources: tuple[str, ...]
    default_role: str
    default_overlap_seconds: int
    policy: Mapping[str, Any]
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
    propagated: bool | None = None
    gateways: Gateways | None = None


@dataclass(frozen=True, slots=True)
class AppPage:
    """Some of a deployment's apps, the newest first."""

    apps: tuple[App, ...]
    total: int
    has_more: bool


@dataclass(frozen=True, slots=True)
class Key:
    """One key, as it can be shown to anybody who manages keys: its secret is not here.

    `limits` are its own, `rate_limits` those of its app. `etag` is there when it was changed by `update_key`.
    """

    id: str
    deployment_id: str
    app_slug: str
    name: str
    key_prefix: str
    key_suffix: str
    permissions: tuple[str, ...]
    metadata: Mapping[str, Any]
    rate_limits: tuple[Rule, ...]
    limits: tuple[Rule, ...]
    allowed_cidrs: tuple[str, ...]
    resources: tuple[str, ...]
    dropped_permissions: tuple[str, ...]
    dropped_resources: tuple[str, ...]
    user_id: str | None
    organization_id: str | None
    workspace_id: str | None
    created_by: str
    rotation_due_at: datetime | None
    is_rotation_overdue: bool
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
    etag: str | None = None
    propagated: bool | None = None
    gateways: Gateways | None = None


@dataclass(frozen=True, slots=True)
class KeyList:
    """The keys of an app, the newest first."""

    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key and its secret, which is shown this once. No repr holds it."""

    key: Key
    secret: str = field(repr=False)
    propagated: bool | None = None
    gateways: Gateways | None = None


@dataclass(frozen=True, slots=True)
class BlockedByRule:
    """How many of a key's latest calls one rule would have blocked."""

    rule: str
    calls: int


@dataclass(frozen=True, slots=True)
class BlockedPath:
    """How many of them went to one path."""

    path: str
    calls: int


@dataclass(frozen=True, slots=True)
class BlockedAddress:
    """How many of them came from one address."""

    client_ip: str
    calls: int


@dataclass(frozen=True, slots=True)
class Impact:
    """What a change would have done to a key's calls between two moments.

    `paths` and `addresses` are those with the most blocked calls; the counts are of all of them.
    """

    window_start: datetime
    window_end: datetime
    complete_until: datetime
    calls: int
    blocked: int
    last_blocked_at: datetime | None
    rules: tuple[BlockedByRule, ...]
    paths: tuple[BlockedPath, ...]
    path_count: int
    addresses: tuple[BlockedAddress, ...]
    address_count: int


@dataclass(frozen=True, slots=True)
class AffectedKey:
    """A key that a policy would touch: its new end, and from when it must be rotated; None where that stays."""

    id: str
    name: str
    expires_at: datetime | None
    rotation_due_at: datetime | None


@dataclass(frozen=True, slots=True)
class PolicyImpact:
    """Some of the keys that a policy would touch from `policy_applies_at` on, the newest first, and how many in all."""

    policy_applies_at: datetime
    ends_given_back: int
    total: int
    data: tuple[AffectedKey, ...]
    has_more: bool
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class RemovedSubject:
    """What a user lost who was removed, and how many keys of theirs go on working."""

    subject_id: str
    sessions_ended: int
    keys_revoked: int
    keys_left: int
    propagated: bool | None = None
    gateways: Gateways | None = None


@dataclass(frozen=True, slots=True)
class RateLimitScheme:
    """A named set of rate limits; `etag` as with an app."""

    id: str
    deployment_id: str
    slug: str
    name: str
    description: str | None
    rules: tuple[Rule, ...]
    created_at: datetime
    updated_at: datetime
    etag: str | None = None
    propagated: bool | None = None
    gateways: Gateways | None = None


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
