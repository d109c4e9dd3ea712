"""The calls to the backend API about keys: from the first secret to the end, and what was done too early.

Each function says what to ask; `Keystead` and `AsyncKeystead` have a method for each that asks it.
With `wait_seconds`, at most 10, a change is answered once every gateway has it, or when that time is over:
`propagated` and `gateways` of the result say which.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, Unpack

from keystead_client import results
from keystead_client.calls import (
    Call,
    app_path,
    creating,
    if_match_header,
    listed,
    moment_text,
    query_of,
    reader,
    rules_json,
    segment,
    tagged,
)
from keystead_client.errors import SecretLost
from keystead_client.options import KeyChanges, NewKeyOptions, Proposal
from keystead_client.reading import read_as, without_absent
from keystead_client.wire import Answer, json_object

_AS_JSON: Mapping[str, Callable[[Any], Any]] = {
    "permissions": listed,
    "allowed_cidrs": listed,
    "resources": listed,
    "limits": lambda rules: None if rules is None else rules_json(rules),
    "expires_at": moment_text,
}


def list_keys(app_slug: str, *, include_inactive: bool = False) -> Call[tuple[results.Key, ...]]:
    """List an app's keys, the newest first; ended ones only where asked for."""
    query = query_of(include_inactive=include_inactive)
    return Call("GET", f"{app_path(app_slug)}/keys", _keys, query=query, may_repeat=True)


def create_key(
    app_slug: str,
    *,
    name: str,
    idempotency_key: str | None = None,
    wait_seconds: int | None = None,
    **options: Unpack[NewKeyOptions],
) -> Call[results.IssuedKey]:
    """Make a key; its secret is in the result, this once.

    `limits` hold for this key besides those of its app. Raises SecretLost where the answer got lost
    and the retry found the key made: rotate it.
    """
    body = without_absent({"name": name, **_as_json(options)})
    return creating(f"{app_path(app_slug)}/keys", body, _issued_key, idempotency_key, wait_seconds)


def update_key(
    app_slug: str,
    key_id: str,
    *,
    if_match: str | None = None,
    wait_seconds: int | None = None,
    **changes: Unpack[KeyChanges],
) -> Call[results.Key]:
    """Change a key: what is absent stays, and None takes its end away; a list replaces all of its kind.

    Give each limit that stays its `id`: it goes on counting. With `if_match`, the `etag` of an earlier
    change, raises ChangedMeanwhile if the key changed since.
    """
    headers = if_match_header(if_match)
    path, body = _key(app_slug, key_id), _as_json(changes)
    return Call("PATCH", path, tagged(results.Key), body=body, headers=headers, wait_seconds=wait_seconds)


def rotate_key(
    app_slug: str,
    key_id: str,
    *,
    overlap_seconds: int | None = None,
    idempotency_key: str | None = None,
    wait_seconds: int | None = None,
) -> Call[results.IssuedKey]:
    """Replace a key; the old one works for `overlap_seconds` longer, the app's default unless said.

    Raises NotFound for a key that has ended, SecretLost as `create_key` does.
    """
    body = without_absent({"overlap_seconds": overlap_seconds})
    return creating(f"{_key(app_slug, key_id)}/rotate", body, _issued_key, idempotency_key, wait_seconds)


def change_overlap(
    app_slug: str, key_id: str, *, overlap_ends_at: datetime, wait_seconds: int | None = None
) -> Call[results.Key]:
    """Say until when the old secret of a rotated key works, 30 days after the rotation at most."""
    body = {"overlap_ends_at": moment_text(overlap_ends_at)}
    return _change(app_slug, key_id, "change-overlap", wait_seconds, body)


def end_overlap(app_slug: str, key_id: str, *, wait_seconds: int | None = None) -> Call[results.Key]:
    """End the overlap of a rotated key now."""
    return _change(app_slug, key_id, "end-overlap", wait_seconds)


def revoke_key(
    app_slug: str, key_id: str, *, reason: str | None = None, wait_seconds: int | None = None
) -> Call[results.Propagated]:
    """End a key for good, within a second everywhere. Raises NotFound for one that is revoked already."""
    path, body = f"{_key(app_slug, key_id)}/revoke", without_absent({"reason": reason})
    return Call("POST", path, reader(results.Propagated), body=body, wait_seconds=wait_seconds)


def undo_revoke(app_slug: str, key_id: str, *, wait_seconds: int | None = None) -> Call[results.Key]:
    """Take a revoke back, for as long as the app's policy lets it; the same secret works again.

    Raises Conflict once that time is over.
    """
    return _change(app_slug, key_id, "undo-revoke", wait_seconds)


def disable_key(
    app_slug: str, key_id: str, *, reason: str | None = None, wait_seconds: int | None = None
) -> Call[results.Key]:
    """Block a key until it is enabled again."""
    return _change(app_slug, key_id, "disable", wait_seconds, without_absent({"reason": reason}))


def enable_key(
    app_slug: str, key_id: str, *, reason: str | None = None, wait_seconds: int | None = None
) -> Call[results.Key]:
    """Let a disabled key through again."""
    return _change(app_slug, key_id, "enable", wait_seconds, without_absent({"reason": reason}))


def preview_impact(
    app_slug: str,
    key_id: str,
    *,
    action: Literal["revoke", "disable"] | None = None,
    **changes: Unpack[Proposal],
) -> Call[results.Impact]:
    """Tell which of a key's latest calls a change would have blocked: an action, or new values. Changes nothing."""
    body = without_absent({"action": action, **_as_json(changes)})
    return Call("POST", f"{_key(app_slug, key_id)}/impact", reader(results.Impact), body=body, may_repeat=True)


def _change(
    app_slug: str, key_id: str, what: str, wait_seconds: int | None, body: Mapping[str, Any] | None = None
) -> Call[results.Key]:
    path = f"{_key(app_slug, key_id)}/{what}"
    return Call("POST", path, reader(results.Key), body=body, wait_seconds=wait_seconds)


def _key(app_slug: str, key_id: str) -> str:
    return f"{app_path(app_slug)}/keys/{segment(key_id, 'key_id')}"


def _as_json(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _AS_JSON[name](value) if name in _AS_JSON else value for name, value in options.items()}


def _keys(answer: Answer) -> tuple[results.Key, ...]:
    return read_as(results.KeyList, json_object(answer)).keys


def _issued_key(answer: Answer) -> results.IssuedKey:
    body = json_object(answer)
    if body.get("secret") is None and body.get("replayed") is True:
        raise SecretLost(read_as(results.Key, body.get("key")))
    return read_as(results.IssuedKey, body)
