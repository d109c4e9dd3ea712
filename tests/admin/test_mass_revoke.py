"""Staff revoke many keys at once: look first, begin with a reason, watch it end; and bring a key back in time."""

import re
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.management import call_command
from django.test import Client

from apiauth.core import clock
from apiauth.core.key_filter import read_filter
from apiauth.core.policy import read_policy
from apiauth.models import ActivityEntry, App, GatewayStatus, Key, KeyUsage, MassRevoke
from apiauth.services import activity, keys, mass_revoke
from apiauth.services.keys import IssuedKey

ADDRESS = "/admin/mass-revoke/"


def test_a_look_says_how_many_and_which_and_changes_nothing(
    administrator: Client, app: App, make_key: Callable[..., IssuedKey]
) -> None:
    issued = make_key()
    answer = administrator.post(ADDRESS, {"app_id": app.pk, "_try": "1"})
    assert answer.context["found"].count == 1
    assert str(issued.key) in answer.content.decode()
    assert issued.secret.text not in answer.content.decode()
    assert not MassRevoke.objects.exists()


@pytest.mark.parametrize(
    ("form", "field"),
    [
        ({"_try": "1"}, "__all__"),
        ({"_try": "1", "last_used_from": "nowhere"}, "last_used_from"),
        ({"_try": "1", "created_after": "yesterday"}, "created_after"),
        ({"_begin": "1", "key_prefix": "nw_live", "seen": '{"key_prefix": "nw_live"}'}, "reason"),
        ({"_begin": "1", "key_prefix": "nw_live", "seen": '{"user_id": "dana"}', "reason": "leaked"}, "__all__"),
    ],
)
def test_422_that_names_the_field(
    administrator: Client, make_key: Callable[..., IssuedKey], form: dict[str, str], field: str
) -> None:
    make_key()
    answer = administrator.post(ADDRESS, form)
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]
    assert not MassRevoke.objects.exists()


@pytest.fixture
def used_from(app: App, make_key: Callable[..., IssuedKey]) -> str:
    """The address that a key of an app was last used from whose policy keeps addresses from staff."""
    App.objects.filter(pk=app.pk).update(policy=read_policy({"audit": {"staff_see_addresses": False}}))
    KeyUsage.objects.create(
        key=make_key().key,
        app_id=app.pk,
        last_used_at=clock.now(),
        client_ip="203.0.113.77",
        method="GET",
        path="/",
        allowed=True,
    )
    return "203.0.113.77"


@pytest.mark.parametrize("of", ["app", "deployment", "all"])
@pytest.mark.parametrize("guess", ["203.0.113.77", "203.0.113.0/25", "203.0.113.128/25", "2001:db8::/49"])
def test_an_address_that_the_policy_keeps_from_staff_cannot_be_guessed(
    administrator: Client, app: App, used_from: str, guess: str, of: str
) -> None:
    scope = {"app": {"app_id": app.pk}, "deployment": {"deployment_id": app.deployment_id}, "all": {}}[of]
    for button in ("_try", "_begin"):
        answer = administrator.post(ADDRESS, {**scope, "last_used_from": guess, button: "1", "reason": "leaked"})
        assert answer.status_code == 422
        assert "found" not in answer.context
        assert "keeps whole addresses from staff" in answer.content.decode()
        assert used_from not in answer.content.decode().replace(guess, "")
    assert not MassRevoke.objects.exists()


def test_after_a_leak_its_network_can_be_asked_for_and_other_apps_in_full(
    administrator: Client, app: App, make_app: Callable[..., App], used_from: str
) -> None:
    looked = administrator.post(ADDRESS, {"app_id": app.pk, "last_used_from": "203.0.113.0/24", "_try": "1"})
    assert looked.context["found"].count == 1
    open_app = make_app("aa_2")
    looked = administrator.post(ADDRESS, {"app_id": open_app.pk, "last_used_from": used_from, "_try": "1"})
    assert looked.context["found"].count == 0


def test_an_operator_at_the_command_line_asks_for_any_range(app: App, used_from: str) -> None:
    told = StringIO()
    call_command("revoke", "--last-used-from", used_from, "--dry-run", stdout=told)
    assert told.getvalue().startswith("1 keys of 1 apps")


