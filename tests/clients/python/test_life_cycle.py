"""The client against a whole Keystead of real processes: what it says is understood, what comes back is read."""

import time
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from keystead_client import (
    AsyncKeystead,
    ChangedMeanwhile,
    Conflict,
    Invalid,
    Keystead,
    LogEntry,
    NotAuthenticated,
    NotFound,
    Question,
    Rule,
)

from tests.clients.python.conftest import patient, run
from tests.clients.python.products import PRODUCTS
from tests.support.running import Running, until

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

CALL = {"method": "GET", "resource": "/v2/routes"}


def test_an_app_is_made_read_changed_and_deleted(keystead: Keystead, slug: str) -> None:
    app = keystead.get_app(slug)
    changed = keystead.update_app(slug, if_match=app.etag, description="Routes", default_overlap_seconds=60)

    assert (changed.description, changed.default_overlap_seconds) == ("Routes", 60)
    with pytest.raises(ChangedMeanwhile):
        keystead.update_app(slug, if_match=app.etag, name="Late")
    assert keystead.update_app(slug, description=None).description is None
    assert slug in [each.app_slug for each in keystead.list_apps(search=slug).apps]
    with pytest.raises(Conflict):
        keystead.create_app(slug, name="Again", key_prefix="acme")
    keystead.delete_app(slug)
    with pytest.raises(NotFound):
        keystead.get_app(slug)


def test_a_rate_limit_scheme_is_made_read_changed_and_deleted(keystead: Keystead) -> None:
    slug = f"s{time.time_ns()}"
    made = keystead.create_scheme(slug, name="Slow", rules=[Rule("minute", 1, 60, endpoints=("/a",))])

    assert (made.rules[0].max_requests, made.rules[0].mode, made.rules[0].endpoints) == (60, "per_app", ("/a",))
    assert keystead.update_scheme(slug, name="Slower").name == "Slower"
    assert slug in [each.slug for each in keystead.list_schemes()]
    keystead.delete_scheme(slug)
    with pytest.raises(NotFound):
        keystead.get_scheme(slug)


def test_a_key_lives_is_rotated_and_revoked(keystead: Keystead, slug: str) -> None:
    end = datetime.now(UTC) + timedelta(days=30)
    old = keystead.create_key(slug, name="ci", permissions=["routes:read"], metadata={"team": "blue"}, expires_at=end)
    assert keystead.check(old.secret, **CALL, required_permissions=["routes:read"]).identity.key_name == "ci"  # type: ignore[union-attr]  # a yes has one
    assert (old.key.expires_at, old.key.metadata) == (end, {"team": "blue"})

    new = keystead.rotate_key(slug, old.key.id, overlap_seconds=3600)
    assert [keystead.check(each.secret, **CALL).allowed for each in (old, new)] == [True, True]

    keystead.revoke_key(slug, new.key.id, reason="leaked")
    decision = until(lambda: _no(keystead, new.secret), 5, "the revoke holds")
    assert (decision.status, decision.reason, decision.message) == (401, "key_revoked", "This key has been revoked.")
    with pytest.raises(NotFound):
        keystead.revoke_key(slug, new.key.id)
    assert [key.id for key in keystead.list_keys(slug)] == [old.key.id]
    assert {key.id for key in keystead.list_keys(slug, include_inactive=True)} == {old.key.id, new.key.id}


def _no(keystead: Keystead, secret: str) -> object:
    decision = keystead.check(secret, **CALL)
    return None if decision.allowed else decision


def test_an_idempotency_key_of_the_callers_makes_one_key(keystead: Keystead, slug: str) -> None:
    keystead.create_key(slug, name="ci", idempotency_key="order-1")

    with pytest.raises(Invalid, match="another body") as raised:
        keystead.create_key(slug, name="other", idempotency_key="order-1")
    assert (raised.value.status, raised.value.code) == (422, "idempotency_key_reused")
    assert len(keystead.list_keys(slug)) == 1


def test_refusals_say_what_and_where(keystead: Keystead, running: Running, slug: str) -> None:
    with pytest.raises(Invalid) as raised:
        keystead.create_key(slug, name="")
    assert (raised.value.field, raised.value.status) == ("name", 400)
    assert raised.value.request_id
    with pytest.raises(Invalid) as raised:
        keystead.get_app("../session")
    assert raised.value.field == "app_slug"
    with Keystead(running.web_url, "ksb_wrong") as stranger, pytest.raises(NotAuthenticated):
        stranger.list_apps()


def test_a_ticket_leads_into_the_portal(keystead: Keystead, running: Running, slug: str) -> None:
    ticket = keystead.issue_ticket(slug, role="viewer", subject={"id": "u1", "name": "Dana Okafor"}, expires_in=30)

    assert urlsplit(ticket.url).netloc == urlsplit(running.web_url).netloc
    assert ticket.url.endswith(ticket.ticket)
    assert 0 < ticket.expires_at - time.time() <= 30
    with pytest.raises(NotFound):
        keystead.issue_ticket("aa_none")


