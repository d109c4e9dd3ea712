"""What a call may say besides what it must: absent stays absent, None is sent as null."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict

from keystead_client.results import Rule

Interval = Literal["minute", "hour", "day", "week", "month"]


class AppOptions(TypedDict, total=False):
    """What an app may have besides slug, name and key prefix."""

    description: str | None
    rate_limit_scheme_slug: str | None
    permissions: Sequence[str]
    permission_details: Mapping[str, Mapping[str, str]]
    permission_presets: Mapping[str, Sequence[str]]
    resources: Sequence[str]
    default_role: str
    default_overlap_seconds: int
    policy: Mapping[str, Any] | None
    return_url: str
    test_url: str
    docs_url: str
    organization_id: str | None
    workspace_id: str | None


class NewAppOptions(AppOptions, total=False):
    """What can be said of an app once, when it is made."""

    user_id: str | None


class AppChanges(AppOptions, total=False):
    """What of an app can change; what is absent stays, and None clears."""

    name: str
    key_prefix: str
    is_active: bool
    policy_applies_at: datetime | None


class NewKeyOptions(TypedDict, total=False):
    """What a key may have besides its name."""

    permissions: Sequence[str] | None
    metadata: Mapping[str, Any] | None
    expires_at: datetime | None
    allowed_cidrs: Sequence[str] | None
    resources: Sequence[str] | None
    limits: Sequence[Rule] | None
    note: str | None
    user_id: str | None
    organization_id: str | None
    workspace_id: str | None


class Proposal(TypedDict, total=False):
    """New values of a key that could block calls."""

    permissions: Sequence[str]
    allowed_cidrs: Sequence[str]
    resources: Sequence[str]
    limits: Sequence[Rule]


class KeyChanges(Proposal, total=False):
    """What of a key can change."""

    name: str
    note: str
    metadata: Mapping[str, Any]
    expires_at: datetime | None


class SchemeChanges(TypedDict, total=False):
    """What of a rate-limit scheme can change; `rules` replaces all of them."""

    name: str
    description: str | None
    rules: Sequence[Rule]


class TicketOptions(TypedDict, total=False):
    """What a ticket's session may do at most, and where it leads back to."""

    expires_in: int
    organization_id: str
    workspace_id: str
    permissions: Sequence[str]
    longest_expiry_days: int
    key_cap: int
    metadata: Mapping[str, Any]
    return_url: str
    theme: Literal["light", "dark", "system"]
    locale: str
    code_challenge: str


class Subject(TypedDict, total=False):
    """The product's own user, as the customer knows them."""

    id: str
    name: str
    email: str


class Window(TypedDict, total=False):
    """Which decisions to look at: aware datetimes, and one key's id."""

    start_date: datetime
    end_date: datetime
    key_id: str


class LogFilters(Window, total=False):
    """Which decisions to list."""

    outcome: Literal["allowed", "blocked"]
    rule: str
    method: str
    path_prefix: str
    client_ip: str
    request_id: str
    limit: int
