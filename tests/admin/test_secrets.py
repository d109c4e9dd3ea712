"""A secret is shown once, in one answer, and a pasted one leaves no trace."""

import re
from collections.abc import Callable

import pytest
from django.test import Client

from apiauth.core.secrets import mint
from apiauth.models import ActivityEntry, BackendKey, Deployment
from apiauth.services.keys import IssuedKey

SECRET = re.compile(r"ksb_[0-9A-Za-z]{49}")


def issue(client: Client, deployment: Deployment) -> str:
    answer = client.post(
        "/admin/apiauth/backendkey/add/",
        {"deployment": deployment.pk, "name": "Billing", "scopes": ["tickets:issue"]},
    )
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    found = set(SECRET.findall(answer.content.decode()))
    assert len(found) == 1
    return found.pop()


def test_a_new_backend_key_is_shown_in_the_answer_to_its_post_and_nowhere_else(
    administrator: Client,
    deployment: Deployment,
    stored: Callable[[], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret = issue(administrator, deployment)
    row = BackendKey.objects.get(deployment=deployment)
    pages = ["", "apiauth/backendkey/", f"apiauth/backendkey/{row.pk}/change/", f"apiauth/backendkey/{row.pk}/history/"]
    seen = [administrator.get(f"/admin/{page}").content.decode() for page in pages]
    assert not any(secret in text for text in (*seen, stored(), caplog.text, str(administrator.cookies)))


def test_a_refused_form_makes_no_backend_key(administrator: Client, deployment: Deployment) -> None:
    answer = administrator.post("/admin/apiauth/backendkey/add/", {"deployment": deployment.pk, "name": " "})
    assert answer.status_code == 422
    assert not BackendKey.objects.exists()


def test_a_pasted_key_is_found_and_leaves_no_trace(
    enter: Callable[..., Client],
    make_key: Callable[..., IssuedKey],
    stored: Callable[[], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    issued, client = make_key(), enter("Support viewer")
    answer = client.post("/admin/find/", {"pasted": f"  {issued.secret.text}\n"})
    page = answer.content.decode()
    assert f"/admin/apiauth/key/{issued.key.pk}/change/" in page
    assert "no-store" in answer["Cache-Control"]
    everywhere = (page, stored(), caplog.text, client.get("/admin/").content.decode())
    assert not any(issued.secret.text in text for text in everywhere)
    entry = ActivityEntry.objects.get(event="key.searched")
    assert (entry.key_id, entry.details, entry.actor_kind) == (issued.key.pk, {"by": "secret", "found": 1}, "staff")


def test_a_mistyped_key_is_found_by_its_beginning_and_last_four(
    administrator: Client, make_key: Callable[..., IssuedKey]
) -> None:
    issued = make_key()
    text = f"{issued.key.key_prefix}_…{issued.key.key_suffix}"
    page = administrator.post("/admin/find/", {"pasted": text}).content.decode()
    assert f"/admin/apiauth/key/{issued.key.pk}/change/" in page


@pytest.mark.parametrize(
    "pasted", ["", "nothing like it", "🗝" * 100, "x\x00y", "9" * 30, "_" * 60 + "abcd", mint("nw_live")]
)
def test_what_fits_no_key_gets_an_answer(
    administrator: Client, make_key: Callable[..., IssuedKey], pasted: str
) -> None:
    make_key()
    answer = administrator.post("/admin/find/", {"pasted": pasted})
    assert answer.status_code == 200
    assert not (pasted and pasted in answer.content.decode())


@pytest.mark.parametrize("page", ["apiauth/key/", "apiauth/backendkey/", "decisions/", "apiauth/activityentry/"])
def test_a_secret_in_an_address_is_dropped(
    administrator: Client, make_key: Callable[..., IssuedKey], stored: Callable[[], str], page: str
) -> None:
    secret = make_key().secret.text
    answer = administrator.get(f"/admin/{page}", {"q": secret}, follow=True)
    assert answer.status_code == 200
    assert secret not in answer.content.decode()
    assert secret not in stored()


def test_no_page_of_a_key_holds_its_digest(administrator: Client, make_key: Callable[..., IssuedKey]) -> None:
    key = make_key().key
    page = administrator.get(f"/admin/apiauth/key/{key.pk}/change/").content.decode()
    assert bytes(key.digest).hex() not in page
    assert "digest" not in page
