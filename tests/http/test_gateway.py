"""The gateway's answers: exact on the wire, recorded each, and a 4xx for whatever cannot be read."""

import json
from datetime import datetime, timedelta
from ipaddress import ip_network

import pytest
from django.db import connection
from django.db.models import F
from django.db.models.expressions import RawSQL
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from apiauth.audit.spool import SpoolFull
from apiauth.core import clock, ids
from apiauth.core.policy import read_policy
from apiauth.core.scope import Owner
from apiauth.core.secrets import mint
from apiauth.http.gateway import NetworkAdmission, TokenAdmission
from apiauth.models import App, Key
from apiauth.services import apps, deployments, installation, keys
from apiauth.verify.lease_store import LeaseStore
from apiauth.verify.leases import LeasedLimiter
from apiauth.verify.limiter import STRETCHES, Limiter
from tests.conftest import ACTOR
from tests.support.bad_inputs import BODIES, GOOD, PAIRS, PRESENTED, VALUE, body_with, written
from tests.support.database import dsn
from tests.support.gateways import GatewayInProcess, question
from tests.support.proxy import FreezingProxy
from tests.support.running import until

pytestmark = pytest.mark.django_db(transaction=True)

WAIT = {"Prefer": "wait=10"}
SHAPE = {
    "request_id", "allowed", "reason", "blocked_rule", "rule", "identity", "permissions", "metadata", "rate_limits",
    "retry_after", "headers", "stale_ms",
}  # fmt: skip
ERROR = {"message", "code", "details", "errors"}


def test_200_allowed_in_the_full_shape(gateway, app, secret):
    status, answer = gateway.check(secret, required_permissions=["routes:read"], client_ip="203.0.113.9")
    key = Key.objects.get()
    assert status == 200
    assert set(answer) == SHAPE
    assert answer["allowed"] is True
    assert (answer["reason"], answer["blocked_rule"], answer["rule"], answer["retry_after"]) == (None,) * 4
    assert answer["identity"] == {
        "key_id": str(key.id), "deployment_id": str(app.deployment_id), "app_slug": "aa_1", "key_name": key.name,
        "owner_user_id": None, "organization_id": None, "workspace_id": None, "organization_membership_id": None,
        "workspace_membership_id": None,
    }  # fmt: skip
    assert answer["permissions"] == ["routes:read"]
    assert answer["metadata"] == {"team": "blue"}
    assert answer["rate_limits"] == [{"rule": "1000/60s", "remaining": 999, "limit": 1000}]
    seconds = answer["headers"].pop("ratelimit").rpartition(";t=")[2]
    assert 1 <= int(seconds) <= 60
    assert answer["headers"] == {
        "x-wacht-key-id": str(key.id), "x-wacht-deployment-id": str(app.deployment_id), "x-wacht-app-slug": "aa_1",
        "x-wacht-key-name": key.name, "x-wacht-permissions": "routes:read", "x-wacht-metadata": "team=blue",
        "x-ratelimit-60s-limit": "1000", "x-ratelimit-60s-remaining": "999",
        "ratelimit-policy": '"1000/60s";q=1000;w=60',
    }  # fmt: skip


def test_the_identity_is_whom_the_key_belongs_to(gateway, make_app, make_key):
    owned = make_app("aa_2", user_id="u_app", organization_id="o_app")
    dana = Owner("u_dana", "o_dana", "w,dana")
    of_dana = make_key(in_app=owned, owner=dana).secret.text
    of_app = make_key(in_app=owned).secret.text
    answers = {whose: gateway.check(text)[1] for whose, text in (("dana", of_dana), ("app", of_app))}
    fields = ("owner_user_id", "organization_id", "workspace_id")
    found = {whose: tuple(answer["identity"][field] for field in fields) for whose, answer in answers.items()}
    assert found == {"dana": ("u_dana", "o_dana", "w,dana"), "app": ("u_app", "o_app", None)}
    headers = answers["dana"]["headers"]
    forwarded = (headers["x-wacht-organization-id"], headers["x-wacht-workspace-id"])
    assert forwarded == ("o_dana", "w%2Cdana")


