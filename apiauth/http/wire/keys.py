"""Keys on the wire, and the one answer that holds a secret."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NotRequired, cast

from typing_extensions import TypedDict

from apiauth.core.permissions import dropped_permissions
from apiauth.core.resource import dropped_resources
from apiauth.core.secrets import NewSecret
from apiauth.http.wire.limits import LimitRuleJson, limits_of, own_limits_of
from apiauth.http.wire.moments import MomentText, moment_json, moment_or_null
from apiauth.http.wire.propagation import PropagatedJson
from apiauth.models import App, Key, KeyStatus, KeyUsage

_INACTIVE = (KeyStatus.REVOKED, KeyStatus.DISABLED, KeyStatus.ROTATED_OUT)
_OMITTED_IN_BROWSER = ("expires_at", "last_used_at", "revoked_at", "revoked_reason")


class _KeyJson(TypedDict):
    id: str
    deployment_id: str
    app_slug: str
    name: str
    key_prefix: str
    key_suffix: str
    permissions: list[str]
    metadata: dict[str, Any]
    rate_limits: list[LimitRuleJson]
    limits: list[LimitRuleJson]
    org_role_permissions: list[str]
    workspace_role_permissions: list[str]
    allowed_cidrs: list[str]
    resources: list[str]
    dropped_permissions: list[str]
    dropped_resources: list[str]
    user_id: str | None
    organization_id: str | None
    workspace_id: str | None
    created_by: str
    rotation_due_at: MomentText | None
    is_rotation_overdue: bool
    status: KeyStatus
    lineage_id: str
    replaced_by: str | None
    overlap_ends_at: MomentText | None
    is_active: bool
    created_at: MomentText
    updated_at: MomentText


class KeyJson(_KeyJson):
    """One key. `is_active` says that nobody has ended it; `expires_at` may still have passed."""

    expires_at: MomentText | None
    last_used_at: MomentText | None
    revoked_at: MomentText | None
    revoked_reason: str | None


class ChangedKeyJson(KeyJson, PropagatedJson):
    """A key after a change, and whether the change is in force where the call asked to wait for that."""


class KeyListJson(TypedDict):
    """An app's keys, newest first."""

    keys: list[KeyJson]


class IssuedKeyJson(KeyJson):
    """A new key, flat and under `key`, with its secret."""

    key: KeyJson
    secret: str | None


class NewKeyJson(IssuedKeyJson, PropagatedJson):
    """A key that was just made; the secret is null where the call was only sent again."""

    replayed: NotRequired[bool]


class RotatedKeyJson(NewKeyJson):
    """The successor of a key, and whether its end is in force."""


class BrowserKeyJson(_KeyJson):
    """One key for a page, which leaves out the moments that are not there."""

    expires_at: NotRequired[MomentText]
    last_used_at: NotRequired[MomentText]
    revoked_at: NotRequired[MomentText]
    revoked_reason: NotRequired[str]


class ChangedBrowserKeyJson(BrowserKeyJson, PropagatedJson):
    """A key after a change, for a page, and whether the change is in force where the call asked to wait for that."""


class BrowserIssuedKeyJson(BrowserKeyJson):
    """A new key for a page, flat and under `key`, with its secret."""

    key: BrowserKeyJson
    secret: str | None


class NewBrowserKeyJson(BrowserIssuedKeyJson, PropagatedJson):
    """A key that was just made, for a page; the secret is null where the call was only sent again."""

    replayed: NotRequired[bool]


def key_json(key: Key, app: App, *, now: datetime, usage: KeyUsage | None = None) -> KeyJson:
    """Return one key as the backend API shows it; the end of its overlap counts as its revocation."""
    status = key.status(now)
    due_at = key.rotation_due_at(app.policy.rotation)
    ended_at, ended_for = _ended(key, now)
    return {
        "id": str(key.id),
        "deployment_id": str(key.deployment_id),
        "app_slug": app.slug,
        "name": key.name,
        "key_prefix": key.key_prefix,
        "key_suffix": key.key_suffix,
        "permissions": key.permissions,
        "metadata": key.metadata,
        "rate_limits": limits_of(app),
        "limits": own_limits_of(key),
        "org_role_permissions": [],
        "workspace_role_permissions": [],
        "allowed_cidrs": key.allowed_cidrs,
        "resources": key.resources,
        "dropped_permissions": dropped_permissions(key.permissions, app.permissions),
        "dropped_resources": dropped_resources(key.resources, app.resources),
        "user_id": key.user_id,
        "organization_id": key.organization_id,
        "workspace_id": key.workspace_id,
        "created_by": key.created_by,
        "rotation_due_at": moment_or_null(due_at),
        "is_rotation_overdue": due_at is not None and due_at <= now and status is KeyStatus.ACTIVE,
        "status": status,
        "lineage_id": str(key.lineage_id),
        "replaced_by": str(key.replaced_by_id) if key.replaced_by_id else None,
        "overlap_ends_at": moment_or_null(key.overlap_ends_at),
        "expires_at": moment_or_null(key.expires_at),
        "last_used_at": moment_or_null(usage.last_used_at if usage else None),
        "is_active": status not in _INACTIVE,
        "created_at": moment_json(key.created_at),
        "updated_at": moment_json(key.updated_at),
        "revoked_at": moment_or_null(ended_at),
        "revoked_reason": ended_for,
    }


def _ended(key: Key, now: datetime) -> tuple[datetime | None, str | None]:
    """Return when and why a key was ended, by somebody or with its overlap; nothing for any other."""
    if key.revoked_at:
        return key.revoked_at, key.revoked_reason
    is_rotated_out = key.overlap_ends_at is not None and key.overlap_ends_at <= now
    return (key.overlap_ends_at, "Rotated") if is_rotated_out else (None, None)


def key_list_json(keys: Iterable[Key], app: App, *, now: datetime) -> list[KeyJson]:
    """Return keys with the moment each was last used."""
    rows = list(keys)
    usages = KeyUsage.objects.in_bulk([key.id for key in rows])
    return [key_json(key, app, now=now, usage=usages.get(key.id)) for key in rows]


def browser_key_json(key: KeyJson) -> BrowserKeyJson:
    """Return a key for the browser, where absent moments are left out."""
    return cast("BrowserKeyJson", _without_nulls(key))


def issued_key_json(key: KeyJson, secret: NewSecret) -> IssuedKeyJson:
    """Return a new key, flat and under `key`, with its secret: one of the two answers that hold it."""
    return {**key, "key": key, "secret": secret.text}


def issued_browser_key_json(key: KeyJson, secret: NewSecret) -> BrowserIssuedKeyJson:
    """Return a new key for the browser with its secret: the other answer that holds it."""
    shown = browser_key_json(key)
    return {**shown, "key": shown, "secret": secret.text}


def _without_nulls(key: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in key.items() if value is not None or name not in _OMITTED_IN_BROWSER}
