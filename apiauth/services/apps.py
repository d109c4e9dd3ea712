"""Apps: made, changed, paused and deleted here alone."""

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from apiauth.core.actor import Actor
from apiauth.core.errors import Invalid, NotFound, SlugTaken
from apiauth.core.events import Event
from apiauth.core.permissions import check_permissions
from apiauth.core.policy import Policy, check_moment_kept, read_policy
from apiauth.core.resource import normal_form
from apiauth.core.roles import Role
from apiauth.core.secrets import RESERVED_PREFIXES
from apiauth.models import App, Deployment
from apiauth.models.fields import PREFIX, insert, violated_constraint
from apiauth.services import activity, catalogue
from apiauth.services.limits import find_scheme
from apiauth.services.text import plain_description, plain_owner_id, plain_slug, plain_text, web_address
from apiauth.services.versions import refuse_unseen

LONGEST_OVERLAP_SECONDS = 2_592_000  # 30 days
_RESOURCES_AT_MOST = 200
_OWNERSHIP = ("user_id", "organization_id", "workspace_id", "permissions", "resources")


@transaction.atomic
def create_app(*, deployment_id: int, fields: Mapping[str, Any], actor: Actor, now: datetime) -> App:
    """Make an app from `slug`, `name`, `key_prefix`, and the optional `policy` and fields of EDITABLE.

    Raises Invalid that names the field, SlugTaken, NotFound (deployment or rate-limit scheme).
    """
    if not Deployment.objects.filter(pk=deployment_id).exists():
        raise NotFound("This deployment doesn't exist.")
    slug = plain_slug(fields.get("slug"), field="app_slug")
    for required in ("name", "key_prefix"):
        if required not in fields:
            raise Invalid(f"Send {required}.", field=required)
    values = _checked(deployment_id, fields)
    if "policy" in fields:
        values["policy"] = _first_policy(fields["policy"])
    _check_owner(values)
    try:
        app = insert(lambda: App(deployment_id=deployment_id, slug=slug, created_at=now, updated_at=now, **values))
    except IntegrityError as error:
        if violated_constraint(error) == "app_slug_once_a_deployment":
            raise SlugTaken(field="app_slug") from None
        raise
    _record(Event.APP_CREATED, app, actor, now, {"slug": slug, **_shown(values)})
    return app


@transaction.atomic
def update_app(
    *,
    deployment_id: int,
    slug: str,
    changes: Mapping[str, Any],
    actor: Actor,
    now: datetime,
    seen: Collection[datetime] | None = None,
) -> App:
    """Change the fields that `changes` names; null clears what can be empty.

    `seen` holds the values of `updated_at` that the caller has seen. Raises NotFound, Invalid, ChangedMeanwhile.
    """
    app = find_app(deployment_id=deployment_id, slug=slug, lock=True)
    refuse_unseen(app.updated_at, seen)
    values = _checked(deployment_id, changes)
    before = {name: getattr(app, name) for name in values}
    for name, value in values.items():
        setattr(app, name, value)
    if values.get("is_active"):
        app.disabled_reason = ""
    _check_owner({name: getattr(app, name) for name in _OWNERSHIP})
    app.updated_at = now
    app.save(update_fields=[*values, "disabled_reason", "updated_at"])
    changed = {name: value for name, value in values.items() if before[name] != value}
    _record(Event.APP_EDITED, app, actor, now, {"changed": _shown(changed)})
    return app


@transaction.atomic
def delete_app(*, deployment_id: int, slug: str, actor: Actor, now: datetime) -> None:
    """Delete an app for good: its keys stop, its slug stays taken. Raises NotFound."""
    app = find_app(deployment_id=deployment_id, slug=slug, lock=True)
    app.deleted_at = app.updated_at = now
    app.is_active = False
    app.save(update_fields=["deleted_at", "updated_at", "is_active"])
    _record(Event.APP_DELETED, app, actor, now, {"slug": slug})


@transaction.atomic
def disable_app(*, deployment_id: int, slug: str, reason: str, actor: Actor, now: datetime) -> App:
    """Pause an app: all its keys are blocked until it is enabled. Raises NotFound, Invalid."""
    app = find_app(deployment_id=deployment_id, slug=slug, lock=True)
    app.is_active = False
    app.disabled_reason = plain_text(reason, field="reason", most=500)
    app.updated_at = now
    app.save(update_fields=["is_active", "disabled_reason", "updated_at"])
    _record(Event.APP_DISABLED, app, actor, now, {"reason": app.disabled_reason})
    return app


@transaction.atomic
def enable_app(*, deployment_id: int, slug: str, reason: str, actor: Actor, now: datetime) -> App:
    """Let a paused app's keys through again. Raises NotFound, Invalid."""
    app = find_app(deployment_id=deployment_id, slug=slug, lock=True)
    app.is_active, app.disabled_reason, app.updated_at = True, "", now
    app.save(update_fields=["is_active", "disabled_reason", "updated_at"])
    _record(Event.APP_ENABLED, app, actor, now, {"reason": plain_text(reason, field="reason", most=500)})
    return app


