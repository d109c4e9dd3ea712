"""A product says that a user is gone."""

from collections.abc import Callable
from urllib.parse import quote

import pytest
from django.test import Client

from apiauth.core.errors import TicketRefused
from apiauth.core.policy import read_policy
from apiauth.core.scope import Owner
from apiauth.models import ActivityEntry, App, Departure, Key
from apiauth.services import keys, sessions, tickets

pytestmark = pytest.mark.django_db
ADDRESS = "/api-auth/apps/aa_1/subjects/ann"
ANN = Owner(user_id="ann")
MakeKey = Callable[..., keys.IssuedKey]


def put(app: App, *, outlive: bool) -> None:
    App.objects.filter(pk=app.pk).update(policy=read_policy({"scope": {"keys_outlive_creator": outlive}}))


def test_200_sessions_end_and_tickets_open_nothing(
    backend: Client,
    client: Client,
    app: App,
    session_for: Callable[..., sessions.OpenedSession],
    make_ticket: Callable[..., tickets.IssuedTicket],
) -> None:
    client.cookies["ks_session"] = session_for(app, subject_id="ann").token
    ticket = make_ticket(subject_id="ann")
    assert client.get("/api-auth/session").status_code == 200
    assert backend.delete(ADDRESS).json() == {
        "subject_id": "ann", "sessions_ended": 1, "keys_revoked": 0, "keys_left": 0,
    }  # fmt: skip
    assert client.get("/api-auth/session").status_code == 401
    with pytest.raises(TicketRefused):
        sessions.exchange_ticket(
            ticket.text, client_ip=None, user_agent="", now=ticket.row.created_at, via="session_api"
        )


def test_200_keys_outlive_their_user_or_not_as_the_policy_says(backend: Client, app: App, make_key: MakeKey) -> None:
    mine, other = make_key(owner=ANN).key, make_key(owner=Owner(user_id="bob")).key
    put(app, outlive=True)
    assert backend.delete(ADDRESS).json()["keys_left"] == 1
    put(app, outlive=False)
    assert backend.delete(ADDRESS).json()["keys_revoked"] == 1
    mine.refresh_from_db()
    other.refresh_from_db()
    assert (mine.revoked_reason, other.revoked_at) == ("Owner removed", None)
    assert ActivityEntry.objects.filter(event="key.revoked", key_id=mine.id).exists()


def test_a_disabled_key_of_a_removed_user_cannot_be_enabled_again(
    backend: Client, app: App, make_key: MakeKey, actor: object
) -> None:
    key = make_key(owner=ANN).key
    Key.objects.filter(pk=key.pk).update(disabled_at=key.created_at)
    put(app, outlive=False)
    assert backend.delete(ADDRESS).json()["keys_revoked"] == 1


def test_a_departure_is_remembered_once_with_what_came_of_it_last(backend: Client, app: App, make_key: MakeKey) -> None:
    make_key(owner=ANN)
    put(app, outlive=False)
    for _ in range(2):
        assert backend.delete(ADDRESS).status_code == 200
    departure = Departure.objects.get(app=app)
    assert (departure.subject_id, departure.keys_revoked) == ("ann", 0)
    counted = ActivityEntry.objects.filter(event="subject.removed").values_list("details__keys_revoked", flat=True)
    assert sorted(counted) == [0, 1]


def test_404_for_a_user_that_the_app_never_knew(backend: Client, app: App) -> None:
    assert backend.delete(ADDRESS).status_code == 404
    assert not Departure.objects.exists()


@pytest.mark.parametrize(
    "subject_id",
    [
        "acme/ann",
        "/ann",
        "ann/",
        "a//b",
        "a/../b",
        "ann keys",
        "ann?x=1#y",
        "änn",
        "%2F",
        "ann\u00a0bee",
        "ann\u3000bee",
        "ann\u200dbee",
        "ann\u00adbee",
        "\ue000",
        "a" * 200,
    ],
)
def test_an_id_of_any_characters_that_a_ticket_takes_can_be_removed(
    backend: Client, app: App, make_ticket: Callable[..., tickets.IssuedTicket], subject_id: str
) -> None:
    make_ticket(subject_id=subject_id)
    answer = backend.delete(f"/api-auth/apps/aa_1/subjects/{quote(subject_id, safe='')}")
    assert (answer.status_code, answer.json().get("subject_id")) == (200, subject_id)


@pytest.mark.parametrize("address", ["", "%00", "acme/nobody", "a" * 5_000, "%FF", "ann/keys"])
def test_404_for_what_is_no_subject(backend: Client, app: App, address: str) -> None:
    assert backend.delete(f"/api-auth/apps/aa_1/subjects/{address}").status_code == 404


@pytest.mark.parametrize("subject_id", [".", ".."])
def test_400_for_an_id_that_means_another_address_where_it_stands_in_one(
    backend: Client, app: App, subject_id: str
) -> None:
    ticket = {"ticket_type": "api_auth_access", "api_auth_app_slug": app.slug, "subject": {"id": subject_id}}
    answers = {
        "subject.id": backend.post("/session/tickets", ticket, content_type="application/json"),
        "user_id": backend.post(
            f"/api-auth/apps/{app.slug}/keys", {"name": "ci", "user_id": subject_id}, content_type="application/json"
        ),
    }
    for field, answer in answers.items():
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)
