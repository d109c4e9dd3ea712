"""The client's changes to a key against a whole Keystead: in place, too early, taken back, and waited for."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from keystead_client import AsyncKeystead, ChangedMeanwhile, Conflict, IssuedKey, Keystead, LogEntry, NotFound, Rule

from tests.clients.python.conftest import patient, run
from tests.support.running import Running, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

CALL: dict[str, Any] = {"method": "GET", "resource": "/v2/routes"}
WAIT: dict[str, Any] = {"wait_seconds": 10}
HOURLY = Rule("calendar_month", 1, 1, endpoints=("/v2/routes",))


@pytest.fixture
def issued(keystead: Keystead, slug: str) -> IssuedKey:
    return keystead.create_key(slug, name="ci", permissions=["routes:read"], user_id="dana")


def reason(keystead: Keystead, issued: IssuedKey) -> str | None:
    return keystead.check(issued.secret, **CALL).reason


def test_a_key_is_changed_in_place(keystead: Keystead, slug: str, issued: IssuedKey) -> None:
    end = datetime.now(UTC) + timedelta(days=30)
    changed = keystead.update_key(slug, issued.key.id, name="nightly", metadata={"team": "blue"}, expires_at=end)

    assert (changed.name, changed.metadata, changed.expires_at) == ("nightly", {"team": "blue"}, end)
    assert changed.permissions == ("routes:read",)
    again = keystead.update_key(slug, issued.key.id, if_match=changed.etag, expires_at=None, permissions=[])
    assert (again.expires_at, again.permissions, again.name) == (None, (), "nightly")
    with pytest.raises(ChangedMeanwhile):
        keystead.update_key(slug, issued.key.id, if_match=changed.etag, name="late")


def test_a_key_has_limits_of_its_own_which_go_on_counting(keystead: Keystead, slug: str) -> None:
    issued = keystead.create_key(slug, name="ci", limits=[HOURLY], **WAIT)
    (limit,) = issued.key.limits
    assert (limit.mode, limit.max_requests, limit.endpoints) == ("per_key", 1, ("/v2/routes",))
    assert issued.key.rate_limits[0].max_requests == 2
    assert [reason(keystead, issued) for _ in range(2)] == [None, "rate_limited"]

    changed = keystead.update_key(slug, issued.key.id, limits=[replace(limit, max_requests=2)], **WAIT)

    assert [each.id for each in changed.limits] == [limit.id]
    assert [reason(keystead, issued) for _ in range(2)] == [None, "rate_limited"]


def test_a_change_that_was_waited_for_holds_at_once(keystead: Keystead, slug: str, issued: IssuedKey) -> None:
    assert issued.propagated is None
    assert reason(keystead, issued) is None

    for change, expected in ((keystead.disable_key, "key_disabled"), (keystead.revoke_key, "key_revoked")):
        done = change(slug, issued.key.id, reason="found in a log", **WAIT)
        assert (done.propagated, done.gateways.acknowledged) == (True, done.gateways.live)  # type: ignore[union-attr]  # it was waited for
        assert reason(keystead, issued) == expected


def test_a_key_is_disabled_and_enabled_again(keystead: Keystead, slug: str, issued: IssuedKey) -> None:
    assert keystead.disable_key(slug, issued.key.id).status == "disabled"
    assert keystead.enable_key(slug, issued.key.id, reason="it was a test", **WAIT).status == "active"
    assert reason(keystead, issued) is None


def test_a_revoke_is_taken_back_while_the_policy_lets_it(keystead: Keystead, slug: str, issued: IssuedKey) -> None:
    policy = {"revocation": {"undo_minutes": 10}}
    assert keystead.update_app(slug, policy=policy).policy["revocation"] == policy["revocation"]
    keystead.revoke_key(slug, issued.key.id)

    assert keystead.undo_revoke(slug, issued.key.id, **WAIT).status == "active"
    assert reason(keystead, issued) is None
    with pytest.raises(Conflict):
        keystead.undo_revoke(slug, issued.key.id)


def test_an_overlap_is_extended_and_ended(keystead: Keystead, slug: str, issued: IssuedKey) -> None:
    until = datetime.now(UTC) + timedelta(days=2)
    keystead.rotate_key(slug, issued.key.id, overlap_seconds=60)

    assert keystead.change_overlap(slug, issued.key.id, overlap_ends_at=until).overlap_ends_at == until
    assert keystead.end_overlap(slug, issued.key.id, **WAIT).status == "rotated_out"
    assert reason(keystead, issued) == "key_rotated_out"


def test_what_a_change_would_block_is_told_before_it_is_made(keystead: Keystead, slug: str, issued: IssuedKey) -> None:
    keystead.check(issued.secret, **CALL, client_ip="203.0.113.9", required_permissions=["routes:read"])
    decisions = until(lambda: _logged(keystead, slug), 10, "the call is in the log")
    assert decisions[0].required_permissions == ("routes:read",)

    impact = keystead.preview_impact(slug, issued.key.id, permissions=["routes:write"])

    assert (impact.calls, impact.blocked, impact.path_count) == (1, 1, 1)
    assert [(each.rule, each.calls) for each in impact.rules] == [("permission_denied", 1)]
    assert [each.client_ip for each in impact.addresses] == ["203.0.113.9"]
    assert keystead.preview_impact(slug, issued.key.id, permissions=["routes:read"]).blocked == 0
    assert keystead.preview_impact(slug, issued.key.id, action="revoke").blocked == 1
    assert reason(keystead, issued) is None


def test_the_keys_that_a_policy_would_touch_are_told_page_by_page(keystead: Keystead, slug: str) -> None:
    policy = {"expiry": {"mode": "mandatory", "longest_days": 90}}
    made = {keystead.create_key(slug, name="ci").key.id for _ in range(2)}
    first = keystead.preview_policy(slug, policy=policy, limit=1)
    assert (len(first.data), first.has_more) == (1, True)

    rest = keystead.preview_policy(slug, policy=policy, cursor=first.next_cursor)

    assert {key.id for key in (*first.data, *rest.data)} >= made
    assert rest.policy_applies_at == first.policy_applies_at
    assert all(key.expires_at and key.rotation_due_at is None for key in rest.data)
    assert keystead.get_app(slug).policy["expiry"]["mode"] == "optional"


def _logged(keystead: Keystead, slug: str) -> list[LogEntry]:
    return list(keystead.iterate_logs(slug, method="GET", path_prefix="/v2", client_ip="203.0.113.9"))


def test_a_user_who_left_loses_what_the_policy_says(keystead: Keystead, slug: str, issued: IssuedKey) -> None:
    keystead.update_app(slug, policy={"scope": {"keys_outlive_creator": False}})

    removed = keystead.remove_subject(slug, "dana", **WAIT)

    assert (removed.subject_id, removed.keys_revoked, removed.keys_left) == ("dana", 1, 0)
    assert removed.propagated
    assert reason(keystead, issued) == "key_revoked"
    with pytest.raises(NotFound):
        keystead.remove_subject(slug, "nobody@example.com")


def test_the_async_client_waits_as_well(running: Running, slug: str, issued: IssuedKey) -> None:
    async def walk() -> tuple[bool | None, str | None]:
        async with AsyncKeystead(running.web_url, running.backend_key, **patient(running)) as client:
            done = await client.revoke_key(slug, issued.key.id, wait_seconds=10)
            return done.propagated, (await client.check(issued.secret, **CALL)).reason

    assert run(walk()) == (True, "key_revoked")
