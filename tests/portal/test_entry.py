"""The way in: a ticket is used up by its form alone, once, and every refusal is a kind page."""

from datetime import timedelta

import pytest
import time_machine
from django.test import Client

from apiauth.core import clock
from apiauth.models import Session
from apiauth.services import apps, sessions
from tests.conftest import ACTOR

LANDING = "/vanity/api-auth"
USED = "This link has already been used"


def enter(client, ticket, **more):
    return client.post(LANDING, {"ticket": ticket.text, **more})


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="navigate"),
        pytest.param({"Sec-Purpose": "prefetch;prerender"}, id="prerender"),
        pytest.param({"Purpose": "prefetch"}, id="prefetch"),
        pytest.param({"X-Moz": "prefetch"}, id="firefox prefetch"),
        pytest.param({"User-Agent": "Slackbot-LinkExpanding 1.0"}, id="link preview"),
    ],
)
@pytest.mark.parametrize("method", ["get", "head", "options"])
def test_looking_at_a_link_does_not_use_it_up(client, make_ticket, headers, method):
    ticket = make_ticket()
    getattr(client, method)(LANDING, {"ticket": ticket.text}, headers=headers)
    assert sessions.look_at_ticket(ticket.text, now=clock.now()).state == "ready"
    assert Session.objects.count() == 0


def test_the_landing_page_posts_by_itself_and_has_a_button(client, make_ticket):
    html = client.get(LANDING, {"ticket": make_ticket().text}).content.decode()
    assert "data-auto-post" in html
    assert "Continue" in html


@pytest.mark.parametrize("header", ["Sec-Purpose", "Purpose", "X-Moz"])
def test_a_prefetched_landing_page_waits_for_a_click(client, make_ticket, header):
    html = client.get(LANDING, {"ticket": make_ticket().text}, headers={header: "prefetch"}).content.decode()
    assert "data-auto-post" not in html
    assert "Continue" in html


def test_the_landing_page_is_kept_nowhere_and_sends_no_referrer(client, make_ticket):
    response = client.get(LANDING, {"ticket": make_ticket().text})
    assert response["Cache-Control"] == "no-store, private"
    assert response["Referrer-Policy"] == "no-referrer"


def test_the_form_opens_a_session_and_leads_to_a_clean_page(client, make_ticket):
    response = enter(client, make_ticket())
    assert response.status_code == 303
    cookie = response.cookies["ks_session"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["secure"]) == (True, "Lax", "/", "")
    onwards = client.get(response.url)
    assert onwards.status_code == 303
    assert onwards.url == "/portal/"
    assert client.get("/portal/").status_code == 200


def test_over_https_the_cookie_is_bound_to_its_host(client, make_ticket, https_environment):
    response = enter(client, make_ticket())
    cookie = response.cookies["__Host-ks_session"]
    assert (cookie["secure"], cookie["path"], cookie["domain"]) == (True, "/", "")


@pytest.fixture
def https_environment(settings):
    import dataclasses

    settings.ENVIRONMENT = dataclasses.replace(settings.ENVIRONMENT, public_url="https://keys.example")


def test_a_second_use_is_refused_with_the_way_back(client, make_ticket):
    ticket = make_ticket()
    enter(client, ticket)
    response = enter(Client(), ticket)
    assert response.status_code == 410
    assert USED in response.content.decode()
    assert 'href="http://127.0.0.1:9000/settings"' in response.content.decode()


def test_a_double_click_in_the_same_browser_leads_on(client, make_ticket):
    ticket = make_ticket()
    enter(client, ticket)
    for response in (client.get(LANDING, {"ticket": ticket.text}), enter(client, ticket)):
        assert response.status_code == 303
        assert response.url == "/portal/"


def test_the_grace_of_a_double_click_ends_after_ten_seconds(client, make_ticket):
    ticket = make_ticket()
    enter(client, ticket)
    with time_machine.travel(clock.now() + timedelta(seconds=11)):
        assert client.get(LANDING, {"ticket": ticket.text}).status_code == 410


def test_an_expired_link_says_for_how_long_links_work(client, make_ticket):
    ticket = make_ticket(issued_at=clock.now() - timedelta(seconds=61))
    response = client.get(LANDING, {"ticket": ticket.text})
    assert response.status_code == 410
    assert "This link has expired. Links work for 1 minute." in response.content.decode().replace("&#x27;", "'")
    assert enter(client, ticket).status_code == 410


def test_the_link_of_a_deleted_app_opens_nothing(client, app, make_ticket):
    ticket = make_ticket()
    apps.delete_app(deployment_id=app.deployment_id, slug=app.slug, actor=ACTOR, now=clock.now())
    for response in (client.get(LANDING, {"ticket": ticket.text}), enter(client, ticket)):
        assert response.status_code == 410
        assert "available any more" in response.content.decode()


def test_a_paused_app_is_entered_read_only(client, app, make_ticket):
    apps.disable_app(deployment_id=app.deployment_id, slug=app.slug, reason="unpaid", actor=ACTOR, now=clock.now())
    response = client.get(enter(client, make_ticket()).url, follow=True)
    html = response.content.decode()
    assert "Northwind Maps is paused." in html
    assert "Create key" not in html
    assert client.get("/portal/keys/new").status_code == 403


def test_a_live_session_of_another_app_asks_before_it_ends(client, make_app, app, make_ticket):
    other = make_app("aa_2", name="Contoso Bills", key_prefix="cb")
    enter(client, make_ticket(for_app=other))
    html = client.get(LANDING, {"ticket": make_ticket().text}).content.decode()
    assert "Contoso Bills" in html
    assert "Northwind Maps" in html
    assert "data-auto-post" not in html


