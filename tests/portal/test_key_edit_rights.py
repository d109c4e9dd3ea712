"""The form that changes a key has fields for what a role may change, and tells no more than the role may see."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from apiauth.core.policy import read_policy
from apiauth.models import App, Key
from apiauth.services import keys
from tests.portal.test_key_edit import address, form_of, key, limit, opened, text_of

__all__ = ["address", "key"]

pytestmark = pytest.mark.django_db
RENAME = {"name": "Other", "note": "Moved"}
GRANT = {"allowed_cidrs": "10.0.0.0/8", "ends": "keep", "access": "choose", "permissions": ["routes:read"]}
PARTS = {"rename": RENAME, "edit_any": GRANT, "change_limits": limit(0, "5")}


@pytest.mark.parametrize("action", PARTS)
@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true", "HX-Target": "dialog"}], ids=["page", "dialog"])
def test_who_may_change_one_part_alone_has_fields_for_it_and_sees_the_rest(
    portal_client: Callable[..., Client], app: App, key: Key, address: str, action: str, headers: dict[str, str]
) -> None:
    beyond = {each: "owner" for each in ("edit_own", *PARTS) if each != action}
    App.objects.filter(pk=app.pk).update(policy=read_policy({"authority": {**beyond, action: "member"}}))
    Key.objects.filter(pk=key.pk).update(note="Told", allowed_cidrs=["192.0.2.0/24"])
    client = portal_client(role="member")
    html = text_of(client.get(address, headers=headers))
    assert 'value="Billing worker"' in html if action == "rename" else "<dd>Billing worker</dd>" in html
    assert 'value="Told"' in html if action == "rename" else "<dd>Told</dd>" in html
    assert "192.0.2.0/24</textarea>" in html if action == "edit_any" else "<code>192.0.2.0/24</code>" in html
    assert ('name="limits-0-max_requests"' in html) == (action == "change_limits")
    assert html.count("You need the owner role to change the ") == 2
    for part, fields in PARTS.items():
        answer = client.post(address, form_of(html) | fields, headers=headers)
        assert (answer.status_code == 403) == (part != action), part
        if answer.status_code == 200 and not headers:
            assert client.post(address, form_of(text_of(answer))).status_code == 303
    changed = Key.objects.get()
    if headers and action != "rename":
        assert changed.updated_at == key.updated_at, "only reviewed"
    else:
        assert changed.updated_at > key.updated_at
        assert (changed.name == "Other") == (action == "rename")
        assert (changed.allowed_cidrs == ["10.0.0.0/8"]) == (action == "edit_any")
        assert bool(changed.limits) == (action == "change_limits")


@pytest.mark.parametrize(
    ("authority", "word"),
    [
        ({}, "Rename"),
        ({"rename": "owner", "change_limits": "member"}, "Change limits"),
        ({"change_limits": "member"}, "Edit"),
        ({"edit_any": "member"}, "Edit"),
        ({"rename": "owner"}, ""),
    ],
)
def test_the_page_of_a_key_offers_the_form_by_what_it_is_good_for(
    portal_client: Callable[..., Client], app: App, key: Key, address: str, authority: dict[str, str], word: str
) -> None:
    App.objects.filter(pk=app.pk).update(policy=read_policy({"authority": authority}))
    html = text_of(portal_client(role="member").get(f"/portal/keys/{key.pk}"))
    assert re.findall(rf'hx-get="{address}"[^>]*>([^<]+)</a>', html) == ([word] if word else [])


def test_who_may_not_change_limits_sees_them_without_fields_and_is_refused(
    portal_client: Callable[..., Client], app: App, make_key: Callable[..., keys.IssuedKey]
) -> None:
    App.objects.filter(pk=app.pk).update(policy=read_policy({"authority": {"change_limits": "owner"}}))
    key = make_key(permissions=["routes:read"], limits=[{"unit": "minute", "duration": 1, "max_requests": 5}]).key
    client, address = portal_client(), f"/portal/keys/{key.pk}/edit"
    html = text_of(client.get(address))
    assert "5 per minute, per key" in html
    assert "limits-0" not in html
    assert client.post(address, opened(client, address, **limit(0, "9"))).status_code == 403
    assert client.post(address, opened(client, address, name="Other")).status_code == 303
    after = Key.objects.get()
    assert (after.name, after.limits) == ("Other", key.limits)


def test_hidden_addresses_are_not_found_by_trying_them_out(
    portal_client: Callable[..., Client], app: App, key: Key, address: str, make_decision: Callable[..., Any]
) -> None:
    App.objects.filter(pk=app.pk).update(policy=read_policy({"authority": {"see_addresses": "owner"}}))
    make_decision(key_id=key.pk, required_permissions=["routes:read"])
    make_decision(key_id=key.pk, required_permissions=["routes:write"])
    client, told = portal_client(), []
    for network in ("203.0.113.24", "203.0.113.25"):
        for less in ({}, {"permissions": ["routes:read"]}):
            html = text_of(client.post(address, opened(client, address, allowed_cidrs=network, **less)))
            assert "What the changed addresses would block isn't counted. You need the owner role" in html
            assert ("This would have blocked 1 of 2 calls" in html) == bool(less)
            told.append(re.findall(r"would have.*?[.]|would still.*?[.]|class=.btn btn-\w+", html))
    assert told[:2] == told[2:]
    assert client.post(address, form_of(html)).status_code == 303
    assert Key.objects.get().allowed_cidrs == ["203.0.113.25/32"]
