"""A session reaches the keys of its scope and no other, through whichever door it asks."""

from collections.abc import Callable
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apiauth.core import clock
from apiauth.core.policy import read_policy
from apiauth.core.scope import Owner, Reach, Scope
from apiauth.models import App, Key
from apiauth.models.activity import ActivityEntry
from apiauth.services import keys, sessions
from tests.conftest import ACTOR
from tests.portal.conftest import hidden_fields
from tests.support.routes import SESSION
from tests.support.rows import every_row, undone
from tests.support.stage import make_key_ready

pytestmark = pytest.mark.django_db
ORIGIN = {"Origin": "http://127.0.0.1:9000"}
names = st.sampled_from([None, "a", "b"])
owners = st.builds(Owner, names, names, names)


def belongs(scope: Scope, key: Owner, holder: Owner) -> bool:
    """Say in one more way, and the plainest, what a scope is."""
    if scope is Scope.APP:
        return True
    if scope is Scope.ORGANIZATION:
        return holder.organization_id is not None and key.organization_id == holder.organization_id
    if scope is Scope.WORKSPACE:
        places = (key.organization_id, key.workspace_id)
        return holder.workspace_id is not None and places == (holder.organization_id, holder.workspace_id)
    return holder.user_id is not None and key.user_id == holder.user_id


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(st.sampled_from(Scope), owners, st.lists(owners, min_size=1, max_size=5))
def test_no_session_reaches_a_key_outside_its_scope(
    app: App, session_for: Callable[..., sessions.OpenedSession], scope: Scope, holder: Owner, others: list[Owner]
) -> None:
    with undone():
        made = _made(app, others)
        client = _client(app, _session(app, session_for, holder), scope)
        within = {key.id for key, owner in zip(made, others, strict=True) if belongs(scope, owner, holder)}
        listed = {int(key["id"]) for key in client.get("/api-auth/keys").json()["data"]}
        page = client.get("/portal/keys").content.decode()
        assert listed == within
        assert {key.id for key in made if str(key.id) in page} == within
        for key in made:
            found = 200 if key.id in within else 404
            assert client.get(f"/portal/keys/{key.id}").status_code == found
            assert client.post(f"/api-auth/keys/{key.id}/rotate").status_code == found
            assert client.post(f"/api-auth/keys/{key.id}/revoke").status_code == found
        touched = set(Key.objects.exclude(revoked_at=None, replaced_by=None).values_list("lineage_id", flat=True))
        assert touched == within


ABOUT_ONE_KEY = [operation for operation in SESSION if "key_id" in operation.parameters]
LISTS = (
    "/api-auth/keys?status=all",
    "/api-auth/audit/logs",
    "/api-auth/audit/analytics?include_top_keys=true",
    "/portal/keys?status=all",
    "/portal/logs",
    "/portal/activity",
    "/portal/compliance?finding=any_address",
)
FILES = ("/portal/logs/export", "/portal/activity/export", "/portal/compliance/export")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=10)
@given(st.sampled_from(Scope), owners, st.lists(owners, min_size=1, max_size=4))
def test_no_door_of_the_session_api_opens_to_a_key_outside_its_scope(
    app: App, session_for: Callable[..., sessions.OpenedSession], scope: Scope, holder: Owner, others: list[Owner]
) -> None:
    with undone():
        made, session = _made(app, others), _session(app, session_for, holder)
        client = _client(app, session, scope)
        subject = sessions.actor_of(session.session, via="session_api", client_ip=None, user_agent="")
        soon = (clock.now() + timedelta(hours=9)).isoformat()
        for operation, (owner, key) in product(ABOUT_ONE_KEY, zip(others, made, strict=True)):
            with undone():
                make_key_ready(operation, key, subject)
                before = every_row()
                answer = client.post(operation.path.format(key_id=key.id), operation.good_form(soon=soon))
                is_within = belongs(scope, owner, holder)
                assert answer.status_code == (200 if is_within else 404), (operation.name, answer.content)
                assert is_within or every_row() == before, operation.name


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=10)
@given(st.sampled_from(Scope), owners, st.lists(owners, min_size=1, max_size=4))
def test_no_list_file_or_total_has_anything_of_a_key_outside_the_scope(
    app: App,
    session_for: Callable[..., sessions.OpenedSession],
    make_decision: Callable[..., Any],
    count_calls: Callable[..., None],
    scope: Scope,
    holder: Owner,
    others: list[Owner],
) -> None:
    with undone():
        made = _made(app, others)
        for key in made:
            make_decision(key_id=key.id, key_name=key.name)
            count_calls(key.id, 1)
        client = _client(app, _session(app, session_for, holder), scope)
        within = {key.name for owner, key in zip(others, made, strict=True) if belongs(scope, owner, holder)}
        form = hidden_fields(client.get("/portal/").content.decode()) | {"form": "csv"}
        for answer in [client.get(address) for address in LISTS] + [client.post(address, form) for address in FILES]:
            assert answer.status_code == 200
            text = answer.getvalue().decode()
            assert {key.name for key in made if key.name in text} == within, answer.request["PATH_INFO"]
        assert _calls(client, "") == {len(within)}
        for key in made:
            assert _calls(client, str(key.id)) == {int(key.name in within)}


