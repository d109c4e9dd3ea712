"""A key's own limits at the gateway: they hold beside those of its app, and never let more through."""

import pytest
from django.db import connection

from apiauth.core import clock
from apiauth.services import key_edits, keys
from tests.conftest import ACTOR
from tests.support.gateways import GatewayInProcess
from tests.support.running import until

DAY = {"unit": "calendar_day", "duration": 1}
LONG = {"unit": "day", "duration": 30}  # a window of its own length: its header fields are its own


@pytest.fixture
def limited(app, make_key, limit_app, tmp_path, transactional_db):
    """Make a gateway over an app with rules, and a key with limits of its own."""
    gateways = []

    def make(rules, limits):
        limit_app(*rules)
        issued = make_key(limits=limits)
        gateways.append(GatewayInProcess(tmp_path / str(len(gateways))))
        return gateways[-1], issued

    yield make
    for gateway in gateways:
        gateway.close()


def allowed(gateway, secret, times=9, **fields):
    return sum(gateway.check(secret, **fields)[1]["allowed"] for _ in range(times))


def test_the_keys_limit_denies_and_its_app_is_charged_nothing(limited, make_key):
    gateway, issued = limited([{**DAY, "max_requests": 5}], [{**LONG, "max_requests": 2}])
    answers = [gateway.check(issued.secret.text)[1] for _ in range(3)]
    assert [answer["allowed"] for answer in answers] == [True, True, False]
    denied = answers[-1]
    assert (denied["rule"], denied["blocked_rule"]) == ("rate_limited", "2/2592000s")
    assert denied["rate_limits"] == [
        {"rule": "5/86400s", "remaining": 3, "limit": 5},
        {"rule": "2/2592000s", "remaining": 0, "limit": 2},
    ]
    assert denied["headers"]["x-ratelimit-2592000s-reset"] == str(denied["retry_after"])
    assert denied["headers"]["ratelimit-policy"] == '"5/86400s";q=5;w=86400, "2/2592000s";q=2;w=2592000'
    assert answers[0]["headers"]["x-ratelimit-2592000s-remaining"] == "1"
    assert allowed(gateway, make_key("Other").secret.text) == 3, "the key's limit is nobody else's"


def test_the_apps_limits_come_first(limited):
    gateway, issued = limited([{**DAY, "max_requests": 1, "priority": 9}], [{**DAY, "max_requests": 1, "priority": -9}])
    gateway.check(issued.secret.text)
    answer = gateway.check(issued.secret.text)[1]
    names = [item.split(";")[0] for item in answer["headers"]["ratelimit-policy"].split(", ")]
    assert names[0] == '"1/86400s"'
    assert names[1].startswith('"1/86400s '), "two that read alike are told apart"


def test_a_limit_by_address_and_path_counts_these_alone(limited):
    gateway, issued = limited(
        [{**DAY, "max_requests": 99}],
        [{**DAY, "max_requests": 2, "mode": "per_key_and_ip", "endpoints": ["/v1/heavy"]}],
    )
    secret = issued.secret.text
    assert allowed(gateway, secret, resource="/v1/heavy?x=1", client_ip="203.0.113.9") == 2
    assert allowed(gateway, secret, resource="/v1/heavy", client_ip="203.0.113.10") == 2
    assert allowed(gateway, secret, resource="/v1/light", client_ip="203.0.113.9") == 9


def test_a_limit_with_the_id_of_a_rule_of_the_app_has_a_count_of_its_own(limited):
    rule = {**DAY, "id": "same", "mode": "per_key", "max_requests": 4}
    gateway, issued = limited([{**rule, "endpoints": ["/v1/a"]}], [{**rule, "endpoints": ["/v1/b"]}])
    assert [allowed(gateway, issued.secret.text, resource=path) for path in ("/v1/a", "/v1/b")] == [4, 4]


def test_a_successor_has_the_limits_and_counts_anew(limited, app):
    gateway, issued = limited([{**DAY, "max_requests": 99}], [{**DAY, "max_requests": 2}])
    assert allowed(gateway, issued.secret.text) == 2
    successor = keys.rotate_key(app_id=app.id, key_id=issued.key.id, actor=ACTOR, now=clock.now())
    assert successor.key.limits == issued.key.limits
    assert allowed(gateway, successor.secret.text) == 2


def test_a_change_of_limits_is_in_force_within_a_second(limited, app):
    gateway, issued = limited([{**DAY, "max_requests": 99}], [{**DAY, "max_requests": 2}])
    where = {"app_id": app.id, "key_id": issued.key.id, "actor": ACTOR}
    assert allowed(gateway, issued.secret.text) == 2
    key_edits.edit_key(changes={"limits": []}, now=clock.now(), **where)
    until(lambda: gateway.check(issued.secret.text)[1]["allowed"], 5, "no limit any more")
    key_edits.edit_key(changes={"limits": [{**DAY, "max_requests": 1}]}, now=clock.now(), **where)
    until(lambda: not gateway.check(issued.secret.text)[1]["allowed"], 5, "another limit")


def test_limits_that_nobody_can_read_leave_those_of_the_app(limited):
    gateway, issued = limited([{**DAY, "max_requests": 3}], [{**DAY, "max_requests": 2}])
    with connection.cursor() as cursor:
        cursor.execute("UPDATE apiauth_key SET limits = '[{\"unit\": 7}]' WHERE id = %s", [issued.key.id])
    until(lambda: gateway.snapshot.tables.keys.known(issued.key.id).limits == '[{"unit": 7}]', 5, "the row as it is")
    assert allowed(gateway, issued.secret.text) == 3


def test_keys_without_limits_cost_nothing_for_them(limited, make_key):
    gateway, issued = limited([{**DAY, "max_requests": 99}], [{**DAY, "max_requests": 2}])
    other = make_key("Other")
    assert allowed(gateway, other.secret.text) == 9
    known = gateway.snapshot.tables.keys.known
    assert (known(other.key.id).limits, known(other.key.id).prepared.own_rules) == (None, ())
    assert known(issued.key.id).limits is not None
