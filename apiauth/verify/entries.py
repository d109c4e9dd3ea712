"""The entries of the snapshot: what the gateway knows of an app, of a key and of a backend key."""

from typing import Any

import msgspec

from apiauth.core.errors import Invalid
from apiauth.core.limits import LimitRule
from apiauth.core.policy import MANUAL, RotationPolicy

UNREADABLE = (Invalid, TypeError, ValueError, RecursionError, msgspec.MsgspecError)
"""What reading a column raises that no service wrote."""


class App(msgspec.Struct, gc=False):
    """What the gateway knows of an app; replaced by a new one whenever its row or its scheme changes."""

    id: int
    deployment_id: int
    slug: str
    key_prefix: str
    is_active: bool
    is_deleted: bool
    scheme_id: int | None
    user_id: str | None
    organization_id: str | None
    workspace_id: str | None
    change_xid: int
    resources: tuple[str, ...] = ()
    rotation: RotationPolicy = MANUAL
    rules: tuple[LimitRule, ...] = ()


class Key(msgspec.Struct, gc=False):
    """What the gateway knows of a key. `prepared` is what the check made of it, for `app` alone."""

    id: int
    deployment_id: int
    app_id: int
    name: str
    digest: bytes
    permissions: tuple[str, ...]
    metadata: str
    allowed_cidrs: tuple[str, ...]
    expires_ms: int | None
    is_revoked: bool
    is_disabled: bool
    overlap_ends_ms: int | None
    created_ms: int
    change_xid: int
    limits: str | None = None
    """Its own limits as the database wrote them; None without any. The check reads them once it needs them."""
    resources: tuple[str, ...] | None = None
    """The only resources that it may be used for; None without any."""
    owner: tuple[str | None, str | None, str | None] | None = None
    """The user, organization and workspace that it belongs to; None where it names none of its own."""
    prepared: Any = None


class BackendKey(msgspec.Struct, gc=False):
    """A backend key, for the gateway that asks its callers for one."""

    id: int
    digest: bytes
    deployment_id: int
    may_check: bool
    is_revoked: bool
    change_xid: int
