"""Every operation of the JSON doors, read off the URL map, and the little that has to be said by hand about each.

A new route stands in every test that walks `OPERATIONS` by itself. What it needs said (a good body,
what a field or a query parameter names) is asked for by a failing test, in a sentence.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from django.urls import URLPattern
from ninja import NinjaAPI
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from apiauth.http import urls
from apiauth.http.auth import BackendAccess, SessionAccess
from apiauth.http.bodies import Body

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
WITHOUT_OPERATION = {  # plain views, which know no tenant
    "health": "says that it lives",
    "ready": "says that it can answer",
    "metrics": "counts, for who holds the operator's token",
    "openapi/{name}.json": "facts of this release",
    "docs": "leads to the API reference",
    "docs/": "the API reference",
    "docs/{name}": "the API reference",
}
RULE = {"unit": "minute", "duration": 1, "max_requests": 60}

# What each JSON body holds when it is good. `{app}` and `{scheme}` stand for names of the caller's own, `{soon}` for
# a moment in two days.
GOOD_BODIES: dict[str, dict[str, Any]] = {
    "POST /api-auth/apps": {"app_slug": "aa_new", "name": "Orbit", "key_prefix": "orb_live"},
    "PATCH /api-auth/apps/{app_slug}": {"name": "Renamed"},
    "POST /api-auth/apps/{app_slug}/policy/impact": {"policy": {"expiry": {"mode": "mandatory", "longest_days": 90}}},
    "POST /api-auth/apps/{app_slug}/keys": {"name": "ci"},
    "PATCH /api-auth/apps/{app_slug}/keys/{key_id}": {"name": "Renamed"},
    "POST /api-auth/apps/{app_slug}/keys/{key_id}/disable": {"reason": "leaked"},
    "POST /api-auth/apps/{app_slug}/keys/{key_id}/enable": {"reason": "found"},
    "POST /api-auth/apps/{app_slug}/keys/{key_id}/change-overlap": {"overlap_ends_at": "{soon}"},
    "POST /api-auth/apps/{app_slug}/keys/{key_id}/impact": {"limits": [RULE]},
    "POST /api-auth/apps/{app_slug}/keys/{key_id}/rotate": {},
    "POST /api-auth/apps/{app_slug}/keys/{key_id}/revoke": {"reason": "leaked"},
    "POST /api-auth/apps/{app_slug}/audit/logs/export": {"form": "jsonl"},
    "POST /api-auth/apps/{app_slug}/activity/export": {"form": "csv"},
    "POST /api-auth/rate-limit-schemes": {"slug": "fresh", "name": "Fresh", "rules": [RULE]},
    "PATCH /api-auth/rate-limit-schemes/{slug}": {"name": "Renamed"},
    "POST /session/tickets": {"ticket_type": "api_auth_access", "api_auth_app_slug": "{app}"},
}
# What each form of a page holds when it is good; a page's operations declare no body.
GOOD_FORMS: dict[str, dict[str, str]] = {
    "POST /api-auth/keys": {"name": "ci"},
    "POST /api-auth/keys/{key_id}/edit": {"name": "Renamed"},
    "POST /api-auth/keys/{key_id}/disable": {"reason": "leaked"},
    "POST /api-auth/keys/{key_id}/enable": {"reason": "found"},
    "POST /api-auth/keys/{key_id}/undo-revoke": {},
    "POST /api-auth/keys/{key_id}/change-overlap": {"overlap_ends_at": "{soon}"},
    "POST /api-auth/keys/{key_id}/end-overlap": {},
    "POST /api-auth/keys/{key_id}/impact": {"limits": json.dumps([RULE])},
    "POST /api-auth/keys/{key_id}/rotate": {},
    "POST /api-auth/keys/{key_id}/revoke": {"reason": "leaked"},
}
# Every field that a form of a page may have; what is not here has no effect.
FORM_FIELDS: dict[str, tuple[str, ...]] = {
    "POST /api-auth/keys": ("name", "note", "expires_at", "permissions", "resources", "allowed_cidrs", "limits"),
    "POST /api-auth/keys/{key_id}/edit": (
        "name",
        "note",
        "permissions",
        "resources",
        "allowed_cidrs",
        "limits",
        "expires_at",
    ),
    "POST /api-auth/keys/{key_id}/disable": ("reason",),
    "POST /api-auth/keys/{key_id}/enable": ("reason",),
    "POST /api-auth/keys/{key_id}/undo-revoke": (),
    "POST /api-auth/keys/{key_id}/change-overlap": ("overlap_ends_at",),
    "POST /api-auth/keys/{key_id}/end-overlap": (),
    "POST /api-auth/keys/{key_id}/impact": ("action", "permissions", "resources", "allowed_cidrs", "limits"),
    "POST /api-auth/keys/{key_id}/rotate": ("overlap_seconds",),
    "POST /api-auth/keys/{key_id}/revoke": ("reason",),
}
# What a key has to be for an operation on it to do what it should, by the address's end; active for the others.
STATES = {"enable": "disabled", "undo-revoke": "revoked", "change-overlap": "rotated", "end-overlap": "rotated"}
# What a body's field refers to; the others ending like that are labels, which are never looked up.
REFERENCES = {"rate_limit_scheme_slug": "scheme", "api_auth_app_slug": "app"}
LABELS = {"key_id", "after_request_id", "app_slug", "slug", "user_id", "organization_id", "workspace_id", "subject.id"}
# What a query parameter is; `tests/http/test_queries.py` knows what is bad and what is clamped of each.
QUERY_KINDS = {
    "client_ip": "address",
    "cursor": "cursor",
    "cursor_id": "decision",
    "cursor_ts": "beside cursor_id",
    "end_date": "moment",
    "fill": "flag",
    "include_blocked_reasons": "flag",
    "include_inactive": "flag",
    "include_rate_limits": "flag",
    "include_top_keys": "flag",
    "include_top_paths": "flag",
    "interval": "word",
    "key_id": "key",
    "limit": "number",
    "method": "method",
    "offset": "number",
    "outcome": "word",
    "path_prefix": "path",
    "request_id": "request",
    "rule": "rule",
    "search": "text",
    "start_date": "moment",
    "status": "choice",
    "top_limit": "number",
    "tz": "zone",
}


def _plain(annotation: Any) -> tuple[Any, ...]:
    """Return the types of an annotation, without what it only tells about them."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return tuple(kind for part in get_args(annotation) for kind in _plain(part))
    return (annotation,)


