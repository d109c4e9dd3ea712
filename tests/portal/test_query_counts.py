"""No page of the portal asks the database more than six times, however much there is to show."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern

from apiauth.core import clock, ids
from apiauth.core.actor import Actor
from apiauth.core.policy import read_policy
from apiauth.models import App, Key
from apiauth.models.audit import MinuteRollup
from apiauth.services import keys, limits
from apiauth.services.compliance import Finding
from portal.urls import urlpatterns
from tests.conftest import ACTOR

pytestmark = pytest.mark.django_db
MOST = 6
IN_A_TEST_ALONE = ("SAVEPOINT", "RELEASE SAVEPOINT")  # a page that reads is in no transaction
SUBJECT = Actor(kind="subject", id="user_1", name="Dana Okafor", via="portal")
LIMIT = {"unit": "minute", "duration": 1, "max_requests": 60, "mode": "per_key"}
MAKES_NO_PAGE = {"enter", "enter_keys", "enter_logs", "expired", "leave"} | {
    f"{name}_export" for name in ("logs", "activity", "compliance")
}
TAKES_POST_ALONE = {"key_end_overlap", "key_undo_revoke"}
STATES = ("overlapping", "old", "disabled", "revoked", "plain")
NOTICES = ("revoked", "undone", "overlap-ended", "overlap-changed", "disabled", "enabled", "edited")


@pytest.fixture
def lived_in(
    app: App,
    make_key: Callable[..., keys.IssuedKey],
    make_decision: Callable[..., Any],
    count_calls: Callable[..., None],
    use_key: Callable[..., None],
) -> dict[str, str]:
    """An app in which all that a page can show is there; returns the values of its addresses by their names."""
    now = clock.now()
    made = {"actor": ACTOR, "now": now - timedelta(hours=3)}
    scheme = limits.create_scheme(
        deployment_id=app.deployment_id, slug="calm", name="Calm", rules=[{**LIMIT, "max_requests": 600}], **made
    )
    App.objects.filter(pk=app.pk).update(rate_limit_scheme=scheme)
    own = {"app_id": app.pk, "actor": ACTOR, "now": now}
    old = make_key("First", now=now - timedelta(days=4), limits=[LIMIT]).key
    middle = keys.rotate_key(app_id=app.pk, key_id=old.pk, overlap=timedelta(days=9), **made).key
    newest = keys.rotate_key(app_id=app.pk, key_id=middle.pk, overlap=timedelta(days=9), **made).key
    others = {state: make_key(state, limits=[LIMIT]).key for state in ("disabled", "revoked", "plain")}
    keys.disable_key(key_id=others["disabled"].pk, **own)
    keys.revoke_key(key_id=others["revoked"].pk, **{**own, "actor": SUBJECT})
    for key in (old, middle, newest, *others.values()):
        decision = make_decision(key_id=key.pk, key_name=key.name)
        make_decision(key_id=key.pk, key_name=key.name, rule="permission_denied")
        count_calls(key.pk, 12)
        count_calls(key.pk, 3, rule="permission_denied")
        minute = (now - timedelta(minutes=5)).replace(second=0, microsecond=0)
        MinuteRollup.objects.create(app_id=app.pk, key_id=key.pk, minute=minute, allowed=4, blocked=1)
        use_key(key.pk)
    found = {"overlapping": newest, "old": middle, **others}
    return {state: str(key.pk) for state, key in found.items()} | {"request_id": ids.request_id(decision.id)}


def addresses(values: dict[str, str]) -> list[str]:
    """Return every page of the portal, those of a key in each state, with each sentence that may stand there."""
    found = []
    for route in urlpatterns:
        assert isinstance(route, URLPattern)
        if route.name in MAKES_NO_PAGE | TAKES_POST_ALONE:
            continue
        path = f"/{route.pattern}".replace("<str:", "<")
        states = [values[state] for state in STATES] if "<key_id>" in path else [""]
        found += [path.replace("<key_id>", key).replace("<request_id>", values["request_id"]) for key in states]
    details = [f"/portal/keys/{values[state]}?notice={notice}" for state in STATES for notice in NOTICES]
    lists = [f"/portal/keys?status={status}&q=First" for status in ("active", "ending", "ended")]
    logs = [f"/portal/logs?rule=permission_denied&range=30d&key={values['old']}", "/portal/logs?path=/v2"]
    findings = [f"/portal/compliance?finding={finding}" for finding in Finding]
    return [*found, *details, *lists, *logs, *findings]


@pytest.mark.parametrize("scope", ["app", "user"])
@pytest.mark.parametrize("others", [4, 1_000])
def test_every_page_takes_at_most_six_queries(
    app: App,
    lived_in: dict[str, str],
    portal_client: Callable[..., Client],
    make_many_keys: Callable[..., list[Key]],
    scope: str,
    others: int,
) -> None:
    """All of them count, that of the session too; but its note of having been seen is written once a minute alone."""
    now = clock.now()
    for day in range(4):  # so that there is more that ends, and that is due, than a page tells
        moments = {"created_at": now - timedelta(days=40), "expires_at": now + timedelta(days=3 * day + 1)}
        make_many_keys(others // 4, **moments)
    rotation = {"mode": "required", "every_days": 30}
    policy = {"revocation": {"undo_minutes": 10}, "rotation": rotation, "scope": {"model": scope}}
    App.objects.filter(pk=app.pk).update(policy=read_policy(policy))
    Key.objects.filter(app=app).update(user_id="user_1")
    client = portal_client(role="owner", subject_id="user_1")
    beyond = {}
    for address in addresses(lived_in):
        with CaptureQueriesContext(connection) as asked:
            response = client.get(address)
        assert response.status_code in (200, 303, 409), address
        statements = [query["sql"] for query in asked if not query["sql"].startswith(IN_A_TEST_ALONE)]
        if len(statements) > MOST:
            beyond[address] = statements
    assert beyond == {}
