"""What a policy would do to keys, on the wire."""

from collections.abc import Iterable

from typing_extensions import TypedDict

from apiauth.http.wire.moments import MomentText, moment_json, moment_or_null
from apiauth.services.policies import AffectedKey, Impact, KeysAffected


class AffectedKeyJson(TypedDict):
    """A key that a policy would touch."""

    id: str
    name: str
    expires_at: MomentText | None
    rotation_due_at: MomentText | None


class AffectedKeysJson(TypedDict):
    """The newest of the keys that a policy would touch."""

    total: int
    data: list[AffectedKeyJson]


class PolicyImpactJson(AffectedKeysJson):
    """A page of the keys that a policy would touch, newest first."""

    policy_applies_at: MomentText
    ends_given_back: int
    limit: int
    has_more: bool
    next_cursor: str | None


def affected_keys_json(refusal: KeysAffected) -> AffectedKeysJson:
    """Return what a refusal tells of the keys that a policy would touch."""
    return {"total": refusal.count, "data": _keys(refusal.first)}


def policy_impact_json(
    impact: Impact, page: Iterable[AffectedKey], *, limit: int, next_cursor: str | None
) -> PolicyImpactJson:
    """Return a page of the keys that a policy would touch."""
    return {
        "policy_applies_at": moment_json(impact.applies_at),
        "total": impact.count(),
        "ends_given_back": impact.given_back,
        "data": _keys(page),
        "limit": limit,
        "has_more": next_cursor is not None,
        "next_cursor": next_cursor,
    }


def _keys(page: Iterable[AffectedKey]) -> list[AffectedKeyJson]:
    return [
        {
            "id": str(affected.key.id),
            "name": affected.key.name,
            "expires_at": moment_or_null(affected.ends_at),
            "rotation_due_at": moment_or_null(affected.due_at),
        }
        for affected in page
    ]
