"""What a key can be given: every value is checked here, whichever door it came through."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from apiauth.core.errors import Invalid
from apiauth.core.key_limits import load_key_rules, parse_key_rules
from apiauth.core.metadata import check_metadata
from apiauth.core.networks import client_range
from apiauth.core.permissions import check_permissions
from apiauth.core.scope import Owner
from apiauth.models import App
from apiauth.services.text import plain_owner_id

LATEST_EXPIRY = datetime(9998, 1, 1, tzinfo=UTC)  # any later cannot be shown in every time zone
MOST_ADDRESSES = 50


def permissions(names: Iterable[object]) -> list[str]:
    if isinstance(names, str | Mapping) or not isinstance(names, Iterable):
        raise Invalid("permissions must be a list.", field="permissions")
    return check_permissions(names)


def within_catalogue(app: App, wanted: Iterable[object]) -> list[str]:
    names = permissions(wanted)
    missing = sorted(set(names) - set(app.permissions)) if app.permissions else []
    if missing:
        raise Invalid(f"{app.name} has no permission called {missing[0]}.", field="permissions")
    return names


def own_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    check_metadata({} if metadata is None else metadata)
    return dict(metadata or {})


def expiry(expires_at: datetime | None, now: datetime) -> datetime | None:
    if expires_at is None:
        return None
    if expires_at.tzinfo is None:
        raise Invalid("expires_at needs a time zone, such as Z.", field="expires_at")
    if not now < expires_at < LATEST_EXPIRY:
        raise Invalid("Choose a date after now.", field="expires_at")
    return expires_at


def owner(ids: Mapping[str, object]) -> Owner:
    """Return whom a key is to belong to, by `user_id`, `organization_id` and `workspace_id`. Raises Invalid."""
    return Owner(**{name: plain_owner_id(str(value), field=name) for name, value in ids.items() if value is not None})


def addresses(ranges: Iterable[object]) -> list[str]:
    listed = list(ranges)
    if len(listed) > MOST_ADDRESSES:
        raise Invalid(f"A key can have at most {MOST_ADDRESSES} address ranges.", field="allowed_cidrs")
    return sorted({client_range(str(given).strip(), field="allowed_cidrs") for given in listed})


def resources(app: App, wanted: Iterable[object]) -> list[str]:
    """Return what a key is to be bound to, nothing for no bounds: entries of its app's list. Raises Invalid."""
    if isinstance(wanted, str | Mapping) or not isinstance(wanted, Iterable):
        raise Invalid("resources must be a list.", field="resources")
    named = list(wanted)
    unknown = next((each for each in named if each not in app.resources), None)
    if unknown is not None:
        raise Invalid(f"{app.name} has no resource called {str(unknown)[:100]!r}.", field="resources")
    return [each for each in app.resources if each in named]


def limits(app: App, wanted: object, known: Sequence[Mapping[str, Any]] = ()) -> list[dict[str, Any]]:
    """Return a key's own limits as they are stored; `known` are those that it has. Raises Invalid."""
    rules = parse_key_rules(wanted, app_rules=app.limits, known=load_key_rules(known))
    return [rule.as_json() for rule in rules]