@dataclass(frozen=True)
class Field:
    """One field of a body: where it stands, what it takes, and whether it must be there."""

    path: str
    annotation: Any
    is_required: bool

    @property
    def types(self) -> tuple[Any, ...]:
        """Return the types that the field takes, without null."""
        return tuple(kind for kind in _plain(self.annotation) if kind is not type(None))

    def within(self, body: dict[str, Any], value: Any) -> dict[str, Any]:
        """Return a body with this field set."""
        outer, _, inner = self.path.partition(".")
        return {**body, outer: {inner: value} if inner else value}


@dataclass(frozen=True)
class Operation:
    """One method of one address."""

    method: str
    path: str
    access: BackendAccess | SessionAccess | None
    body: type[Body] | None
    needs_body: bool
    query: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return how the tables above and a failing test call it."""
        return f"{self.method} {self.path}"

    @property
    def parameters(self) -> tuple[str, ...]:
        """Return the names in its address."""
        return tuple(re.findall(r"{(\w+)}", self.path))

    @property
    def is_frontend(self) -> bool:
        """Tell whether its answers are wrapped as pages read them."""
        return not isinstance(self.access, BackendAccess)

    @property
    def key_state(self) -> str:
        """Return what a key has to be for the operation to do what it should."""
        return STATES.get(self.path.rpartition("/")[2], "active")

    @property
    def is_change(self) -> bool:
        """Tell whether it may change something."""
        return self.method not in ("GET", "HEAD", "OPTIONS")

    @property
    def only_asks(self) -> bool:
        """Tell whether it changes nothing, although its question needs a body."""
        return self.path.endswith("/impact")

    @property
    def takes_form(self) -> bool:
        """Tell whether a page posts a form to it."""
        return isinstance(self.access, SessionAccess) and self.method == "POST"

    @property
    def fields(self) -> list[Field]:
        """Return every field of its body, those of objects within too."""
        return list(_fields(self.body, "")) if self.body else []

    def good_body(self, **own: str) -> dict[str, Any]:
        """Return a body that it takes. Fails, saying what to add, where nobody has said one."""
        assert self.name in GOOD_BODIES, f"say in GOOD_BODIES of {__name__} what a good body of {self.name} is"
        return _told(GOOD_BODIES[self.name], own)

    def good_form(self, **own: str) -> dict[str, str]:
        """Return a form that it takes. Fails, saying what to add, where nobody has said one."""
        told = self.name in GOOD_FORMS and self.name in FORM_FIELDS
        assert told, f"say in GOOD_FORMS and FORM_FIELDS of {__name__} what a form of {self.name} holds"
        return _told(GOOD_FORMS[self.name], own)


def _told(fields: dict[str, Any], own: dict[str, str]) -> dict[str, Any]:
    names = {f"{{{thing}}}": name for thing, name in own.items()}
    return {field: names.get(value, value) if isinstance(value, str) else value for field, value in fields.items()}


def _fields(model: type[BaseModel], prefix: str) -> Iterator[Field]:
    for name, info in model.model_fields.items():
        field = Field(prefix + name, info.annotation, info.is_required())
        yield field
        for kind in field.types:
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _fields(kind, f"{prefix}{name}.")


def _operations(api: NinjaAPI) -> Iterator[Operation]:
    for prefix, router in api._routers:
        for path, view in router.path_operations.items():
            for operation in view.operations:
                inputs = {model.__ninja_param_source__: dict(model.model_fields) for model in operation.models}
                body = inputs.get("body", {}).get("body")
                for method in operation.methods:
                    yield Operation(
                        method,
                        prefix + re.sub(r"{\w+:(\w+)}", r"{\1}", path),
                        next(iter(operation.auth_callbacks), None),
                        body.annotation if body else None,
                        bool(body and body.is_required()),
                        tuple(_query_names(inputs.get("query", {}))),
                    )


def _query_names(declared: dict[str, FieldInfo]) -> Iterator[str]:
    """Return the names of a query; a declared class stands for its fields."""
    for name, info in declared.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from kind.model_fields
        else:
            yield name


def addresses() -> set[str]:
    """Return every address of the JSON doors as Django knows it, in ninja's spelling."""
    patterns = [route.pattern for route in urls.urlpatterns if isinstance(route, URLPattern)]
    assert len(patterns) == len(urls.urlpatterns), "an include hides routes from this walk: resolve it here"
    return {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(pattern)) for pattern in patterns}


OPERATIONS = [*_operations(urls.backend), *_operations(urls.browser)]
BACKEND = [operation for operation in OPERATIONS if isinstance(operation.access, BackendAccess)]
SESSION = [operation for operation in OPERATIONS if isinstance(operation.access, SessionAccess)]
OPEN = [operation for operation in OPERATIONS if operation.access is None]
WITH_BODY = [operation for operation in OPERATIONS if operation.body]
WITH_FORM = [operation for operation in OPERATIONS if operation.takes_form]


def named(operation: Operation) -> str:
    """Return an operation's name as a test's id."""
    return operation.name
