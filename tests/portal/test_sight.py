"""Who sees addresses, user agents and the activity log is what the policy says: at every door, for every role."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apiauth.core.policy import read_policy
from apiauth.models import App, Decision, KeyUsage
from tests.portal.conftest import hidden_fields

pytestmark = pytest.mark.django_db
CALLER, USER, AGENT, PERSON = "203.0.113.77", "198.51.100.77", "seen-agent/7", "192.0.2.77"
RANK = {"viewer": 0, "member": 1, "admin": 2, "owner": 3}
EVERYTHING_FROM_VIEWER = {"export": "viewer", "see_compliance": "viewer"}


@pytest.fixture
def doors(app: App, make_key: Callable[..., Any], make_decision: Callable[..., Decision]) -> list[str]:
    """Every page and answer that could tell where calls and people come from."""
    key = make_key().key
    called = {"key_id": key.pk, "key_name": key.name, "client_ip": CALLER, "peer_ip": CALLER, "user_agent": AGENT}
    decision = make_decision(**called)
    use = {"last_used_at": decision.decided_at, "client_ip": USER, "method": "GET", "path": "/", "allowed": True}
    KeyUsage.objects.create(key_id=key.pk, app_id=app.pk, **use)
    return [
        "/portal/",
        "/portal/keys",
        f"/portal/keys/{key.pk}",
        "/portal/logs",
        f"/portal/logs/{decision}",
        "/portal/activity",
        "/portal/compliance",
        "/api-auth/audit/logs",
        "/api-auth/keys",
    ]


def everything(client: Client, doors: list[str]) -> str:
    answers = [client.get(door) for door in doors]
    assert {answer.status_code for answer in answers} <= {200, 403}
    form = hidden_fields(client.get("/portal/").content.decode())
    files = [client.post("/portal/logs/export", form | {"form": kind}) for kind in ("csv", "jsonl")]
    files.append(client.post("/portal/compliance/export", form))
    assert {answer.status_code for answer in files} == {200}
    return "".join([*(answer.content.decode() for answer in answers), *(file.getvalue().decode() for file in files)])


@pytest.mark.parametrize("role", RANK)
@pytest.mark.parametrize("least", RANK)
def test_what_a_role_may_not_see_is_behind_no_door(
    app: App, doors: list[str], portal_client: Callable[..., Client], role: str, least: str
) -> None:
    sight = {"see_addresses": least, "see_user_agents": least, "see_activity": least}
    App.objects.filter(pk=app.pk).update(policy=read_policy({"authority": {**EVERYTHING_FROM_VIEWER, **sight}}))
    client = portal_client(role=role)
    client.defaults["REMOTE_ADDR"] = PERSON
    everything(client, doors)  # leaves entries of this person's own, with an address
    may = RANK[role] >= RANK[least]
    shown = everything(client, doors)
    assert {text: text in shown for text in (CALLER, USER, AGENT, PERSON)} == dict.fromkeys(
        (CALLER, USER, AGENT, PERSON), may
    )
    assert client.get("/portal/activity").status_code == (200 if may else 403)


@pytest.mark.parametrize(
    ("door", "status"),
    [("/api-auth/audit/logs?client_ip=203.0.113.77", 403), ("/portal/logs?address=203.0.113.77", 400)],
)
def test_nobody_filters_by_what_they_may_not_see(
    app: App, doors: list[str], portal_client: Callable[..., Client], door: str, status: int
) -> None:
    App.objects.filter(pk=app.pk).update(policy=read_policy({"authority": {"see_addresses": "owner"}}))
    client = portal_client()
    assert client.get(door).status_code == status
    form = hidden_fields(client.get("/portal/").content.decode())
    assert client.post("/portal/logs/export", form | {"address": CALLER}).status_code == 400