def test_a_key_that_names_nobody_belongs_to_whom_its_app_belongs_to_now(gateway, app, secret):
    App.objects.filter(pk=app.pk).update(user_id="u_later")
    gateway.listener.look_up()
    assert gateway.check(secret)[1]["identity"]["owner_user_id"] == "u_later"


def test_headers_tell_how_much_of_the_database_a_decision_saw(gateway, app, secret):
    body = json.dumps(question(secret)).encode()
    status, headers, answer = gateway.call(body)
    assert (status, headers["Keystead-Stale-Ms"]) == (200, str(answer["stale_ms"]))
    before = int(headers["Keystead-Generation"])
    Key.objects.update(revoked_at=clock.now())
    changed = Key.objects.values_list(RawSQL("change_xid::text::bigint", []), flat=True).get()
    gateway.until(secret, 401)
    gateway.listener.look_up()
    generation = int(gateway.call(body)[1]["Keystead-Generation"])
    assert before <= changed < generation
    gateway.snapshot.confirmed_at -= 1
    status, headers, answer = gateway.call(b'{"checks":[%b]}' % body, path="/v1/authz/check-batch")
    assert (status, headers["Keystead-Stale-Ms"]) == (200, str(answer["decisions"][0]["stale_ms"]))


def test_the_record_is_in_the_spool_when_the_answer_is_out(gateway, app, secret):
    _, answer = gateway.check(secret, user_agent="x/1", client_ip="203.0.113.9", resource="/v1/a?token=x")
    (record,) = gateway.records()
    assert "req_" + record.id.hex() == answer["request_id"]
    assert ids.parse_request_id(answer["request_id"]) is not None
    assert (record.app_id, record.rule, record.path, record.client_ip) == (app.id, None, "/v1/a", "203.0.113.9")


def test_no_secret_reaches_the_record(gateway, app, secret):
    gateway.check(secret, resource=f"/v1/{secret}", user_agent=f"agent {secret}")
    gateway.check(mint("nw_live"))
    assert secret.encode() not in next((gateway.folder / "spool").glob("*.spool")).read_bytes()
    known, unknown = gateway.records()
    assert unknown.presented_start.startswith("nw_live_")
    assert len(unknown.presented_start) == len("nw_live_") + 4
    assert known.path.endswith("[redacted]")


def test_200_permission_denied_carries_nothing_to_forward(gateway, app, secret):
    status, answer = gateway.check(secret, required_permissions=["routes:read AND routes:write"])
    assert status == 200
    assert (answer["allowed"], answer["reason"], answer["blocked_rule"]) == (False,) + ("permission_denied",) * 2
    assert (answer["permissions"], answer["metadata"], answer["headers"], answer["rate_limits"]) == ([], {}, {}, [])
    (record,) = gateway.records()
    assert record.held_permissions == ["routes:read"]


def test_200_ip_not_allowed(gateway, app, make_key):
    secret = make_key(allowed_cidrs=["198.51.100.0/24", "2001:db8::/32"]).secret.text
    assert gateway.check(secret, client_ip="198.51.100.7")[1]["allowed"]
    assert gateway.check(secret, client_ip="::ffff:198.51.100.7")[1]["allowed"]
    assert gateway.check(secret, client_ip="2001:db8::5")[1]["allowed"]
    status, answer = gateway.check(secret, client_ip="203.0.113.9")
    assert (status, answer["reason"]) == (200, "permission_denied")
    assert (answer["blocked_rule"], answer["rule"]) == ("ip_not_allowed", "ip_not_allowed")


def test_200_resource_not_allowed(gateway, make_app, make_key):
    app = make_app("aa_bound", resources=["/v1/orders", "reports", "/v1/invoices"])
    secret = make_key(in_app=app, resources=["/v1/orders", "reports"]).secret.text
    for within in ("/v1/orders", "/v1/orders/", "/v1/orders/7?page=2", "v1/orders", "/v1/%6frders/7", "/reports/2027"):
        assert gateway.check(secret, resource=within)[1]["allowed"], within
    for outside in ("/v1/orders2", "/v1/invoices", "/v1", "/", "/V1/orders", "/x/v1/orders"):
        status, answer = gateway.check(secret, resource=outside, required_permissions=["routes:write"])
        assert (status, answer["reason"], answer["rate_limits"]) == (200, "permission_denied", [])
        assert (answer["blocked_rule"], answer["rule"]) == ("resource_not_allowed", "resource_not_allowed"), outside