@pytest.mark.parametrize("of", ["app", "deployment", "all"])
def test_what_an_operator_asked_for_shows_staff_no_address_that_the_policy_keeps_from_them(
    administrator: Client, app: App, actor: Any, used_from: str, of: str
) -> None:
    scope = {"app": {"app_id": app.pk}, "deployment": {"deployment_id": app.deployment_id}, "all": {}}[of]
    asked = read_filter({**scope, "last_used_from": used_from})
    mass_revoke.start(asked, reason="leaked", actor=actor, now=clock.now())
    entry = ActivityEntry.objects.get(event="mass_revoke.started")
    entries, page = "/admin/apiauth/activityentry/", f"/admin/apiauth/activityentry/{entry.pk}/change/"
    assert used_from not in administrator.get(entries).content.decode()
    html = administrator.get(page).content.decode()
    assert (used_from in html, "203.0.113.0/24" in html) == (False, True)
    App.objects.filter(pk=app.pk).update(policy=read_policy({}))
    assert f"{used_from}/32" in administrator.get(page).content.decode()
    assert not [broken for _, _, broken in activity.verify_all() if broken]


def test_customers_read_why_keys_were_revoked_and_not_from_where_they_were_used(
    portal_client: Callable[..., Client], app: App, actor: Any, used_from: str
) -> None:
    asked = read_filter({"app_id": app.pk, "last_used_from": used_from})
    mass_revoke.start(asked, reason="leaked", actor=actor, now=clock.now())
    client = portal_client()
    html = client.get("/portal/activity").content.decode()
    assert "began to revoke many keys" in html
    taken = client.post("/portal/activity/export", {"session": hidden(html, "session"), "form": "jsonl"})
    lines = taken.getvalue().decode()
    assert '"leaked"' in lines
    assert used_from not in html + lines


def hidden(html: str, name: str) -> str:
    found = re.search(f'name="{name}" value="([^"]+)"', html)
    assert found is not None
    return found[1]


def test_a_pasted_secret_is_refused_and_kept_nowhere(
    administrator: Client, make_key: Callable[..., IssuedKey], stored: Callable[[], str]
) -> None:
    secret = make_key().secret.text
    answer = administrator.post(ADDRESS, {"_begin": "1", "keys": secret, "reason": "leaked"})
    assert answer.status_code == 422
    assert secret not in stored()


def test_a_run_begins_at_once_and_its_page_looks_again_until_it_is_over(
    administrator: Client, app: App, make_key: Callable[..., IssuedKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mass_revoke, "BATCH", 2)
    GatewayStatus.objects.all().delete()
    made = [make_key().key for _ in range(3)]
    looked = administrator.post(ADDRESS, {"app_id": app.pk, "_try": "1"}).context["seen"]
    answer = administrator.post(ADDRESS, {"app_id": app.pk, "reason": "leaked", "_begin": "1", "seen": looked})
    page = answer["Location"]
    assert Key.objects.filter(revoked_at__isnull=False).count() == 2
    watching = administrator.get(page)
    assert (watching["Refresh"], watching.context["done"]) == ("2", 2)
    for _ in range(2):
        administrator.post(page)
    over = administrator.get(page)
    assert not over.has_header("Refresh")
    assert "Done: every key that fitted when this began is revoked. No gateway is running." in over.content.decode()
    assert ActivityEntry.objects.filter(event="key.revoked", key_id__in=[key.pk for key in made]).count() == 3


def test_how_far_a_large_run_is_is_told_to_browsers_in_plain_digits(
    administrator: Client, app: App, actor: Any, make_key: Callable[..., IssuedKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_key()
    job = mass_revoke.start(read_filter({"app_id": app.pk}), reason="leaked", actor=actor, now=clock.now())
    reached = mass_revoke.Progress(found=3_000, left=1_796, is_finished=False)
    monkeypatch.setattr(mass_revoke, "progress", lambda job, now: reached)
    html = administrator.get(f"{ADDRESS}{job.pk}/").content.decode()
    assert '<progress max="3000" value="1204"' in html


@pytest.mark.parametrize("group", ["Support viewer", "Support agent"])
def test_403_for_staff_who_may_not_revoke(enter: Callable[..., Client], group: str) -> None:
    client = enter(group)
    may: Any = client.get(ADDRESS).status_code
    assert may == 403
    assert client.post(ADDRESS, {"key_prefix": "nw", "reason": "x", "_begin": "1"}).status_code == 403


def test_staff_bring_a_key_back_in_time(
    administrator: Client, app: App, make_app: Callable[..., App], make_key: Callable[..., IssuedKey], actor: Any
) -> None:
    soft = make_app("aa_2", policy={"revocation": {"undo_minutes": 10}})
    for within, is_back in ((soft, True), (app, False)):
        key = make_key(in_app=within).key
        keys.revoke_key(app_id=within.pk, key_id=key.pk, actor=actor, now=clock.now())
        form = {"action": "undo", ACTION_CHECKBOX_NAME: str(key.pk), "confirmed": "1"}
        administrator.post("/admin/apiauth/key/", form)
        key.refresh_from_db()
        assert (key.revoked_at is None) is is_back