def test_no_list_of_the_session_api_is_left_out() -> None:
    read = {operation.path for operation in SESSION if operation.method == "GET"}
    others = {"/api-auth/session", "/api-auth/audit/timeseries"}  # the last one names no key
    assert read == {address.partition("?")[0] for address in LISTS if address.startswith("/api-auth/")} | others


def _calls(client: Client, key_id: str) -> set[int]:
    """Return how many calls the log, the totals and the series have, of one key or of all: one number if they agree."""
    log, totals, points = (
        client.get(f"/api-auth/audit/{name}", {"key_id": key_id} if key_id else {}).json()["data"]
        for name in ("logs", "analytics", "timeseries")
    )
    return {len(log["data"]), totals["total_requests"], sum(each["total_requests"] for each in points["data"])}


def _made(app: App, others: list[Owner]) -> list[Key]:
    """Make a key for each owner, under names of which none is a part of another."""
    where = {"app_id": app.id, "actor": ACTOR, "now": clock.now()}
    return [keys.create_key(name=f"Key {number}.", owner=each, **where).key for number, each in enumerate(others)]


def _client(app: App, session: sessions.OpenedSession, scope: Scope) -> Client:
    """Return a client in a session of an app which has that scope from now on, and takes a revoke back."""
    policy = {"scope": {"model": scope.value}, "revocation": {"undo_minutes": 10}}
    App.objects.filter(pk=app.pk).update(policy=read_policy(policy))
    client = Client(headers=ORIGIN)
    client.cookies["ks_session"] = session.token
    return client


def _session(app: App, session_for: Callable[..., sessions.OpenedSession], holder: Owner) -> sessions.OpenedSession:
    return session_for(
        app,
        subject_id=holder.user_id or "",
        organization_id=holder.organization_id,
        workspace_id=holder.workspace_id,
    )


@pytest.fixture
def two(app: App, session_for: Callable[..., sessions.OpenedSession]) -> dict[str, Any]:
    """Two users of an app whose sessions reach their own keys alone, with a key each."""
    App.objects.filter(pk=app.pk).update(policy=read_policy({"scope": {"model": "user"}}))
    found: dict[str, Any] = {}
    for name in ("ann", "bob"):
        client = Client(headers=ORIGIN)
        client.cookies["ks_session"] = session_for(app, subject_id=name).token
        answer = client.post("/api-auth/keys", {"name": f"Key of {name}"})
        found[name] = (client, answer.json()["data"])
    return found


def test_a_key_made_in_a_session_belongs_to_its_subject(two: dict[str, Any]) -> None:
    client, made = two["ann"]
    key = Key.objects.get(pk=made["id"])
    assert (key.user_id, key.created_by_id) == ("ann", "ann")
    client.post(f"/api-auth/keys/{key.id}/rotate")
    assert Key.objects.get(lineage_id=key.lineage_id, replaced_by=None).owner == key.owner


def test_outside_the_scope_is_the_same_as_absent(two: dict[str, Any]) -> None:
    client, foreign = two["ann"][0], two["bob"][1]["id"]
    for address in ("/portal/keys/{}", "/portal/keys/{}/rotate", "/portal/keys/{}/revoke", "/portal/keys/{}/in-force"):
        known, unknown = client.get(address.format(foreign)), client.get(address.format(12345))
        assert (known.status_code, unknown.status_code) == (404, 404)
    known, unknown = (client.post(f"/api-auth/keys/{key}/revoke").json() for key in (foreign, 12345))
    assert {**known, "request_id": ""} == {**unknown, "request_id": ""}


def test_the_activity_shows_what_was_done_with_keys_in_scope_and_by_oneself(two: dict[str, Any]) -> None:
    page = two["ann"][0].get("/portal/activity").content.decode()
    assert "Key of ann" in page
    assert "Key of bob" not in page
    assert ActivityEntry.objects.filter(event="session.opened").count() == 2
    assert page.count("</b> opened these pages") == 1


def test_a_session_without_the_id_that_the_scope_goes_by_makes_no_key(
    app: App, session_for: Callable[..., sessions.OpenedSession]
) -> None:
    token = session_for(app, subject_id="ann").token
    App.objects.filter(pk=app.pk).update(policy=read_policy({"scope": {"model": "organization"}}))
    client = Client(headers=ORIGIN)
    client.cookies["ks_session"] = token
    answer = client.post("/api-auth/keys", {"name": "x"})
    assert answer.status_code == 403
    assert "names no organization" in answer.json()["message"]
    assert not Key.objects.exists()
    assert "Create key" not in client.get("/portal/keys").content.decode()


def test_the_cap_counts_the_keys_in_scope(two: dict[str, Any], app: App, session_for: Callable[..., Any]) -> None:
    client = Client(headers=ORIGIN)
    client.cookies["ks_session"] = session_for(app, subject_id="cem", key_cap=1).token
    assert client.post("/api-auth/keys", {"name": "first"}).status_code == 200
    assert client.post("/api-auth/keys", {"name": "second"}).status_code == 403


def test_a_reach_without_its_id_reaches_nothing() -> None:
    for scope in (Scope.ORGANIZATION, Scope.WORKSPACE, Scope.USER):
        assert Reach(1, scope, Owner()).conditions() is None
