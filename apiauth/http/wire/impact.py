"""What a change to a key would block, on the wire."""

from typing import NotRequired, cast

from typing_extensions import TypedDict

from apiauth.core.decision import Rule
from apiauth.http.wire.moments import MomentText, moment_json, moment_or_null
from apiauth.services.impact import Preview


class BlockedByRuleJson(TypedDict):
    """How many of the calls a rule would have blocked."""

    rule: Rule
    calls: int


class BlockedAddressJson(TypedDict):
    """How many of the calls that would have been blocked came from one address."""

    client_ip: str
    calls: int


class BlockedPathJson(TypedDict):
    """How many of the calls that would have been blocked asked for one path."""

    path: str
    calls: int


class _ImpactJson(TypedDict):
    window_start: MomentText
    window_end: MomentText
    complete_until: MomentText
    calls: int
    blocked: int
    last_blocked_at: MomentText | None
    rules: list[BlockedByRuleJson]
    paths: list[BlockedPathJson]
    path_count: int


class ImpactJson(_ImpactJson):
    """What a change would have done to a key's calls that were let through."""

    addresses: list[BlockedAddressJson]
    address_count: int


class BrowserImpactJson(_ImpactJson):
    """What a change would have done to a key's calls; addresses only where the session may see them."""

    addresses: NotRequired[list[BlockedAddressJson]]
    address_count: NotRequired[int]


def impact_json(preview: Preview) -> ImpactJson:
    """Return a preview as the backend API shows it."""
    impact = preview.impact
    return {
        "window_start": moment_json(preview.start),
        "window_end": moment_json(preview.end),
        "complete_until": moment_json(preview.complete_until),
        "calls": impact.calls,
        "blocked": impact.blocked,
        "last_blocked_at": moment_or_null(preview.last_at),
        "rules": [{"rule": Rule(count.name), "calls": count.calls} for count in impact.rules],
        "paths": [{"path": count.name, "calls": count.calls} for count in impact.paths],
        "path_count": impact.path_count,
        "addresses": [{"client_ip": count.name, "calls": count.calls} for count in impact.addresses],
        "address_count": impact.address_count,
    }


def browser_impact_json(preview: Preview, *, with_addresses: bool) -> BrowserImpactJson:
    """Return a preview for the browser."""
    hidden = () if with_addresses else ("addresses", "address_count")
    return cast(
        "BrowserImpactJson", {name: value for name, value in impact_json(preview).items() if name not in hidden}
    )