def test_decisions_are_listed_counted_and_drawn(keystead: Keystead, slug: str) -> None:
    issued = keystead.create_key(slug, name="ci")
    asked = [keystead.check(issued.secret, **CALL) for _ in range(3)]
    assert [decision.reason for decision in asked] == [None, None, "rate_limited"]
    assert asked[2].retry_after

    def all_listed() -> list[LogEntry]:
        entries = list(keystead.iterate_logs(slug, limit=1))
        return entries if len(entries) == 3 else []

    entries = until(all_listed, 10, "three decisions in the log")
    # The newest first: an id begins with its millisecond, in which several calls may fall.
    assert [entry.request_id for entry in entries] == sorted((each.request_id for each in asked), reverse=True)
    outcome = {entry.request_id: entry.outcome for entry in entries}
    assert [outcome[each.request_id] for each in asked] == ["allowed", "allowed", "blocked"]
    assert [entry.rule for entry in keystead.iterate_logs(slug, outcome="blocked")] == ["rate_limited"]
    totals = keystead.analytics(slug, include_top_keys=True, include_blocked_reasons=True, include_top_paths=True)
    assert (totals.total_requests, totals.allowed_requests, totals.blocked_requests) == (3, 2, 1)
    assert totals.top_keys is not None
    assert totals.top_keys[0].key_name == "ci"
    assert sum(point.total_requests for point in keystead.timeseries(slug, interval="day").data) == 3


def test_a_batch_is_decided_in_order_and_uses_limits_up_in_order(keystead: Keystead, slug: str) -> None:
    reader = keystead.create_key(slug, name="reader", permissions=["routes:read"]).secret
    read = Question(reader, "GET", "/v2/routes", ["routes:read"], "203.0.113.9", "x/1")
    asked = [
        read,
        Question(reader, "POST", "/v2/routes", "routes:write"),
        read,
        read,
        Question("no", "GET", "/v2/routes"),
    ]

    decisions = keystead.check_batch(asked)

    assert [(each.status, each.reason) for each in decisions] == [
        (200, None),
        (200, "permission_denied"),
        (200, None),
        (200, "rate_limited"),
        (401, "invalid_key"),
    ]
    assert len({each.request_id for each in decisions}) == 5
    assert decisions[3].rate_limit_fields["ratelimit"].startswith('"2/')
    with pytest.raises(Invalid) as raised:
        keystead.check_batch([read, Question(reader, "BREW", "/v2/routes")])
    assert raised.value.field == "checks[1].method"
    with pytest.raises(Invalid):
        keystead.check_batch([read] * 101)


def test_the_async_client_does_the_same(running: Running, keystead: Keystead, slug: str) -> None:
    async def walk() -> list[str | None]:
        async with AsyncKeystead(running.web_url, running.backend_key, **patient(running)) as client:
            issued = await client.create_key(slug, name="ci")
            reasons = [(await client.check(issued.secret, **CALL)).reason for _ in range(3)]
            listed = [entry async for entry in client.iterate_logs(slug)]
            assert len(listed) <= 3
            return reasons

    assert run(walk()) == [None, None, "rate_limited"]


@pytest.mark.parametrize("name", sorted(PRODUCTS))
def test_every_adapter_keeps_to_what_the_gateway_decides(
    name: str, running: Running, keystead: Keystead, slug: str
) -> None:
    reader = keystead.create_key(slug, name="reader", permissions=["routes:read"])
    path = {"drf": "/drf/routes", "django decorator in a loop": "/loop/routes"}.get(name, "/v2/routes")
    with PRODUCTS[name]({**patient(running), "app_slug": slug}) as call:
        headers = {"X-API-Key": reader.secret}
        answers = [call("POST", headers), *(call("GET", headers) for _ in range(3)), call("GET", {"X-API-Key": "no"})]

    assert [answer.status for answer in answers] == [403, 200, 200, 429, 401]
    assert answers[1].body == {"key": "reader"}
    assert int(answers[3].headers["retry-after"]) > 0
    for answer in answers[1:4]:
        assert {"ratelimit", "ratelimit-policy"} <= answer.headers.keys()
        assert any(name.startswith("x-ratelimit-") for name in answer.headers)
    logged = until(lambda: _entry(keystead, slug, answers[0].body["request_id"]), 10, "the refusal in the log")
    assert (logged.path, logged.client_ip) == (f"POST {path}", "127.0.0.1")


def _entry(keystead: Keystead, slug: str, request_id: str) -> LogEntry | None:
    return next((each for each in keystead.iterate_logs(slug) if each.request_id == request_id), None)
