"""`Prefer: wait=…`: who asks is told when a change is in force on every gateway, and never told so before."""

import threading
from datetime import timedelta
from urllib.parse import urlencode
from uuid import uuid4

import psycopg
import pytest
from django.test import Client
from django.utils import timezone

from apiauth.core import clock
from apiauth.core.events import Event
from apiauth.models import ActivityEntry, GatewayStatus, IdempotentAnswer
from apiauth.services import policies, propagation
from tests.conftest import ACTOR
from tests.support.database import dsn
from tests.support.gateways import GatewayInProcess
from tests.support.proxy import FreezingProxy
from tests.support.running import until

pytestmark = pytest.mark.django_db(transaction=True)
JSON = "application/json"


def revoke(backend, key, wait="wait=10"):
    path = f"/api-auth/apps/aa_1/keys/{key.id}/revoke"
    return backend.post(path, {}, content_type=JSON, headers={"Prefer": wait})


@pytest.fixture(autouse=True)
def no_other_gateway(transactional_db):
    GatewayStatus.objects.all().delete()


@pytest.fixture
def silent_gateway(no_other_gateway):
    """A gateway that was heard of just now and has taken nothing in, as one that hangs."""
    now = timezone.now()
    return GatewayStatus.objects.create(
        incarnation=uuid4(), host="elsewhere", pid=1, generation=1, confirmed_at=now, started_at=now
    )


def test_200_once_every_gateway_refuses_the_revoked_key(no_other_gateway, gateway, tmp_path, backend, make_key):
    second = GatewayInProcess(tmp_path / "second")
    for number in range(5):
        issued = make_key(f"key {number}")
        response = revoke(backend, issued.key)
        assert response.json() == {"propagated": True, "gateways": {"acknowledged": 2, "live": 2}}
        assert response["Preference-Applied"] == "wait=10"
        assert [each.check(issued.secret.text)[1]["rule"] for each in (gateway, second)] == ["key_revoked"] * 2
    second.close()


def test_a_long_transaction_elsewhere_holds_up_nobody(gateway, backend, make_key):
    issued = make_key()
    with psycopg.connect(dsn()) as other:
        other.execute("SELECT pg_current_xact_id()")
        assert revoke(backend, issued.key).json()["propagated"] is True


def test_a_gateway_that_says_nothing_is_waited_for_and_counted(gateway, silent_gateway, backend, make_key):
    answer = revoke(backend, make_key().key, "wait=0").json()
    assert answer["propagated"] is False
    assert answer["gateways"]["live"] == 2
    assert revoke(backend, make_key("b").key, "wait=3").json()["gateways"] == {"acknowledged": 1, "live": 2}


def test_a_gateway_that_must_have_stopped_answering_is_not_waited_for(gateway, silent_gateway, backend, make_key):
    GatewayStatus.objects.filter(pk=silent_gateway.pk).update(confirmed_at=timezone.now() - timedelta(seconds=60))
    assert revoke(backend, make_key().key).json()["propagated"] is True


@pytest.mark.parametrize(("bound", "counts"), [(600, True), (0, False)], ids=["longer", "shorter"])
def test_how_long_a_silent_gateway_counts_is_what_it_says_itself(
    no_other_gateway, tmp_path, backend, make_key, bound, counts
):
    issued = make_key()
    proxy = FreezingProxy(dsn())
    gateway = GatewayInProcess(tmp_path, database=proxy.address, stale_bound_seconds=bound)
    try:
        gateway.until(issued.secret.text, 200)
        proxy.freeze_all()
        until(lambda: gateway.checker.freshness().stale_ms > 2_000, 10, "nothing is heard any more")
        GatewayStatus.objects.update(confirmed_at=timezone.now() - timedelta(seconds=30))
        told = revoke(backend, issued.key, "wait=0").json()
        assert told == {"propagated": not counts, "gateways": {"acknowledged": 0, "live": int(counts)}}
        assert gateway.check(issued.secret.text)[0] == (200 if counts else 503)
    finally:
        proxy.close()
        gateway.close()


def test_a_rotation_that_is_sent_again_tells_of_the_first(gateway, backend, make_key):
    key = make_key().key
    headers = {"Prefer": "respond-async, WAIT=10", "Idempotency-Key": "once"}
    answers = [
        backend.post(
            f"/api-auth/apps/aa_1/keys/{key.id}/rotate", {"overlap_seconds": 0}, content_type=JSON, headers=headers
        ).json()
        for _ in range(2)
    ]
    assert [answer["propagated"] for answer in answers] == [True, True]
    assert answers[1]["replayed"] is True
    assert "propagated" not in IdempotentAnswer.objects.get().answer


def test_where_others_wait_already_nobody_says_that_it_was_waited(silent_gateway, backend, make_key, monkeypatch):
    monkeypatch.setattr(propagation, "_seats", threading.BoundedSemaphore(1))
    with propagation._seats:
        response = revoke(backend, make_key().key)
    assert response.json() == {"propagated": False, "gateways": {"acknowledged": 0, "live": 1}}
    assert "Preference-Applied" not in response
    assert revoke(backend, make_key("b").key, "wait=0")["Preference-Applied"] == "wait=0"


def test_a_change_of_an_app_is_waited_for_too(gateway, backend, app, make_key):
    secret = make_key().secret.text
    body = {"is_active": False}
    answer = backend.patch("/api-auth/apps/aa_1", body, content_type=JSON, headers={"Prefer": "wait=10"}).json()
    assert (answer["propagated"], answer["is_active"]) == (True, False)
    assert gateway.check(secret)[1]["rule"] == "app_disabled"
    assert backend.delete("/api-auth/apps/aa_1", headers={"Prefer": "wait=10"}).json()["propagated"] is True


