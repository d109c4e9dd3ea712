"""Batches of checks: each decision as if it were asked alone, and none where one cannot be read."""

import json
import threading

import pytest

from apiauth.audit.spool import SpoolFull
from apiauth.core import clock
from apiauth.core.secrets import mint
from apiauth.http.gateway import TokenAdmission
from apiauth.services import deployments
from tests.conftest import ACTOR
from tests.support.bad_inputs import BODIES, PRESENTED
from tests.support.gateways import GatewayInProcess, question

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/v1/authz/check-batch"
ERROR = {"message", "code", "details", "errors", "request_id"}


def ask(gateway, *checks, **environ):
    return gateway.call(json.dumps({"checks": checks}).encode(), path=PATH, **environ)


def without_the_call(answer):
    """Return what of an answer does not change from call to call."""
    return {name: value for name, value in answer.items() if name not in ("request_id", "stale_ms", "headers")}


def test_200_with_the_answer_that_each_check_has_alone(gateway, app, secret):
    checks = [
        question(secret, required_permissions=["routes:read"], client_ip="203.0.113.9"),
        question(secret, required_permissions=["routes:write"]),
        question(mint("nw_live")),
        question("nonsense"),
    ]
    alone = [gateway.call(json.dumps(check).encode()) for check in checks]
    status, headers, answer = ask(gateway, *checks)
    assert (status, headers["Content-Type"], list(answer)) == (200, "application/json", ["decisions"])
    for (single_status, _, single), decision in zip(alone, answer["decisions"], strict=True):
        assert decision.pop("status") == single_status
        assert set(decision) == set(single)
        assert decision["headers"].keys() == single["headers"].keys()
        for each in (single, decision):
            each["rate_limits"] = [{**limit, "remaining": 0} for limit in each["rate_limits"]]
        assert without_the_call(decision) == without_the_call(single)


def test_each_decision_is_recorded_under_its_own_id(gateway, app, secret):
    checks = [question(secret, resource=f"/v1/{number}") for number in range(100)]
    decisions = ask(gateway, *checks)[2]["decisions"]
    records = gateway.records()
    assert ["req_" + record.id.hex() for record in records] == [each["request_id"] for each in decisions]
    assert len({record.id for record in records}) == 100
    assert [record.path for record in records] == [check["resource"] for check in checks]


def test_limits_are_taken_in_the_order_of_the_checks(app, secret, limit_app, tmp_path, transactional_db):
    limit_app({"unit": "calendar_day", "duration": 1, "max_requests": 3})
    gateway = GatewayInProcess(tmp_path)
    first = ask(gateway, question(secret), question(secret, required_permissions=["x"]), question(secret))[2]
    second = ask(gateway, question(secret), question(secret))[2]
    gateway.close()
    assert [each["allowed"] for each in first["decisions"]] == [True, False, True]
    assert [each["allowed"] for each in second["decisions"]] == [True, False]
    assert [each["rate_limits"][0]["remaining"] for each in second["decisions"]] == [0, 0]
    assert second["decisions"][1]["reason"] == "rate_limited"


GOOD = question(mint("nw_live"))
BATCHES = {
    "no checks": (b'{"checks":[]}', "checks"),
    "too many": (json.dumps({"checks": [GOOD] * 101}).encode(), "checks"),
    "missing": (b"{}", "checks"),
    "null": (b'{"checks":null}', "checks"),
    "object": (b'{"checks":{}}', "checks"),
    "empty body": (b"", None),
    "list": (b"[]", None),
    "unknown field": (b'{"checks":[],"x":1}', None),
    "repeated": (b'{"checks":[1],"checks":[%b]}' % json.dumps(GOOD).encode(), None),
    "repeated by escape": (b'{"checks":[1],"check\\u0073":[%b]}' % json.dumps(GOOD).encode(), None),
    "repeated over what is no text": (b'{"checks":["\xff"],"checks":[%b]}' % json.dumps(GOOD).encode(), None),
    "repeated over a long number": (b'{"checks":[%b],"checks":[1]}' % (b"1" * 5000), None),
    "repeated over what is deep": (b'{"checks":[%b],"checks":[1]}' % (b"[" * 900 + b"]" * 900), None),
    "deep": (b'{"checks":' + b"[" * 100_000, None),
    "single body": (json.dumps(GOOD).encode(), None),
}


