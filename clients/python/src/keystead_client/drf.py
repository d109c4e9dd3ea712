"""Django REST framework: authentication by key, and permissions that the gateway decides about."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException
from rest_framework.permissions import AND, NOT, OR, BasePermission
from rest_framework.request import Request

from keystead_client.admission import Admission, Refusal
from keystead_client.decisions import Decision, Identity
from keystead_client.django import check_request


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Who calls with a key: `request.user`. There is no account behind it; `identity` says whose key it is."""

    identity: Identity
    is_authenticated: bool = True
    is_anonymous: bool = False
    is_active: bool = True

    @property
    def pk(self) -> str | None:
        """Return the key's id, by which throttles tell callers apart."""
        return self.identity.key_id


class KeyRefused(APIException):  # type: ignore[misc]  # the framework has no types
    """A call that is answered with a refusal of ours."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.body)
        self.status_code = refusal.status


class HasPermissions(BasePermission):  # type: ignore[misc]  # the framework has no types
    """Lets a request through whose key has `required` permissions. `requires` makes one in a line."""

    required: Sequence[str] = ()

    def has_permission(self, request: Request, view: Any) -> bool:
        """Tell whether the gateway said yes to these permissions; asks it where it was not asked yet."""
        if not isinstance(request.auth, Decision):
            return False
        admission = check_request(_plain(request), self.required)
        if admission.refusal is not None and admission.refusal.status == 403 and _has_alternatives(view):
            return False
        _raise_if_refused(admission, view)
        return True


def requires(*permissions: str) -> type[HasPermissions]:
    """Return a permission class for a view's `permission_classes`."""
    return type("HasThesePermissions", (HasPermissions,), {"required": permissions})


class KeyAuthentication(BaseAuthentication):  # type: ignore[misc]  # the framework has no types
    """Authenticates by key: `request.user` is a KeyHolder, `request.auth` the Decision.

    A request without a key is refused. Where other ways to authenticate follow, set `is_optional`
    in a subclass, and give the view a permission class: without one it would be open to everybody.
    """

    is_optional = False

    def authenticate(self, request: Request) -> tuple[KeyHolder, Decision] | None:
        """Ask the gateway once, for all that the view's permissions require."""
        view = request.parser_context.get("view")
        plain = _plain(request)
        scheme = plain.META.get("HTTP_AUTHORIZATION", "").partition(" ")[0].lower()
        if self.is_optional and scheme != "bearer" and "HTTP_X_API_KEY" not in plain.META:
            return None
        admission = check_request(plain, [*_required_by(view)])
        _raise_if_refused(admission, view)
        assert admission.decision is not None
        return KeyHolder(admission.decision.identity or Identity()), admission.decision

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge, which makes a refusal a 401."""
        return "Bearer"


def _has_alternatives(view: Any) -> bool:
    """Tell whether a view's permissions are more than a list: then a no of one need not be the answer."""
    return any(isinstance(permission, OR | NOT) for permission in view.get_permissions())


def _required_by(view: Any) -> Iterator[str]:
    for permission in view.get_permissions() if view is not None else ():
        yield from _required(permission)


def _required(permission: Any) -> Iterator[str]:
    if isinstance(permission, HasPermissions):
        yield from permission.required
    elif isinstance(permission, AND):
        yield from _required(permission.op1)
        yield from _required(permission.op2)


def _raise_if_refused(admission: Admission, view: Any) -> None:
    """Put the fields on the answer, whichever it becomes, and raise the refusal if it is one."""
    if view is not None:
        view.headers.update(admission.headers)
    if admission.refusal is not None:
        raise KeyRefused(admission.refusal)


def _plain(request: Request) -> HttpRequest:
    found: HttpRequest = request._request  # the request that Django's half of the adapter knows
    return found