def test_entering_again_ends_the_session_before(client, make_ticket):
    enter(client, make_ticket())
    old = client.cookies["ks_session"].value
    enter(client, make_ticket())
    assert client.cookies["ks_session"].value != old
    assert sessions.find_session(old, now=clock.now()) is None


def test_a_planted_cookie_is_never_taken_over(client, make_ticket):
    client.cookies["ks_session"] = "kss_planted"
    assert enter(client, make_ticket()).cookies["ks_session"].value != "kss_planted"


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("", id="none"),
        pytest.param("ticket=", id="empty"),
        pytest.param("ticket=kst_short", id="short"),
        pytest.param("ticket=" + "a" * 10_000, id="10 000 characters"),
        pytest.param("ticket=%00", id="NUL"),
        pytest.param("ticket=%ED%A0%80", id="lone surrogate"),
        pytest.param("ticket=%E2%80%AE", id="right to left"),
        pytest.param("ticket=%0d%0aSet-Cookie:x", id="line break"),
        pytest.param("ticket=<script>alert(1)</script>", id="markup"),
        pytest.param("ticket=a&ticket=b", id="twice"),
        pytest.param("ticket[]=a", id="array"),
    ],
)
def test_a_link_that_is_none_gets_the_words_of_a_used_one(client, db, query):
    response = client.get(f"{LANDING}?{query}")
    assert response.status_code == 410
    assert USED in response.content.decode()
    assert "<script>alert" not in response.content.decode()


def test_the_same_ticket_twice_in_a_link_opens_nothing(client, make_ticket):
    text = make_ticket().text
    assert client.get(f"{LANDING}?ticket={text}&ticket={text}").status_code == 410


def test_a_ticket_in_the_form_that_differs_from_the_address_opens_nothing(client, make_ticket):
    first, second = make_ticket(), make_ticket()
    response = client.post(f"{LANDING}?ticket={first.text}", {"ticket": second.text})
    assert response.status_code == 410
    assert Session.objects.count() == 0


@pytest.mark.parametrize(
    ("wanted", "opened"),
    [
        ("/portal/keys?status=ending", "/portal/keys?status=ending&from=entry"),
        ("/portal/logs/req_0", "/portal/logs/req_0?from=entry"),
        *(
            (bad, "/portal/?from=entry")
            for bad in [
                "//evil.example",
                "/\\evil.example",
                "https:evil.example",
                "https://evil.example/portal/",
                "javascript:alert(1)",
                "\t//evil.example",
                "/portal/\\evil",
                "/admin/",
                "/portal/\r\nSet-Cookie: a=b",
            ]
        ),
    ],
)
def test_a_link_can_open_only_pages_of_the_portal(client, make_ticket, wanted, opened):
    assert enter(client, make_ticket(), next=wanted).url == opened


def test_a_form_without_its_token_offers_the_button_again(make_ticket):
    client, ticket = Client(enforce_csrf_checks=True), make_ticket()
    response = enter(client, ticket)
    assert response.status_code == 403
    assert "Continue" in response.content.decode()
    assert "cookie" in response.content.decode()
    assert sessions.look_at_ticket(ticket.text, now=clock.now()).state == "ready"


def test_the_form_of_the_landing_page_passes_the_token_check(make_ticket):
    client, ticket = Client(enforce_csrf_checks=True), make_ticket()
    client.get(LANDING, {"ticket": ticket.text})
    response = enter(client, ticket, csrfmiddlewaretoken=client.cookies["ks_csrf"].value)
    assert response.status_code == 303


def test_a_browser_without_cookies_is_told_so(client, make_ticket):
    stranger = Client()
    onwards = stranger.get(enter(client, make_ticket()).url)
    assert onwards.url == "/portal/expired?from=entry"
    page = stranger.get(onwards.url)
    assert page.status_code == 401
    assert "blocked the sign-in cookie" in page.content.decode()


def test_without_a_session_every_page_leads_to_the_expired_page(client, db):
    response = client.get("/portal/keys")
    assert (response.status_code, response.url) == (303, "/portal/expired")
    assert client.get("/portal/expired").status_code == 401


def test_htmx_without_a_session_is_sent_to_the_expired_page(client, db):
    response = client.get("/portal/keys", headers={"HX-Request": "true", "HX-Target": "keys"})
    assert (response.status_code, response["HX-Redirect"]) == (401, "/portal/expired")


def test_signing_out_ends_the_session_for_good(portal_client, session_for):
    client = portal_client()
    token = client.cookies["ks_session"].value
    row = Session.objects.get()
    response = client.post("/portal/leave", {"session": str(row.pk)})
    assert response.status_code == 200
    assert response.cookies["ks_session"].value == ""
    client.cookies["ks_session"] = token
    assert client.get("/portal/keys").status_code == 303


def test_whoever_is_in_already_comes_to_the_portal_without_a_link(portal_client):
    response = portal_client().get(LANDING)
    assert (response.status_code, response.url) == (303, "/portal/")


def test_a_visit_without_a_link_and_without_access_says_how_to_get_in(client, db):
    response = client.get(LANDING)
    assert response.status_code == 410
    assert "to get a fresh link" in response.content.decode()


@pytest.mark.parametrize(("address", "page"), [("keys", "/portal/keys"), ("logs", "/portal/logs")])
def test_the_vanity_models_own_addresses_lead_to_the_portals_pages(client, db, address, page):
    response = client.get(f"{LANDING}/{address}")
    assert (response.status_code, response.url) == (303, page)