def test_a_resource_that_the_app_names_no_longer_opens_nothing(gateway, make_app, make_key):
    app = make_app("aa_bound", resources=["/v1/orders", "/v1/reports"])
    both = make_key(in_app=app, resources=["/v1/orders", "/v1/reports"]).secret.text
    one = make_key(in_app=app, resources=["/v1/orders"]).secret.text
    assert gateway.check(one, resource="/v1/orders")[1]["allowed"]
    app.resources = ["/v1/reports"]
    app.save()
    gateway.listener.look_up()
    assert [gateway.check(secret, resource="/v1/orders")[1]["allowed"] for secret in (both, one)] == [False, False]
    assert [gateway.check(secret, resource="/v1/reports")[1]["allowed"] for secret in (both, one)] == [True, False]


def test_a_permission_that_the_app_names_no_longer_lets_calls_through_still(gateway, make_app, make_key):
    app = make_app("aa_named", permissions=["routes:read", "tiles:read"])
    secret = make_key(in_app=app, permissions=["tiles:read"]).secret.text
    app.permissions = ["routes:read"]
    app.save()
    gateway.listener.look_up()
    assert gateway.check(secret, required_permissions=["tiles:read"])[1]["allowed"]


def test_200_rate_limited_says_which_limit_and_how_long(app, secret, limit_app, tmp_path, transactional_db):
    limit_app({"unit": "calendar_day", "duration": 1, "max_requests": 2})
    gateway = GatewayInProcess(tmp_path)
    assert [gateway.check(secret)[1]["allowed"] for _ in range(2)] == [True, True]
    status, answer = gateway.check(secret)
    gateway.close()
    assert status == 200
    assert (answer["reason"], answer["rule"], answer["blocked_rule"]) == ("rate_limited", "rate_limited", "2/86400s")
    assert 1 <= answer["retry_after"] <= 86400
    assert answer["rate_limits"] == [{"rule": "2/86400s", "remaining": 0, "limit": 2}]
    assert answer["headers"] == {
        "x-ratelimit-86400s-limit": "2", "x-ratelimit-86400s-remaining": "0",
        "x-ratelimit-86400s-reset": str(answer["retry_after"]),
        "ratelimit-policy": '"2/86400s";q=2;w=86400', "ratelimit": f'"2/86400s";r=0;t={answer["retry_after"]}',
    }  # fmt: skip


def test_limits_count_whom_they_say(app, make_key, limit_app, tmp_path, transactional_db):
    day = {"unit": "calendar_day", "duration": 1}
    limit_app(
        {**day, "max_requests": 3, "mode": "per_key", "endpoints": ["/v1/key"]},
        {**day, "max_requests": 2, "mode": "per_ip", "endpoints": ["/v1/ip"]},
    )
    first, second = make_key().secret.text, make_key("Other").secret.text
    gateway = GatewayInProcess(tmp_path)

    def allowed(times, secret, path, ip):
        return sum(gateway.check(secret, resource=path, client_ip=ip)[1]["allowed"] for _ in range(times))

    assert allowed(5, first, "/v1/key?x=1", "203.0.113.9") == 3
    assert allowed(5, second, "/v1/key", "203.0.113.9") == 3
    assert allowed(5, first, "/v1/ip", "2001:db8:0:1::1") == 2
    assert allowed(1, second, "/v1/ip", "2001:db8:0:1::2") == 0, "one network counts as one"
    assert allowed(1, second, "/v1/ip", "2001:db8:0:2::1") == 1
    assert allowed(9, first, "/v1/else", "203.0.113.9") == 9
    gateway.close()