@pytest.mark.parametrize("what", BATCHES)
def test_400_for_what_is_no_batch(gateway, what):
    body, field = BATCHES[what]
    status, _, answer = gateway.call(body, path=PATH)
    assert (status, answer["code"]) == (400, "invalid")
    assert set(answer) == ERROR
    assert (answer["details"] or {"field": None})["field"] == field
    assert gateway.records() == []


SPOILT = {
    "method": ({**GOOD, "method": "BREW"}, "method"),
    "type": ({**GOOD, "principal": {"type": "x", "value": "y"}}, "principal.type"),
    "missing": ({"principal": GOOD["principal"], "method": "GET"}, "resource"),
    "resource": ({**GOOD, "resource": "/a/../b"}, "resource"),
    "address": ({**GOOD, "client_ip": "999.1.1.1"}, "client_ip"),
    "permission": ({**GOOD, "required_permissions": ["a AND"]}, "required_permissions"),
    "nul": ({**GOOD, "user_agent": "\0"}, "user_agent"),
    "unknown field": ({**GOOD, "x": 1}, ""),
    "not an object": (1, ""),
}


@pytest.mark.parametrize("what", SPOILT)
def test_400_for_the_whole_batch_names_the_check_and_its_field_and_decides_nothing(
    app, secret, limit_app, tmp_path, transactional_db, what
):
    limit_app({"unit": "calendar_day", "duration": 1, "max_requests": 1})
    gateway = GatewayInProcess(tmp_path)
    check, field = SPOILT[what]
    status, _, answer = ask(gateway, question(secret), question(secret), check)
    recorded = gateway.records()
    allowed = gateway.check(secret)[1]["allowed"]
    gateway.close()
    assert (status, answer["code"]) == (400, "invalid")
    assert answer["details"]["field"] == "checks[2]" + (f".{field}" if field else "")
    assert answer["message"].startswith("In `checks[2]`: ")
    assert recorded == []
    assert allowed, "the batch used up no limit"


def test_400_for_a_field_that_stands_twice_in_one_check(gateway):
    check = json.dumps(GOOD)[:-1] + ',"method":"PUT"}'
    status, _, answer = gateway.call(f'{{"checks":[{json.dumps(GOOD)},{check}]}}'.encode(), path=PATH)
    assert (status, answer["details"]["field"]) == (400, "checks[1]")


def test_every_odd_key_is_a_decision_of_its_own(gateway, app, secret):
    presented = [PRESENTED[how](secret) for how in PRESENTED]
    decisions = ask(gateway, *map(question, presented))[2]["decisions"]
    assert {each["status"] for each in decisions} == {401}
    assert {each["reason"] for each in decisions} == {"invalid_key"}
    records = gateway.records()
    assert ["req_" + record.id.hex() for record in records] == [each["request_id"] for each in decisions]
    assert {record.rule for record in records} == {"key_malformed", "key_bad_checksum", "key_unknown"}


@pytest.mark.parametrize("what", BODIES)
def test_400_for_a_batch_with_a_body_in_it_that_has_no_one_meaning(gateway, what):
    good = json.dumps(GOOD).encode()
    status, _, answer = gateway.call(b'{"checks":[%b,%b,%b]}' % (good, BODIES[what], good), path=PATH)
    assert (status, answer["code"], set(answer)) == (400, "invalid", ERROR)
    assert gateway.records() == []


def test_413_beyond_256_kib_and_for_one_check_beyond_what_a_check_may_have(gateway):
    padded = [{**GOOD, "user_agent": "a" * 12_000} for _ in range(30)]
    assert ask(gateway, *padded)[0] == 413
    assert ask(gateway, *padded[:20])[0] == 200
    status, _, answer = ask(gateway, GOOD, {**GOOD, "user_agent": "a" * 17_000})
    assert (status, answer["details"]["field"]) == (413, "checks[1]")
    assert len(gateway.records()) == 20


