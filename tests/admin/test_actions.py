"""Every door asks why, goes through the service, and is written down with who did it."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client

from apiauth.core import clock
from apiauth.models import ActivityEntry, App, Deployment, RateLimitScheme, Session
from apiauth.services import activity, sessions
from apiauth.services.keys import IssuedKey
from tests.admin.test_permissions import REASON, act


def test_an_action_first_shows_what_it_will_do(administrator: Client, make_key: Callable[..., IssuedKey]) -> None:
    key = make_key().key
    page = act(administrator, "key", "revoke", key)
    assert "blocked within a second: for good" in page.content.decode()
    key.refresh_from_db()
    assert key.revoked_at is None


@pytest.mark.parametrize("reason", ["", "   ", "x" * 201, "line\u202ebreak"])
def test_a_reason_that_says_nothing_is_refused(
    administrator: Client, make_key: Callable[..., IssuedKey], reason: str
) -> None:
    key = make_key().key
    assert act(administrator, "key", "revoke", key, confirmed="yes", reason=reason).status_code == 422
    key.refresh_from_db()
    assert key.revoked_at is None


def test_a_revoke_is_written_down_twice_with_its_reason(
    administrator: Client, make_key: Callable[..., IssuedKey]
) -> None:
    key = make_key().key
    act(administrator, "key", "revoke", key, **REASON)
    key.refresh_from_db()
    entry = ActivityEntry.objects.get(event="key.revoked")
    assert (key.revoked_reason, entry.details["reason"]) == ("Ticket 4711", "Ticket 4711")
    assert (entry.actor_kind, entry.via, entry.personal["name"]) == ("staff", "admin", "administrator")
    assert "Ticket 4711" in LogEntry.objects.get(object_id=str(key.pk)).change_message


def test_a_second_revoke_is_refused_in_words(administrator: Client, make_key: Callable[..., IssuedKey]) -> None:
    key = make_key().key
    act(administrator, "key", "revoke", key, **REASON)
    assert "This key is already revoked." in act(administrator, "key", "revoke", key, **REASON).content.decode()


def test_a_disabled_key_can_be_enabled_again(administrator: Client, make_key: Callable[..., IssuedKey]) -> None:
    key = make_key().key
    act(administrator, "key", "disable", key, **REASON)
    act(administrator, "key", "enable", key, **REASON)
    key.refresh_from_db()
    assert key.is_active(clock.now())


def test_a_paused_app_blocks_its_keys_until_it_is_resumed(
    administrator: Client, app: App, make_key: Callable[..., IssuedKey]
) -> None:
    make_key()
    act(administrator, "app", "pause", app, **REASON)
    app.refresh_from_db()
    assert (app.is_open, app.disabled_reason) == (False, "Ticket 4711")
    act(administrator, "app", "resume", app, **REASON)
    app.refresh_from_db()
    assert app.is_open


def test_an_ended_session_is_over_and_staff_ended_it(
    administrator: Client, session_for: Callable[..., sessions.OpenedSession]
) -> None:
    opened = session_for()
    act(administrator, "session", "end", opened.session, **REASON)
    assert sessions.find_session(opened.token, now=clock.now()) is None
    assert ActivityEntry.objects.get(event="session.ended").actor_kind == "staff"


@pytest.mark.parametrize("row_id", ["x", "1,2", "٣", "9" * 40, "-1"])
def test_an_action_on_no_id_is_a_bad_request(administrator: Client, row_id: str, app: App) -> None:
    answer = administrator.post("/admin/apiauth/key/", {"action": "revoke", "_selected_action": row_id})
    assert answer.status_code == 400


def test_a_deployment_is_made_and_changed_through_the_service(administrator: Client) -> None:
    administrator.post("/admin/apiauth/deployment/add/", {"name": "Acme", "allowed_origins": "https://APP.example/"})
    row = Deployment.objects.get()
    assert row.allowed_origins == ["https://app.example"]
    administrator.post(f"/admin/apiauth/deployment/{row.pk}/change/", {"name": "Acme 2", "allowed_origins": ""})
    row.refresh_from_db()
    assert (row.name, row.allowed_origins) == ("Acme 2", [])
    events = list(ActivityEntry.objects.order_by("sequence").values_list("event", flat=True))
    assert events == ["deployment.created", "deployment.edited"]


@pytest.mark.parametrize("origin", ["*", "ftp://x", "https://x/path", "javascript:alert(1)"])
def test_an_origin_that_is_none_is_refused(administrator: Client, origin: str) -> None:
    answer = administrator.post("/admin/apiauth/deployment/add/", {"name": "Acme", "allowed_origins": origin})
    assert answer.status_code == 200
    assert "An origin looks like" in answer.content.decode()
    assert not Deployment.objects.exists()


def test_an_apps_safe_fields_change_and_its_prefix_does_not(administrator: Client, app: App) -> None:
    fields = {"name": "Maps 2", "default_role": "viewer", "default_overlap_seconds": "60", "key_prefix": "evil"}
    answer = administrator.post(f"/admin/apiauth/app/{app.pk}/change/", fields)
    assert answer.status_code == 302
    app.refresh_from_db()
    assert (app.name, app.default_role, app.key_prefix) == ("Maps 2", "viewer", "nw_live")
    assert ActivityEntry.objects.get(event="app.edited").actor_kind == "staff"


def test_staff_look_at_an_apps_resources_and_do_not_change_them(administrator: Client, app: App) -> None:
    App.objects.filter(pk=app.pk).update(resources=["/v2/routes", "/v2/reports"])
    address = f"/admin/apiauth/app/{app.pk}/change/"
    assert '<div class="readonly">/v2/routes, /v2/reports</div>' in administrator.get(address).content.decode()
    fields = {"name": "Maps 2", "default_role": "viewer", "default_overlap_seconds": "60", "resources": "/v2/evil"}
    assert administrator.post(address, fields).status_code == 302
    app.refresh_from_db()
    assert (app.name, app.resources) == ("Maps 2", ["/v2/routes", "/v2/reports"])


@pytest.mark.parametrize(
    ("field", "value"),
    [("return_url", "javascript:x"), ("default_overlap_seconds", "99999999"), ("name", "\u202ex"), ("name", "\u200b")],
)
def test_a_bad_field_of_an_app_is_named_and_nothing_changes(
    administrator: Client, app: App, field: str, value: str
) -> None:
    fields = {"name": "Maps", "default_role": "viewer", "default_overlap_seconds": "60", field: value}
    answer = administrator.post(f"/admin/apiauth/app/{app.pk}/change/", fields)
    assert answer.status_code == 200
    assert list(answer.context["adminform"].form.errors) == [field]
    app.refresh_from_db()
    assert app.name == "Northwind Maps"


def test_a_scheme_is_checked_by_the_rules_of_the_api(administrator: Client, deployment: Deployment) -> None:
    fields = {"deployment": deployment.pk, "slug": "demo", "name": "Demo"}
    bad = administrator.post("/admin/apiauth/ratelimitscheme/add/", {**fields, "rules": '[{"unit": "year"}]'})
    assert "rules[0].unit" in bad.content.decode()
    good = '[{"unit": "minute", "duration": 1, "max_requests": 60, "mode": "per_key"}]'
    assert administrator.post("/admin/apiauth/ratelimitscheme/add/", {**fields, "rules": good}).status_code == 302
    assert RateLimitScheme.objects.get().rules[0]["max_requests"] == 60


@pytest.mark.parametrize("rules", ["", "null", "{}", "[", "[" * 5000, "[1]"])
def test_rules_that_are_none_are_refused(administrator: Client, deployment: Deployment, rules: str) -> None:
    fields = {"deployment": deployment.pk, "slug": "demo", "name": "Demo", "rules": rules}
    assert administrator.post("/admin/apiauth/ratelimitscheme/add/", fields).status_code == 200
    assert not RateLimitScheme.objects.exists()


def test_the_button_says_whether_the_activity_log_is_whole(administrator: Client, app: App) -> None:
    assert "nothing was changed" in administrator.post("/admin/verify/").content.decode()
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # or the table has events pending
        cursor.execute("ALTER TABLE apiauth_activityentry DISABLE TRIGGER USER")
        cursor.execute("UPDATE apiauth_activityentry SET actor_id = 'somebody else' WHERE app_id = %s", [app.pk])
        cursor.execute("ALTER TABLE apiauth_activityentry ENABLE TRIGGER USER")
    page = administrator.post("/admin/verify/").content.decode()
    assert f"app:{app.pk}" in page
    assert "the entry was altered" in page


def test_filters_and_rows_of_every_list_can_be_shown(
    administrator: Client, make_key: Callable[..., IssuedKey], session: Session
) -> None:
    key = make_key(expires_at=clock.now() + timedelta(days=2)).key
    for status in ("active", "in_grace", "ends_7", "disabled", "expired", "revoked", "nonsense"):
        assert administrator.get("/admin/apiauth/key/", {"status": status}).status_code == 200
    rows: list[tuple[str, Any]] = [("key", key), ("session", session), ("ticket", session.ticket), ("app", key.app)]
    rows += [("activityentry", entry) for entry in ActivityEntry.objects.all()]
    for model, row in rows:
        assert administrator.get(f"/admin/apiauth/{model}/{row.pk}/change/").status_code == 200
    assert not [broken for _, _, broken in activity.verify_all() if broken]