def test_a_new_key_is_known_to_every_gateway_that_acknowledged_it(no_other_gateway, gateway, backend, app):
    gateway.checker._listener = None  # it asks nobody about a key that it does not know
    answer = backend.post(
        "/api-auth/apps/aa_1/keys", {"name": "ci"}, content_type=JSON, headers={"Prefer": "wait=10"}
    ).json()
    assert (answer["propagated"], answer["gateways"]) == (True, {"acknowledged": 1, "live": 1})
    assert gateway.check(answer["secret"])[0] == 200


def test_a_change_of_limits_is_waited_for_too(gateway, backend, app, make_key):
    rule = {"unit": "calendar_month", "duration": 1, "max_requests": 1000}
    scheme = {"slug": "s", "name": "S", "rules": [rule]}
    backend.post("/api-auth/rate-limit-schemes", scheme, content_type=JSON)
    backend.patch("/api-auth/apps/aa_1", {"rate_limit_scheme_slug": "s"}, content_type=JSON)
    body = {"rules": [{**rule, "max_requests": 1}]}
    headers = {"Prefer": "wait=10"}
    answer = backend.patch("/api-auth/rate-limit-schemes/s", body, content_type=JSON, headers=headers)
    assert (answer.json()["propagated"], answer["Preference-Applied"]) == (True, "wait=10")
    secret = make_key().secret.text
    assert [gateway.check(secret)[1]["allowed"] for _ in range(2)] == [True, False]


@pytest.fixture
def page(app, session_for):
    """A page of the product in a session that may do anything."""
    client = Client(headers={"Origin": "http://127.0.0.1:9000"})
    client.cookies["ks_session"] = session_for(app, role="owner").token
    return client


def change(page, path, fields, wait="wait=10", **headers):
    return page.post(
        f"/api-auth/keys{path}",
        urlencode(fields),
        content_type="application/x-www-form-urlencoded",
        headers={"Prefer": wait, **headers},
    )


def give_policy(app, policy):
    where = {"deployment_id": app.deployment_id, "slug": app.slug, "seen": None, "applies_at": None}
    policies.edit_app(**where, changes={"policy": policy}, actor=ACTOR, now=clock.now())


def test_every_change_from_a_page_is_waited_for_too(gateway, page, app, make_key):
    gateway.checker._listener = None  # it asks nobody about a key that it does not know
    give_policy(app, {"revocation": {"undo_minutes": 10}})
    made = told(change(page, "", {"name": "ci"}))
    secret, path = made["secret"], f"/{made['id']}"
    soon = clock.now() + timedelta(hours=1)
    for what, fields, allowed in (
        ("/disable", {}, False),
        ("/enable", {}, True),
        ("/revoke", {}, False),
        ("/undo-revoke", {}, True),
        ("/edit", {"allowed_cidrs": "203.0.113.9"}, False),
        ("/edit", {"allowed_cidrs": ""}, True),
        ("/rotate", {"overlap_seconds": 60}, True),
        ("/change-overlap", {"overlap_ends_at": soon.isoformat()}, True),
        ("/end-overlap", {}, False),
    ):
        told(change(page, path + what, fields))
        assert gateway.check(secret)[1]["allowed"] is allowed, what


def told(response):
    data = response.json()["data"]
    assert (data["propagated"], data["gateways"]) == (True, {"acknowledged": 1, "live": 1}), data
    assert response["Preference-Applied"] == "wait=10"
    return data


def test_a_page_that_does_not_ask_is_told_nothing_of_gateways(page, make_key):
    response = change(page, f"/{make_key().key.id}/revoke", {}, "")
    assert response.json()["data"] == {"success": True}
    assert "Preference-Applied" not in response


def test_a_page_of_another_origin_may_ask_and_read_what_was_heeded(page, make_key):
    preflight = page.options("/api-auth/keys", headers={"Access-Control-Request-Method": "POST"})
    assert "Prefer" in preflight["Access-Control-Allow-Headers"].split(", ")
    response = change(page, f"/{make_key().key.id}/disable", {})
    assert "Preference-Applied" in response["Access-Control-Expose-Headers"].split(", ")


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "once"}], ids=["once", "repeatable"])
def test_an_attempt_beyond_the_role_stays_on_record_where_it_asks_to_wait(page, app, session_for, headers):
    give_policy(app, {"authority": {"change_limits": "owner"}})
    page.cookies["ks_session"] = session_for(app, role="admin").token
    limits = '[{"unit": "minute", "duration": 1, "max_requests": 5}]'
    assert change(page, "", {"name": "ci", "limits": limits}, **headers).status_code == 403
    assert ActivityEntry.objects.filter(event=Event.SESSION_DENIED).count() == 1
    assert not app.keys.exists()


@pytest.mark.parametrize(
    "prefer", ["wait=11", "wait=99999999999", f"wait={'9' * 900}", 'wait="99999999999"', f"wait={'0' * 20}11"]
)
def test_a_long_wait_is_heeded_as_the_longest_there_is(gateway, backend, make_key, prefer):
    response = revoke(backend, make_key().key, prefer)
    assert (response.json()["propagated"], response["Preference-Applied"]) == (True, "wait=10")


@pytest.mark.parametrize("prefer", ["wait=-1", "wait=x", "wait", "return=minimal", "wait=1.5", ""])
def test_a_preference_that_nobody_can_read_is_ignored(backend, make_key, prefer):
    response = revoke(backend, make_key().key, prefer)
    assert response.json() == {}
    assert "Preference-Applied" not in response


def test_a_refused_call_says_nothing_of_gateways(gateway, backend, make_key):
    key = make_key().key
    revoke(backend, key)
    response = revoke(backend, key)
    assert response.status_code == 404
    assert "propagated" not in response.json()
