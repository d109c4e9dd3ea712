"""The hooks in Chromium, in React alone and in React Router, on a page of another origin than Keystead's."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.clients.js.conftest import Product
from tests.support.running import in_installation, until

pytestmark = [pytest.mark.browser, pytest.mark.contract, pytest.mark.timeout(240)]

RECORD_SECONDS = 15
PAGES = pytest.mark.parametrize("kind", ["plain", "router"])
TICKET = re.compile(r"kst_[0-9A-Za-z]{49}")
OpenPage = Callable[..., Page]


def go(page: Page, kind: str, part: str) -> None:
    page.get_by_role("link" if kind == "router" else "button", name=part, exact=True).click()


def create(page: Page, name: str) -> str:
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create key").click()
    secret = page.get_by_label("Secret").inner_text()
    page.get_by_role("button", name="Done").click()
    return secret


def row(page: Page, name: str, status: str) -> Any:
    return page.get_by_role("listitem").filter(has_text=name).filter(has_text=status)


def kept(page: Page) -> str:
    """Return everything that the page could find again later."""
    return str(
        page.evaluate(
            "JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie, history.state, location.href])"
        )
    )


@PAGES
def test_a_ticket_opens_a_session_once_and_leaves_the_address_before_the_answer(
    product: Product, open_page: OpenPage, kind: str
) -> None:
    page = open_page(kind, address=f"/{kind}?tab=keys%20new#top")
    expect(page.get_by_text("There is no session.")).to_be_visible()
    held: list[Route] = []
    page.route("**/session/ticket/exchange*", lambda route: held.append(route))
    with page.expect_request("**/session/ticket/exchange"):
        page.goto(f"{product.url}/{kind}?tab=keys%20new&ticket={product.ticket()}&page=2#top")

    assert page.url == f"{product.url}/{kind}?tab=keys%20new&page=2#top"
    expect(page.get_by_text("Opening…")).to_be_visible()
    held[0].continue_()

    expect(page.get_by_role("heading", name=f"Orbit {product.apps}")).to_be_visible()
    expect(page.get_by_text("Dana Okafor, admin, exchanged: true")).to_be_visible()
    assert [route.request.method for route in held] == ["POST"]
    assert not TICKET.search(held[0].request.url)
    assert not TICKET.search(kept(page))
    if kind == "router":
        page.get_by_role("button", name="Sort by name").click()
        page.wait_for_url(lambda url: "sort=name" in url and "ticket" not in url and "page=2" in url)


@PAGES
def test_a_used_ticket_is_an_error_with_its_code(product: Product, open_page: OpenPage, kind: str) -> None:
    ticket = product.ticket()
    open_page(kind, address=f"/{kind}?ticket={ticket}").get_by_role("heading").wait_for()

    page = open_page(kind, address=f"/{kind}?ticket={ticket}")

    expect(page.get_by_role("alert")).to_contain_text("KeysteadError ticket_refused 401 no field")
    expect(page.get_by_text("There is no session.")).to_be_visible()


@PAGES
def test_a_key_is_made_shown_once_rotated_with_overlap_and_revoked(
    product: Product, complaints: list[str], open_page: OpenPage, kind: str
) -> None:
    page = open_page(kind)

    first = create(page, "Importer")
    expect(row(page, "Importer", "active")).to_contain_text("routes:read routes:write")
    expect(page.get_by_text("1 keys in all")).to_be_visible()
    assert first not in page.content()
    assert product.check(first)

    row(page, "Importer", "active").get_by_role("button", name="Rotate").click()
    second = page.get_by_label("Secret").inner_text()
    expect(page.get_by_text("2 keys in all")).to_be_visible()
    assert second != first
    assert product.check(first), "the old secret works on"
    assert product.check(second)

    row(page, second[-4:], "active").get_by_role("button", name="Revoke").click()
    expect(row(page, second[-4:], "revoked")).to_contain_text(": Not needed")
    assert not product.check(second), "the page waited until no gateway lets it through"
    for secret in (first, second):
        assert secret not in kept(page)
    assert complaints == []


def test_a_key_is_changed_in_place_and_what_was_done_is_taken_back(
    product: Product, complaints: list[str], open_page: OpenPage
) -> None:
    product.set_policy({"revocation": {"undo_minutes": 10}})
    secret = product.key("Importer")
    page = open_page("plain")

    def press(name: str, status: str, text: str) -> None:
        row(page, name, status).get_by_role("button", name=text, exact=True).click()

    press("Importer", "active", "Disable")
    press("Importer", "disabled", "Enable")
    press("Importer", "active", "Bound")
    expect(row(page, "bound", "active")).to_contain_text("routes:write, 60 an hour")
    until(lambda: product.check(secret, "routes:write"), 5, "the key has what it was given")
    press("bound", "active", "Unbound")
    expect(row(page, "bound", "active")).not_to_contain_text("routes:write")
    expect(row(page, "bound", "active")).not_to_contain_text("an hour")
    press("bound", "active", "Revoke")
    press("bound", "revoked", "Restore")
    press("bound", "active", "Rotate")
    press("bound", "in_grace", "End overlap")
    expect(row(page, "bound", "rotated_out")).to_be_visible()
    until(lambda: not product.check(secret, "routes:write"), 5, "the old secret is refused")
    assert complaints == []


def test_a_page_previews_what_a_change_would_block(product: Product, open_page: OpenPage) -> None:
    assert product.check(product.key("Importer"))
    page = open_page("plain")

    def previewed() -> bool:
        with page.expect_response("**/impact"):
            row(page, "Importer", "active").get_by_role("button", name="Preview").click()
        return page.get_by_text("It would have blocked 1 of 1 calls.").count() > 0

    until(previewed, RECORD_SECONDS, "the call is recorded")


@PAGES
def test_a_double_click_makes_one_key(product: Product, open_page: OpenPage, kind: str) -> None:
    page = open_page(kind)
    page.get_by_label("Name").fill("Twice")
    page.get_by_role("button", name="Create key").dblclick()

    expect(page.get_by_label("Secret")).to_be_visible()
    expect(page.get_by_text("1 keys in all")).to_be_visible()


def test_a_lost_answer_is_asked_for_again_and_makes_one_key(product: Product, open_page: OpenPage) -> None:
    page = open_page("plain")
    names: list[str] = []

    def lose_the_first(route: Route) -> None:
        if route.request.method == "POST":
            names.append(route.request.headers["idempotency-key"])
        if len(names) == 1 and route.request.method == "POST":
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.get_by_label("Name").fill("Lost")
    page.route("**/api-auth/keys", lose_the_first)
    page.get_by_role("button", name="Create key").click()

    expect(page.get_by_text("Made by an earlier try; its secret is null.")).to_be_visible()
    expect(page.get_by_text("1 keys in all")).to_be_visible()
    assert len(names) == 2
    assert names[0] == names[1]


@PAGES
def test_calls_come_page_by_page_and_in_figures(product: Product, open_page: OpenPage, kind: str) -> None:
    secret = product.key("Caller")
    for permission in ("routes:read", "routes:read", "routes:read", "routes:write", "routes:write"):
        product.check(secret, permission)
    page = open_page(kind)

    go(page, kind, "Figures")

    def counted() -> bool:
        page.get_by_role("button", name="Refresh figures").click()
        return page.get_by_text("3 allowed, 2 blocked, 60 %, Caller: 5, permission_denied: 2").count() > 0

    until(counted, RECORD_SECONDS, "the calls are counted")
    expect(page.get_by_text("By day: ")).to_be_visible()

    go(page, kind, "Calls")
    older = page.get_by_role("button", name="Older")
    seen = []
    for number in (1, 2, 3):
        expect(page.get_by_text(f"Page {number}, of 2 each")).to_be_visible()
        expect(page.get_by_role("region", name="Calls")).to_have_attribute("aria-busy", "false")
        seen += page.get_by_role("listitem").all_inner_texts()
        expect(older).to_be_enabled(enabled=number < 3)
        if number < 3:
            older.click()
    assert seen == ["blocked GET /v2/routes permission_denied Caller"] * 2 + ["allowed GET /v2/routes Caller"] * 3


@PAGES
def test_a_refusal_is_a_value_with_its_code(product: Product, open_page: OpenPage, kind: str) -> None:
    product.key("There before")
    page = open_page(kind, role="viewer")
    expect(row(page, "There before", "active")).to_be_visible()

    page.get_by_label("Name").fill("Not mine to make")
    page.get_by_role("button", name="Create key").click()

    expect(page.get_by_role("alert")).to_contain_text("KeysteadError missing_permission 403 no field: Your access")
    expect(page.get_by_role("alert")).to_contain_text("(to look up)")


def test_a_field_that_is_at_fault_is_named(product: Product, open_page: OpenPage) -> None:
    page = open_page("plain")

    page.get_by_label("Name").fill("x" * 101)
    page.get_by_role("button", name="Create key").click()

    expect(page.get_by_role("alert")).to_contain_text("KeysteadError invalid 400 name: ")


@PAGES
def test_an_ended_session_is_no_session(product: Product, open_page: OpenPage, kind: str) -> None:
    page = open_page(kind)
    create(page, "Seen before")
    page.context.clear_cookies()

    page.get_by_role("button", name="Refresh keys").click()

    expect(page.get_by_text("There is no session.")).to_be_visible()
    expect(page.get_by_text("Seen before")).to_have_count(0)


def test_asking_for_the_session_again_leaves_what_stands_on_the_page(product: Product, open_page: OpenPage) -> None:
    page = open_page("plain")
    page.get_by_label("Name").fill("Half typed")

    with page.expect_response("**/api-auth/session"):
        page.get_by_role("button", name="Ask for the session again").click()

    expect(page.get_by_label("Name")).to_have_value("Half typed")


def test_signing_out_ends_the_session_everywhere(product: Product, open_page: OpenPage) -> None:
    page = open_page("plain")
    page.get_by_role("heading").wait_for()
    cookies = page.context.cookies()

    page.get_by_role("button", name="Sign out").click()

    expect(page.get_by_text("There is no session.")).to_be_visible()
    page.context.add_cookies(cookies)  # type: ignore[arg-type]  # what it gave out it takes back
    page.get_by_role("button", name="Ask for the session again").click()
    expect(page.get_by_text("There is no session.")).to_be_visible()


@PAGES
def test_what_was_known_stays_while_keystead_is_away(product: Product, open_page: OpenPage, kind: str) -> None:
    page = open_page(kind)
    create(page, "Still here")
    page.route(f"{product.running.web_url}/**", lambda route: route.abort())

    page.get_by_role("button", name="Refresh keys").click()

    expect(page.get_by_role("alert")).to_contain_text("KeysteadError unreachable 0 no field")
    page.get_by_role("button", name="Ask for the session again").click()
    expect(page.get_by_role("alert")).to_have_count(2)
    expect(row(page, "Still here", "active")).to_be_visible()
    page.unroute_all()
    page.get_by_role("button", name="Ask for the session again").click()
    page.get_by_role("button", name="Refresh keys").click()
    expect(page.get_by_role("alert")).to_have_count(0)


@PAGES
def test_what_a_page_no_longer_waits_for_is_stopped_in_silence(
    product: Product, complaints: list[str], open_page: OpenPage, kind: str
) -> None:
    page = open_page(kind)
    expect(page.get_by_text("0 keys in all")).to_be_visible()
    go(page, kind, "Nothing")
    held: list[Route] = []
    page.route("**/api-auth/audit/logs*", lambda route: held.append(route))
    go(page, kind, "Calls")
    expect(page.get_by_role("region", name="Calls")).to_have_attribute("aria-busy", "true")

    def is_for_logs(request: Request) -> bool:
        return "/audit/logs" in request.url

    with page.expect_event("requestfailed", is_for_logs):
        go(page, kind, "Nothing")

    expect(page.get_by_role("region", name="Calls")).to_have_count(0)
    assert complaints == []


def test_one_session_serves_the_portal_and_the_hooks(product: Product, open_page: OpenPage) -> None:
    page = open_page("plain")
    create(page, "From the hooks")

    page.goto(f"{product.running.web_url}/portal/keys")
    expect(page.get_by_role("rowheader", name="From the hooks")).to_be_visible()

    page.goto(f"{product.url}/plain")
    expect(row(page, "From the hooks", "active")).to_be_visible()


def test_a_page_on_another_site_has_a_session_where_its_deployment_is_embedded(
    serving: Product, open_context: Callable[..., Any]
) -> None:
    origin = serving.url.replace("127.0.0.1", "localhost")  # to a browser, another site
    made = in_installation(
        serving.running, "deployment", "create", "--name", "Far", "--origin", origin, "--embedded", "--json"
    )
    product = Product(origin, serving.running, json.loads(made)["backend_key"])
    product.new_app()
    page = open_context().new_page()

    page.goto(f"{origin}/plain?ticket={product.ticket()}")

    create(page, "From afar")
    expect(row(page, "From afar", "active")).to_be_visible()


def test_a_ticket_of_another_kind_is_left_alone(product: Product, open_page: OpenPage) -> None:
    page = open_page("plain", address="/plain?ticket=4711")

    expect(page.get_by_text("There is no session.")).to_be_visible()
    assert page.url.endswith("?ticket=4711")


@PAGES
def test_a_ticket_that_cannot_be_read_is_refused_like_any_other_and_none_is_left_in_the_address(
    product: Product, open_page: OpenPage, kind: str
) -> None:
    page = open_page(kind, address=f"/{kind}?ticket=kst_%E0%A4%A&tab=keys&ticket=kst_again#top")

    expect(page.get_by_role("alert")).to_contain_text("KeysteadError ticket_refused 401 no field")
    expect(page.get_by_text("There is no session.")).to_be_visible()
    assert page.url == f"{product.url}/{kind}?tab=keys#top"
