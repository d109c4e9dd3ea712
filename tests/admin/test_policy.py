"""Staff read the policy as a matrix, see what another would do to the keys, and put it in force."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from apiauth.admin import policy
from apiauth.core import clock
from apiauth.core.actor import Actor
from apiauth.core.policy import Policy
from apiauth.models import ActivityEntry, App
from apiauth.services import apps
from apiauth.services.keys import IssuedKey

NINETY = {"expiry.mode": "mandatory", "expiry.longest_days": "90"}


def address(app: App) -> str:
    return f"/admin/apiauth/app/{app.pk}/policy/"


def filled(client: Client, app: App, **changes: str) -> dict[str, str]:
    """Return the page's form as a person would send it, with some fields changed."""
    form = client.get(address(app)).context["form"]
    values: dict[str, Any] = {name: form[name].value() for name in form.fields}
    sent = {name: "on" if value is True else str(value) for name, value in values.items() if value not in (None, False)}
    return {**sent, "version": client.get(address(app)).context["version"], **changes}


def test_the_app_leads_to_its_policy(administrator: Client, app: App) -> None:
    assert address(app) in administrator.get(f"/admin/apiauth/app/{app.pk}/change/").content.decode()
    page = administrator.get(address(app)).content.decode()
    assert "Revoke every key within the scope." in page


def test_an_app_that_is_deleted_leads_to_no_policy(administrator: Client, app: App, actor: Actor) -> None:
    apps.delete_app(deployment_id=app.deployment_id, slug=app.slug, actor=actor, now=clock.now())
    page = administrator.get(f"/admin/apiauth/app/{app.pk}/change/").content.decode()
    assert "Deleted" in page
    assert address(app) not in page


def test_a_policy_sent_as_it_is_changes_nothing(administrator: Client, app: App) -> None:
    assert administrator.post(address(app), {**filled(administrator, app), "_set": "1"}).status_code == 302
    app.refresh_from_db()
    assert app.policy == Policy()
    assert not ActivityEntry.objects.filter(event="app.policy_changed").exists()


def test_a_preview_lists_keys_and_changes_nothing(
    administrator: Client, app: App, make_key: Callable[..., IssuedKey]
) -> None:
    key = make_key().key
    answer = administrator.post(address(app), {**filled(administrator, app, **NINETY), "_preview": "1"})
    assert answer.context["preview"]["count"] == "1"
    assert str(key) in answer.content.decode()
    app.refresh_from_db()
    assert app.policy == Policy()


def test_a_preview_says_how_many_keys_there_are_and_turns_its_pages(
    administrator: Client, app: App, make_key: Callable[..., IssuedKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "MOST_LISTED", 2)
    keys = sorted((make_key(f"Key {number}").key for number in range(5)), key=lambda key: -key.pk)
    form, shown, sent = filled(administrator, app, **NINETY), [], {"_preview": "1"}
    for part in ("2 of 5, the newest", "2 of 5, older ones", "1 of 5, older ones"):
        answer = administrator.post(address(app), {**form, **sent})
        page = answer.content.decode()
        assert part in page
        shown += [key for key, _, _ in answer.context["preview"]["keys"]]
        sent = {"_older": answer.context["preview"]["older"]}
        assert ("Preview older keys" in page) is bool(sent["_older"])
    assert shown == keys


def test_a_preview_of_all_keys_leads_to_no_others(
    administrator: Client, app: App, make_key: Callable[..., IssuedKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "MOST_LISTED", 2)
    make_key(), make_key()
    page = administrator.post(address(app), {**filled(administrator, app, **NINETY), "_preview": "1"}).content.decode()
    assert "Keys that this affects: 2" in page
    assert "the newest" not in page
    assert "Preview older keys" not in page


def test_a_preview_says_how_many_ends_would_come_back(
    administrator: Client, app: App, make_key: Callable[..., IssuedKey]
) -> None:
    make_key()
    later = f"{clock.now() + timedelta(days=7):%Y-%m-%d %H:%M}"
    tight = {"expiry.mode": "mandatory", "expiry.longest_days": "90", "applies_at": later}
    assert administrator.post(address(app), {**filled(administrator, app, **tight), "_set": "1"}).status_code == 302
    loose = filled(administrator, app, **{"expiry.mode": "optional", "expiry.longest_days": "", "_preview": "1"})
    assert "1 key would get a later end back" in administrator.post(address(app), loose).content.decode()


def test_a_preview_of_a_moment_that_is_past_says_so(
    administrator: Client, app: App, make_key: Callable[..., IssuedKey]
) -> None:
    make_key()
    form = {**filled(administrator, app, **NINETY), "applies_at": "2020-01-01 00:00", "_preview": "1"}
    answer = administrator.post(address(app), form)
    assert answer.status_code == 422
    assert "applies_at" in answer.context["form"].errors


def test_a_policy_that_affects_keys_asks_from_when(
    administrator: Client, app: App, make_key: Callable[..., IssuedKey]
) -> None:
    key = make_key().key
    form = {**filled(administrator, app, preset="owner_only", **NINETY), "_set": "1"}
    answer = administrator.post(address(app), form)
    assert answer.status_code == 422
    assert "affects 1 key." in answer.content.decode()
    later = clock.now() + timedelta(days=100)
    assert administrator.post(address(app), {**form, "applies_at": f"{later:%Y-%m-%d %H:%M}"}).status_code == 302
    app.refresh_from_db()
    key.refresh_from_db()
    assert app.policy.authority.revoke_any == "owner"
    assert f"{key.expires_at:%Y-%m-%d %H:%M}" == f"{later:%Y-%m-%d %H:%M}"
    assert ActivityEntry.objects.get(event="app.policy_changed").via == "admin"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"expiry.mode": "mandatory"}, None),
        ({"expiry.mode": "mandatory", "expiry.longest_days": "0"}, "expiry.longest_days"),
        ({"audit.keep_days": "x"}, "audit.keep_days"),
        ({"scope.model": "planet"}, "scope.model"),
        ({"applies_at": "soon"}, "applies_at"),
        ({"preset": "nobody"}, "preset"),
    ],
)
def test_what_cannot_be_used_is_said_at_its_field(
    administrator: Client, app: App, changes: dict[str, str], field: str | None
) -> None:
    answer = administrator.post(address(app), {**filled(administrator, app, **changes), "_set": "1"})
    assert answer.status_code == 422
    assert (field or "__all__") in answer.context["form"].errors


def test_a_policy_is_not_put_over_one_that_was_not_seen(administrator: Client, app: App) -> None:
    form = {**filled(administrator, app, preset="owner_only"), "_set": "1"}
    assert administrator.post(address(app), form).status_code == 302
    assert administrator.post(address(app), {**form, "preset": "team"}).status_code == 422


def test_a_viewer_reads_and_sets_nothing(enter: Callable[..., Client], app: App) -> None:
    viewer = enter("Support viewer")
    page = viewer.get(address(app))
    assert page.status_code == 200
    assert "Set policy" not in page.content.decode()
    assert viewer.post(address(app), {"preset": "owner_only", "_set": "1"}).status_code == 403


def test_there_is_no_policy_of_an_app_that_is_not(administrator: Client, db: None) -> None:
    assert administrator.get("/admin/apiauth/app/99999999999999999999999/policy/").status_code == 404
