"""Who may do what: nobody deletes, viewers look, and each group has its own doors."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client, RequestFactory

from apiauth.models import App, Key
from apiauth.services.keys import IssuedKey

MODELS = ["deployment", "backendkey", "app", "key", "ticket", "session", "ratelimitscheme", "activityentry"]
REASON = {"reason": "Ticket 4711", "confirmed": "yes"}


def act(client: Client, model: str, action: str, row: Any, **fields: str) -> Any:
    return client.post(
        f"/admin/apiauth/{model}/", {"action": action, "_selected_action": row.pk, **fields}, follow=True
    )


def test_nobody_can_delete_anything_not_even_the_administrator(administrator: Client, rf: RequestFactory) -> None:
    request = rf.get("/")
    request.user = administrator.get("/admin/").wsgi_request.user
    allowed = [
        model.__name__ for model, window in admin.site._registry.items() if window.has_delete_permission(request)
    ]
    assert not allowed


@pytest.mark.parametrize("model", MODELS)
def test_a_delete_address_is_refused(administrator: Client, model: str, make_key: Callable[..., IssuedKey]) -> None:
    key = make_key().key
    rows = {"key": key.id, "app": key.app_id, "deployment": key.deployment_id}
    answer = administrator.post(f"/admin/apiauth/{model}/{rows.get(model, 1)}/delete/", {"post": "yes"})
    assert answer.status_code in (302, 403)
    assert Key.objects.filter(pk=key.pk).exists()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("group", ["Support viewer", "Support agent", "Security"])
def test_every_group_can_look(enter: Callable[..., Client], group: str, model: str, session: Any) -> None:
    assert enter(group).get(f"/admin/apiauth/{model}/").status_code == 200


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("group", ["Support viewer", "Support agent", "Security"])
def test_no_group_can_add(enter: Callable[..., Client], group: str, model: str) -> None:
    assert enter(group).get(f"/admin/apiauth/{model}/add/").status_code == 403


@pytest.mark.parametrize("model", ["key", "ticket", "session", "activityentry"])
def test_the_administrator_cannot_add_what_is_made_elsewhere(administrator: Client, model: str) -> None:
    assert administrator.get(f"/admin/apiauth/{model}/add/").status_code == 403


@pytest.mark.parametrize(
    ("group", "disables", "revokes"),
    [("Support viewer", False, False), ("Support agent", True, False), ("Security", True, True)],
)
def test_each_group_has_its_own_doors(
    enter: Callable[..., Client], make_key: Callable[..., IssuedKey], group: str, disables: bool, revokes: bool
) -> None:
    client, first, second = enter(group), make_key().key, make_key().key
    act(client, "key", "disable", first, **REASON)
    act(client, "key", "revoke", second, **REASON)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.disabled_at is not None, second.revoked_at is not None) == (disables, revokes)


@pytest.mark.parametrize(("group", "pauses"), [("Support viewer", False), ("Support agent", False), ("Security", True)])
def test_only_security_pauses_apps(enter: Callable[..., Client], app: App, group: str, pauses: bool) -> None:
    act(enter(group), "app", "pause", app, **REASON)
    app.refresh_from_db()
    assert app.is_active is not pauses


def test_a_viewer_cannot_change_an_app(enter: Callable[..., Client], app: App) -> None:
    assert enter("Support viewer").post(f"/admin/apiauth/app/{app.pk}/change/", {"name": "X"}).status_code == 403


def test_a_viewer_cannot_verify_the_activity_log(enter: Callable[..., Client]) -> None:
    assert enter("Support viewer").post("/admin/verify/").status_code == 403


@pytest.mark.parametrize("path", ["find/", "decisions/", "decisions/req_0/", "verify/", "apiauth/key/"])
def test_a_stranger_is_sent_to_the_log_in(client: Client, db: None, path: str) -> None:
    answer = client.post(f"/admin/{path}")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/admin/login/")


def test_a_session_of_the_portal_does_not_open_the_admin(session: Any, portal_client: Callable[..., Client]) -> None:
    assert portal_client().get("/admin/").status_code == 302