def test_503_and_nothing_decided_once_the_snapshot_is_too_old(gateway, app, secret):
    gateway.check(secret)
    gateway.listener.stop()
    gateway.snapshot.confirmed_at -= 14
    assert ask(gateway, question(secret))[0] == 200
    assert ask(gateway, question(secret), GOOD)[0] == 503, "a key we do not know may be newer than what we know"
    gateway.snapshot.confirmed_at -= 2
    status, headers, answer = ask(gateway, question(secret))
    assert (status, headers["Retry-After"], set(answer)) == (503, "1", ERROR)
    assert int(headers["Keystead-Generation"]) == gateway.snapshot.tables.horizon
    assert int(headers["Keystead-Stale-Ms"]) > 15_000
    assert len(gateway.records()) == 2


def test_503_and_never_an_allow_that_is_not_recorded(gateway, app, secret, monkeypatch):
    def refuse(records):
        raise SpoolFull

    monkeypatch.setattr(gateway.spool, "append_frames", refuse)
    status, _, answer = ask(gateway, question(secret), question(secret))
    assert (status, answer["code"]) == (503, "unrecordable")
    assert "decisions" not in answer


def test_keys_made_an_instant_ago_are_known_and_the_database_is_asked_once(gateway, app, make_key, monkeypatch):
    asked = []
    look_up = gateway.listener.look_up
    monkeypatch.setattr(gateway.listener, "look_up", lambda wanted: asked.append(1) or look_up(wanted))
    checks = [question(make_key(f"key {number}").secret.text) for number in range(3)]
    checks += [question(mint("nw_live")) for _ in range(5)]
    decisions = ask(gateway, *checks)[2]["decisions"]
    assert [each["status"] for each in decisions] == [200] * 3 + [401] * 5
    assert len(asked) == 1


def test_403_for_a_caller_from_elsewhere_and_405_for_another_method(gateway):
    assert ask(gateway, GOOD, peer="8.8.8.8")[0] == 403
    assert ask(gateway, GOOD, HTTP_ORIGIN="http://evil.example")[0] == 403
    status, headers, _ = ask(gateway, GOOD, method="GET")
    assert (status, headers["Allow"]) == (405, "POST")
    assert gateway.records() == []


def test_headers_stand_in_for_each_check_that_does_not_say(gateway, app, secret):
    ask(gateway, question(secret), question(secret, client_ip="203.0.113.9"), HTTP_X_ORIGINAL_CLIENT_IP="203.0.113.5")
    assert [record.client_ip for record in gateway.records()] == ["203.0.113.5", "203.0.113.9"]
    status, _, answer = ask(gateway, question(secret), HTTP_X_ORIGINAL_CLIENT_IP="nonsense")
    assert (status, answer["details"]["field"]) == (400, "checks[0].client_ip")


def test_a_token_is_asked_for_once_and_opens_the_keys_of_its_own_deployment_alone(
    app, secret, backend_key, make_deployment, tmp_path, transactional_db
):
    other = deployments.issue_backend_key(
        deployment_id=make_deployment("Stranger").id, name="b", scopes=deployments.SCOPES, actor=ACTOR, now=clock.now()
    )
    gateway = GatewayInProcess(tmp_path)
    gateway.application._admission = TokenAdmission(gateway.snapshot, gateway.peppers)
    statuses = []
    for token in (backend_key, other):
        answer = ask(gateway, question(secret), HTTP_AUTHORIZATION=f"Bearer {token.secret.text}")[2]
        statuses.append(answer["decisions"][0]["status"])
    refused = ask(gateway, question(secret))
    gateway.close()
    assert statuses == [200, 401]
    assert (refused[0], set(refused[2])) == (401, ERROR)


def test_batches_at_once_stay_within_the_limit(app, secret, limit_app, tmp_path, transactional_db):
    limit_app({"unit": "calendar_day", "duration": 1, "max_requests": 50})
    gateway = GatewayInProcess(tmp_path)
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(ask(gateway, *[question(secret)] * 30)[2])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = gateway.records()
    gateway.close()
    assert sum(each["allowed"] for answer in answers for each in answer["decisions"]) == 50
    assert len(records) == 120