BLOCKS_AFTER_TWO_DAYS = {"rotation": {"mode": "required", "every_days": 1, "grace_days": 1, "when_overdue": "block"}}


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"is_active": False}, "app_disabled"),
        ({"deleted_at": clock.now()}, "app_disabled"),
        ({"disabled_at": clock.now()}, "key_disabled"),
        ({"revoked_at": clock.now() + timedelta(days=1)}, "key_revoked"),
        ({"expires_at": F("created_at") + timedelta(microseconds=1)}, "key_expired"),
        ({"created_at": clock.now() - timedelta(days=3)}, "rotation_overdue"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_401_with_its_rule_within_a_second_however_the_row_was_written(gateway, app, secret, change, rule):
    App.objects.update(policy=read_policy(BLOCKS_AFTER_TWO_DAYS))
    assert gateway.check(secret)[0] == 200
    model = App if set(change) & {"is_active", "deleted_at"} else Key
    model.objects.update(**change)
    assert gateway.until(secret, 401) < 1
    answer = gateway.check(secret)[1]
    assert set(answer) == SHAPE | ERROR
    assert (answer["allowed"], answer["reason"], answer["blocked_rule"], answer["rule"]) == (False, rule, rule, rule)
    assert answer["identity"]["app_slug"] == "aa_1"
    assert (answer["permissions"], answer["headers"]) == ([], {})
    assert gateway.records()[-1].rule == rule


def test_401_for_the_old_secret_once_it_is_rotated_out(gateway, app, make_key):
    issued = make_key()
    assert gateway.check(issued.secret.text)[0] == 200
    new = keys.rotate_key(app_id=app.id, key_id=issued.key.id, overlap=timedelta(0), actor=ACTOR, now=clock.now())
    gateway.until(issued.secret.text, 401)
    assert gateway.check(issued.secret.text)[1]["rule"] == "key_rotated_out"
    assert gateway.check(new.secret.text)[0] == 200


def test_a_key_works_at_once_after_it_was_made(gateway, app, make_key):
    for number in range(5):
        assert gateway.check(make_key(f"key {number}").secret.text)[0] == 200


@pytest.mark.parametrize("how", PRESENTED)
def test_401_that_says_no_more_than_invalid_key_and_a_record_that_does(gateway, app, secret, how):
    status, answer = gateway.check(PRESENTED[how](secret))
    assert status == 401
    assert set(answer) == SHAPE | ERROR
    assert (answer["reason"], answer["blocked_rule"], answer["rule"]) == ("invalid_key",) * 3
    assert set(answer["identity"].values()) == {None}
    (record,) = gateway.records()
    assert record.rule in ("key_malformed", "key_bad_checksum", "key_unknown")
    assert "req_" + record.id.hex() == answer["request_id"]


def test_400_for_a_lone_surrogate_in_a_key(gateway, secret):
    body = json.dumps(question(secret + "\ud800")).encode()
    assert gateway.call(body)[0] == 400


def test_an_unknown_key_is_filed_under_the_one_app_with_its_prefix(gateway, app, make_app, secret):
    make_app("aa_2", key_prefix="other")
    gateway.until(mint("nw_live"), 401)
    assert gateway.records()[-1].app_id == app.id
    make_app("aa_3", key_prefix="nw_live")
    gateway.listener.look_up()
    gateway.check(mint("nw_live"))
    assert gateway.records()[-1].app_id is None
    gateway.check(mint("stranger"))
    assert gateway.records()[-1].app_id is None


@pytest.mark.parametrize("what", BODIES)
def test_400_for_a_body_that_has_no_one_meaning(gateway, what):
    status, headers, answer = gateway.call(BODIES[what])
    assert status == 400
    assert headers["Content-Type"] == "application/json"
    assert set(answer) == SHAPE | ERROR
    assert answer["allowed"] is False
    assert answer["code"] == "invalid"
    assert answer["message"].endswith(".")
    assert gateway.records() == []


def test_400_names_the_field(gateway):
    attempts = [(body_with(method=1), "method"), (body_with(principal={"value": VALUE}), "principal.type")]
    attempts += [(body_with(required_permissions=[1]), "required_permissions"), (b"{}", "principal")]
    for body, field in attempts:
        assert gateway.call(body)[2]["details"]["field"].partition("[")[0] == field


@pytest.mark.parametrize(
    ("fields", "path", "ip"),
    [
        ({"method": "get"}, "/v1/a", "127.0.0.1"),
        ({"resource": "v1/a#x"}, "/v1/a", "127.0.0.1"),
        ({"client_ip": None, "user_agent": None, "required_permissions": None}, "/v1/a", "127.0.0.1"),
        ({"client_ip": "::ffff:10.0.0.1"}, "/v1/a", "10.0.0.1"),
        ({"user_agent": "\ud83d\ude00 \\ \"quoted\""}, "/v1/a", "127.0.0.1"),
    ],
)  # fmt: skip
def test_odd_but_plain_bodies_are_read(gateway, app, secret, fields, path, ip):
    assert gateway.check(secret, **fields)[0] == 200
    (record,) = gateway.records()
    assert (record.method, record.path, record.client_ip) == ("GET", path, ip)


@pytest.mark.parametrize("length", ["16385", "1073741824", "9" * 30, ""])
def test_413_before_parsing(gateway, length):
    status, _, answer = gateway.call(b"{" * 20_000, CONTENT_LENGTH=length)
    assert status == 413
    assert set(answer) == SHAPE | ERROR


@given(checks=st.lists(PAIRS | st.just(list(GOOD.items())), min_size=1, max_size=3), is_ascii=st.booleans())
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_structure_ends_in_recorded_decisions_or_a_4xx(gateway, checks, is_ascii):
    known = {record.id for record in gateway.records()}
    bodies = [written(pairs, is_ascii) for pairs in checks]
    answers = [gateway.call(body) for body in bodies]
    answers.append(gateway.call(b'{"checks":[%b]}' % b",".join(bodies), path="/v1/authz/check-batch"))
    decided = []
    for status, headers, answer in answers:
        assert status in (200, 400, 401)
        assert headers["Content-Type"] == "application/json"
        assert status == 200 or set(answer) >= ERROR
        decided += answer.get("decisions", [answer] if status == 401 else [])
    assert {"req_" + each.id.hex() for each in gateway.records() if each.id not in known} == {
        each["request_id"] for each in decided
    }


@pytest.mark.parametrize("length", [100_000, 1 << 20, 8 << 20])
@pytest.mark.parametrize("path", ["/v1/authz/check", "/v1/authz/check-batch"])
@pytest.mark.parametrize("what", ["key", "text", "brackets", "object"])
def test_413_for_what_is_too_long_whatever_it_is(gateway, what, path, length):
    length += 200_000
    bodies = {
        "key": body_with(principal={"type": "api_key", "value": "nw_live_" + "0" * length}),
        "text": body_with(user_agent="a" * length),
        "brackets": b"[" * length,
        "object": b"{" + b",".join(b'"%d":0' % number for number in range(length // 8)) + b"}",
    }
    status, _, answer = gateway.call(bodies[what], path=path)
    assert (status, answer["code"]) == (413, "too_large")
    assert gateway.records() == []


def test_headers_stand_in_for_what_the_body_does_not_say(gateway, app, secret):
    body = json.dumps(question(secret)).encode()
    gateway.call(body, HTTP_X_ORIGINAL_CLIENT_IP="203.0.113.5", HTTP_X_ORIGINAL_USER_AGENT="orig", HTTP_USER_AGENT="ua")
    gateway.call(body, HTTP_USER_AGENT="ua")
    gateway.call(body)
    assert [(each.client_ip, each.user_agent) for each in gateway.records()] == [
        ("203.0.113.5", "orig"), ("127.0.0.1", "ua"), ("127.0.0.1", "unknown"),
    ]  # fmt: skip
    assert gateway.call(body, HTTP_X_ORIGINAL_CLIENT_IP="nonsense")[0] == 400


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/", "GET", 404), ("/v1/authz/check/", "POST", 404), ("/v1/authz/check", "GET", 405), ("/health", "POST", 405)],
)
def test_404_and_405_are_json(gateway, path, method, status):
    found, headers, answer = gateway.call(b"", path=path, method=method)
    assert (found, headers["Content-Type"]) == (status, "application/json")
    assert set(answer) >= ERROR


def test_health_and_readiness(gateway):
    assert gateway.call(b"", path="/health", method="GET")[0] == 200
    status, _, answer = gateway.call(b"", path="/ready", method="GET")
    assert (status, answer["status"]) == (200, "ok")
    gateway.snapshot.confirmed_at -= 60
    gateway.listener.stop()
    gateway.snapshot.confirmed_at -= 60
    assert gateway.call(b"", path="/ready", method="GET")[0] == 503
    assert gateway.call(b"", path="/health", method="GET")[0] == 200


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_503_where_the_spool_cannot_be_measured(gateway, path):
    (gateway.folder / "spool" / "quarantine").symlink_to("quarantine")
    with capture_logs() as lines:
        status, headers, answer = gateway.call(b"", path=path, method="GET")
    assert (status, answer["code"], headers["Retry-After"]) == (503, "unavailable", "1")
    assert set(answer) == {"request_id", *ERROR}
    assert [(line["event"], type(line["exc_info"])) for line in lines] == [("gateway.failed", OSError)]


def test_health_tells_of_a_restore_by_another_epoch(gateway):
    before = gateway.call(b"", path="/health", method="GET")[2]["epoch"]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE apiauth_history SET identity = 'before the restore'")
    installation.note_history()
    until(lambda: gateway.call(b"", path="/health", method="GET")[2]["epoch"] == before + 1, 10, "the next epoch")


def test_health_says_how_limits_are_counted(gateway):
    _, _, answer = gateway.call(b"", path="/health", method="GET")
    assert answer["limits"] == {"mode": "host", "degraded": False, "since": None, "crowded_since": None}


def test_addresses_without_number_deny_no_other_tenant_and_show_in_health(
    app, secret, limit_app, make_key, tmp_path, transactional_db
):
    limit_app({"unit": "calendar_month", "duration": 1, "max_requests": 100_000, "mode": "per_ip"})
    who = {"actor": ACTOR, "now": clock.now()}
    other = deployments.create_deployment(name="Other tenant", allowed_origins=(), **who)
    theirs = apps.create_app(deployment_id=other.id, fields={"slug": "aa_9", "name": "B", "key_prefix": "bb"}, **who)
    victim = make_key(in_app=theirs).secret.text
    gateway = GatewayInProcess(tmp_path, limiter=Limiter(tmp_path / "limits", slots=256))
    addresses = [f"2001:db8:0:{number:x}::1" for number in range(200)]
    flood = [gateway.check(secret, client_ip=address)[1] for address in addresses]
    try:
        assert sum(answer["allowed"] for answer in flood) == 256 // STRETCHES
        assert gateway.check(victim)[1]["allowed"] is True
        health = gateway.call(b"", path="/health", method="GET")[2]
        assert datetime.fromisoformat(health["limits"]["crowded_since"]) <= clock.now()
    finally:
        gateway.close()


def test_a_scheme_sent_again_without_ids_goes_on_in_its_windows(gateway, secret, limit_app, backend):
    month = {"unit": "calendar_month", "duration": 1, "max_requests": 3}
    limit_app(month)

    def change(*rules):
        answer = backend.patch(
            "/api-auth/rate-limit-schemes/s", {"rules": rules}, content_type="application/json", headers=WAIT
        )
        assert answer.json()["propagated"] is True

    change(month)
    assert [gateway.check(secret)[1]["allowed"] for _ in range(4)] == [True, True, True, False]
    change(month)
    assert gateway.check(secret)[1]["allowed"] is False
    change({"unit": "minute", "duration": 1, "max_requests": 1000}, {**month, "max_requests": 4})
    assert [gateway.check(secret)[1]["allowed"] for _ in range(2)] == [True, False], "one more is all that was added"


def test_limits_that_cannot_be_asked_for_deny_as_rate_limited_and_show_in_health(
    app, secret, limit_app, tmp_path, transactional_db
):
    limit_app({"unit": "calendar_day", "duration": 1, "max_requests": 5})
    proxy = FreezingProxy(dsn())
    gateway = GatewayInProcess(tmp_path, limiter=LeasedLimiter(tmp_path / "limits", LeaseStore(proxy.address, 20)))
    try:
        assert gateway.check(secret)[1]["rate_limits"] == [{"rule": "5/86400s", "remaining": 4, "limit": 5}]
        proxy.close()
        status, answer = gateway.check(secret)
        assert (status, answer["allowed"], answer["reason"], answer["blocked_rule"], answer["retry_after"]) == (
            200, False, "rate_limited", "5/86400s", 1,
        )  # fmt: skip
        _, _, health = gateway.call(b"", path="/ready", method="GET")
        assert (health["status"], health["limits"]["mode"], health["limits"]["degraded"]) == ("ok", "shared", True)
        assert datetime.fromisoformat(health["limits"]["since"]) <= clock.now()
    finally:
        gateway.close()
        proxy.close()


def test_503_and_no_record_once_the_snapshot_is_too_old(gateway, app, secret):
    gateway.check(secret)
    gateway.listener.stop()
    gateway.snapshot.confirmed_at -= 14
    assert gateway.check(secret)[0] == 200
    assert gateway.check(mint("nw_live"))[0] == 503, "a key we do not know may be newer than what we know"
    gateway.snapshot.confirmed_at -= 2
    status, headers, answer = gateway.call(json.dumps(question(secret)).encode())
    assert (status, headers["Retry-After"]) == (503, "1")
    assert set(answer) == SHAPE | ERROR
    assert answer["stale_ms"] == int(headers["Keystead-Stale-Ms"]) >= 16_000
    assert int(headers["Keystead-Generation"]) == gateway.snapshot.tables.horizon
    assert len(gateway.records()) == 2


def test_503_after_a_jump_of_the_clock_until_the_database_was_asked_again(gateway, app, secret):
    assert gateway.check(secret)[0] == 200
    gateway.listener.stop()
    gateway.snapshot.host_offset_ns -= 3_600_000_000_000
    assert gateway.check(secret)[0] == 503
    assert gateway.call(b"", path="/ready", method="GET")[0] == 503
    gateway.snapshot.confirm(gateway.snapshot.confirmed_at)
    assert gateway.check(secret)[0] == 200


def test_a_key_ends_by_the_databases_clock_not_the_hosts(gateway, app, make_key):
    secret = make_key(expires_at=clock.now() + timedelta(minutes=30)).secret.text
    assert gateway.check(secret)[0] == 200
    gateway.listener.stop()
    gateway.snapshot.database_offset_ns += 3_600_000_000_000
    assert gateway.check(secret)[1]["rule"] == "key_expired"


def test_503_and_never_an_allow_that_is_not_recorded(gateway, app, secret, monkeypatch):
    def refuse(record):
        raise SpoolFull

    monkeypatch.setattr(gateway.spool, "append_frames", refuse)
    status, answer = gateway.check(secret)
    assert (status, answer["allowed"], answer["code"], answer["stale_ms"]) == (503, False, "unrecordable", None)


@pytest.fixture(params=["host", "shared"])
def counting(request, tmp_path, transactional_db):
    """A gateway of either kind of limits."""
    store = LeaseStore(dsn(), 20) if request.param == "shared" else None
    gateway = GatewayInProcess(tmp_path, limiter=LeasedLimiter(tmp_path / "limits", store) if store else None)
    yield gateway
    gateway.close()


def test_a_call_that_could_not_be_recorded_uses_no_limit_up(app, secret, limit_app, counting, monkeypatch):
    def refuse(frames):
        raise SpoolFull

    limit_app(
        {"unit": "calendar_month", "duration": 1, "max_requests": 3},
        {"unit": "day", "duration": 30, "max_requests": 99},
    )
    until(lambda: len(counting.snapshot.tables.apps[app.id].rules) == 2, 5, "the scheme")
    batch = json.dumps({"checks": [question(secret)] * 3}).encode()
    with monkeypatch.context() as full:
        full.setattr(counting.spool, "append_frames", refuse)
        assert [counting.check(secret)[0] for _ in range(3)] == [503] * 3
        assert counting.call(batch, path="/v1/authz/check-batch")[0] == 503
    answers = [counting.check(secret)[1] for _ in range(5)]
    assert [answer["allowed"] for answer in answers] == [True] * 3 + [False] * 2
    assert [limit["remaining"] for limit in answers[0]["rate_limits"]] == [2, 98]


@pytest.mark.parametrize("peer", ["8.8.8.8", "2a00:1450::1"])
def test_403_for_a_caller_from_elsewhere_and_no_decision(gateway, app, secret, peer):
    assert gateway.call(json.dumps(question(secret)).encode(), peer=peer)[0] == 403
    assert gateway.records() == []


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:8001"])
def test_403_for_a_browsers_page_and_no_decision(gateway, app, secret, origin):
    status, _, answer = gateway.call(json.dumps(question(secret)).encode(), HTTP_ORIGIN=origin)
    assert (status, answer["code"]) == (403, "not_for_browsers")
    assert gateway.records() == []


def test_411_for_a_body_in_chunks_and_no_decision(gateway, app, secret):
    body = json.dumps(question(secret)).encode()
    status, _, answer = gateway.call(body, HTTP_TRANSFER_ENCODING="chunked")
    assert (status, answer["code"]) == (411, "length_required")
    assert gateway.records() == []


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.1.2.3", "::1", "192.168.0.9", "fd00::1"])
def test_callers_on_the_own_network_may_ask(gateway, app, secret, peer):
    assert gateway.call(json.dumps(question(secret)).encode(), peer=peer)[0] == 200


def test_only_listed_callers_may_ask_where_there_is_a_list(app, secret, tmp_path, transactional_db):
    gateway = GatewayInProcess(tmp_path, NetworkAdmission([ip_network("203.0.113.0/24")]))
    body = json.dumps(question(secret)).encode()
    statuses = [gateway.call(body, peer=peer)[0] for peer in ("203.0.113.7", "10.0.0.1")]
    gateway.close()
    assert statuses == [200, 403]


def test_a_token_opens_the_keys_of_its_own_deployment_alone(
    app, secret, backend_key, make_deployment, tmp_path, transactional_db
):
    stranger = make_deployment("Stranger")
    other, narrow = (
        deployments.issue_backend_key(deployment_id=owner, name="b", scopes=scopes, actor=ACTOR, now=clock.now())
        for owner, scopes in ((stranger.id, deployments.SCOPES), (app.deployment_id, ("apps:read",)))
    )
    gateway = GatewayInProcess(tmp_path)
    gateway.application._admission = TokenAdmission(gateway.snapshot, gateway.peppers)
    body = json.dumps(question(secret)).encode()

    def ask(authorization):
        return gateway.call(body, HTTP_AUTHORIZATION=authorization)

    assert ask("")[0] == ask(f"Bearer {narrow.secret.text}")[0] == ask(f"Bearer {secret}")[0] == 401
    assert gateway.records() == []
    assert ask(f"Bearer {backend_key.secret.text}")[0] == 200
    status, _, answer = ask(f"Bearer {other.secret.text}")
    assert (status, answer["reason"]) == (401, "invalid_key")
    assert gateway.records()[-1].app_id is None
    gateway.close()


def test_reserved_metadata_that_sql_put_there_is_not_in_the_answer(gateway, app, secret):
    Key.objects.update(metadata={"principal_type": "oauth_access_token", "scopes": ["admin"], "a,b": "x=\r\ny"})
    gateway.listener.look_up()
    answer = gateway.check(secret)[1]
    assert answer["metadata"] == {"a,b": "x=\r\ny"}
    assert answer["headers"]["x-wacht-metadata"] == "a%2Cb=x%3D%0D%0Ay"