def find_app(*, deployment_id: int, slug: str, lock: bool = False) -> App:
    """Return an app of a deployment by its slug, paused ones too. Raises NotFound."""
    apps = App.objects.in_deployment(deployment_id)
    app = (apps.select_for_update() if lock else apps.select_related("rate_limit_scheme")).filter(slug=slug).first()
    if app is None:
        raise NotFound("There is no app with this slug.")
    return app


def find_app_id(*, deployment_id: int, slug: str) -> int:
    """Return an app's id by its slug, for a service that locks the app itself. Raises NotFound."""
    found = App.objects.in_deployment(deployment_id).filter(slug=slug).values_list("id", flat=True)[:1]
    for app_id in found:
        return app_id
    raise NotFound("There is no app with this slug.")


def _checked(deployment_id: int, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the model's values for the wire's fields that are there."""
    values = {name: check(fields[name]) for name, check in EDITABLE.items() if name in fields}
    if "rate_limit_scheme_slug" in fields:
        slug = fields["rate_limit_scheme_slug"]
        where = {"deployment_id": deployment_id, "slug": slug, "lock": True}  # or it could be deleted meanwhile
        values["rate_limit_scheme"] = None if slug is None else find_scheme(**where)
    return values


def _first_policy(value: object) -> Policy:
    """Return the policy of an app that has no keys yet, which it would hold for from a later moment."""
    policy = read_policy(value)
    check_moment_kept(policy.rotation, None)
    return policy


def _name(value: object) -> str:
    return plain_text(value, field="name", most=100)


def _key_prefix(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(PREFIX, value) or value.endswith("\n"):
        raise Invalid(
            "A key prefix is 2 to 32 characters: lower-case letters, digits and _, a letter first, no _ at the end.",
            field="key_prefix",
        )
    if value in RESERVED_PREFIXES:
        raise Invalid(f"The prefix {value} is Keystead's own. Choose another.", field="key_prefix")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise Invalid("is_active must be true or false.", field="is_active")
    return value


def _permissions(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise Invalid("permissions must be a list.", field="permissions")
    return check_permissions(value)


def _resources(value: object) -> list[str]:
    if not isinstance(value, list) or len(value) > _RESOURCES_AT_MOST:
        raise Invalid(f"resources must be a list of at most {_RESOURCES_AT_MOST} texts.", field="resources")
    return [_resource(item, f"resources[{place}]") for place, item in enumerate(value)]


def _resource(value: object, field: str) -> str:
    """Return a resource as it was sent; it must be one that a check can name."""
    text = plain_text(value, field=field, most=200)
    if "?" in text or "#" in text:  # a check leaves them out, and would open more
        raise Invalid("A resource is a path, without a query.", field=field)
    try:
        normal_form(text)
    except Invalid as problem:
        raise Invalid(problem.message, field=field) from None
    return text


def _owner(field: str) -> Any:
    return lambda value: None if value is None else plain_owner_id(str(value), field=field)


def _role(value: object) -> str:
    if value not in [role.value for role in Role]:
        raise Invalid("default_role must be viewer, member, admin or owner.", field="default_role")
    return str(value)


def _overlap(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= LONGEST_OVERLAP_SECONDS:
        raise Invalid(
            f"default_overlap_seconds must be 0 to {LONGEST_OVERLAP_SECONDS}.",
            field="default_overlap_seconds",
        )
    return value


def _link(field: str) -> Any:
    def check(value: object) -> str:
        text = plain_text(value or "", field=field, most=2000, required=False)
        if text and web_address(text) is None:
            raise Invalid(f"{field} must be an http or https address.", field=field)
        return text

    return check


EDITABLE = {
    "name": _name,
    "key_prefix": _key_prefix,
    "description": plain_description,
    "is_active": _flag,
    "permissions": _permissions,
    "permission_details": catalogue.checked_details,
    "permission_presets": catalogue.checked_presets,
    "resources": _resources,
    "user_id": _owner("user_id"),
    "organization_id": _owner("organization_id"),
    "workspace_id": _owner("workspace_id"),
    "default_role": _role,
    "default_overlap_seconds": _overlap,
    "return_url": _link("return_url"),
    "test_url": _link("test_url"),
    "docs_url": _link("docs_url"),
}


def _check_owner(values: Mapping[str, Any]) -> None:
    """An organization or a workspace needs a user; a user's app takes its permissions from that user's roles."""
    refused = ("permissions", "resources") if values.get("user_id") else ("organization_id", "workspace_id")
    for field in refused:
        if values.get(field):
            with_or_without = "cannot stand beside a user_id" if values.get("user_id") else "needs a user_id beside it"
            raise Invalid(f"{field} {with_or_without}.", field=field)


def _shown(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return changed values as the activity log keeps them."""
    scheme = values.get("rate_limit_scheme")
    shown = {name: value for name, value in values.items() if name not in ("rate_limit_scheme", "policy")}
    if "policy" in values:
        shown["policy"] = values["policy"].document()
    if "rate_limit_scheme" in values:
        shown["rate_limit_scheme"] = scheme.slug if scheme else None
    return shown


def _record(event: Event, app: App, actor: Actor, now: datetime, details: dict[str, Any]) -> None:
    activity.record(event, actor=actor, now=now, deployment_id=app.deployment_id, app_id=app.id, details=details)
