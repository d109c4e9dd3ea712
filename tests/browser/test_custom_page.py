"""The example product's own page for API keys: React and our hooks, in a strict policy, beside the portal."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.test_story import RECORD_SECONDS, REVOKE_SECONDS, call_product, everything_written
from tests.support.running import Running, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

OpenContext = Callable[..., BrowserContext]


def sign_in(page: Page, running: Running, name: str = "Dana") -> None:
    page.goto(running.product_url)
    page.get_by_role("button", name=re.compile(name)).click()


def open_keys(page: Page) -> None:
    page.get_by_role("link", name="a page of these settings").click()
    expect(page.get_by_role("button", name="Create key")).to_be_visible()


def dialog(page: Page) -> Locator:
    return page.get_by_role("dialog")


def row(page: Page, name: str, tag: str) -> Locator:
    return page.get_by_role("list", name="Keys").get_by_role("listitem").filter(has_text=name).filter(has_text=tag)


def save(page: Page, name: str) -> str:
    """Return the secret that is shown once, and close it as a person does."""
    secret = page.get_by_label(f"Secret of {name}", exact=True).input_value()
    page.keyboard.press("Escape")
    expect(dialog(page)).to_be_visible()
    page.get_by_label("I have saved this secret").check()
    page.get_by_role("button", name="Done").click()
    expect(dialog(page)).to_have_count(0)
    assert secret not in page.content()
    return secret


def test_a_key_is_made_rotated_watched_and_revoked_in_the_products_own_settings(
    running: Running, open_context: OpenContext
) -> None:
    page = open_context().new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    sign_in(page, running)
    open_keys(page)

    page.get_by_role("button", name="Create key").click()
    page.get_by_label("Name").fill("Own page")
    page.get_by_label("routes:read").check()
    dialog(page).get_by_role("button", name="Create key").click()
    first = save(page, "Own page")
    expect(row(page, "Own page", "Active")).to_contain_text("routes:read")
    assert call_product(running, first).status_code == 200

    page.get_by_role("button", name="Rotate Own page").click()
    page.get_by_label("It works for 1 hour more").check()
    dialog(page).get_by_role("button", name="Rotate key").click()
    second = save(page, "Own page")
    expect(row(page, "Own page", "Old secret")).to_contain_text("Works until")
    assert [call_product(running, secret).status_code for secret in (first, second)] == [200, 200]

    page.get_by_role("button", name="Revoke Own page", exact=True).click()
    expect(dialog(page)).to_contain_text("can't be undone")
    page.get_by_label("Reason").fill("Only tried")
    dialog(page).get_by_role("button", name="Revoke key").click()
    expect(row(page, "Own page", "Active")).to_have_count(0)
    until(lambda: call_product(running, second).status_code == 401, REVOKE_SECONDS, "the revoked key is refused")
    page.get_by_label("Show keys that have ended").check()
    expect(row(page, "Own page", "Revoked")).to_be_visible()

    def is_listed() -> bool:
        page.get_by_role("button", name="Refresh").click()
        return page.get_by_text("Own page · key_revoked").count() > 0

    until(is_listed, RECORD_SECONDS, "the blocked call is among the last calls")
    kept = page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}, history.state, location.href])")
    assert [first[8:] in kept, second[8:] in kept] == [False, False]
    assert first[8:] not in everything_written(running)
    assert [text for text in complaints if "401" not in text] == []  # the browser notes that it had no session yet


def test_one_session_serves_the_own_page_and_the_portal(running: Running, open_context: OpenContext) -> None:
    page = open_context().new_page()
    sign_in(page, running)
    open_keys(page)

    page.get_by_role("link", name="the key portal").click()
    page.wait_for_url(f"{running.web_url}/portal/**")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.go_back()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    expect(page.get_by_role("button", name="Create key")).to_be_visible()
    assert not [url for url in asked if "ticket" in url]


def test_nobody_sees_the_keys_of_whoever_was_signed_in_before(running: Running, open_context: OpenContext) -> None:
    page = open_context().new_page()
    sign_in(page, running)
    open_keys(page)
    page.goto(f"{running.product_url}/settings")
    page.get_by_role("button", name="Sign out").click()
    sign_in(page, running, "Sam")

    page.goto(f"{running.product_url}/settings/api-keys")

    expect(page.get_by_role("alert")).to_contain_text("You can't manage API keys")
    expect(page.get_by_role("list")).to_have_count(0)


def test_an_ended_session_is_opened_again_in_one_click(running: Running, open_context: OpenContext) -> None:
    page = open_context().new_page()
    sign_in(page, running)
    open_keys(page)
    page.wait_for_load_state("networkidle")  # or what is still on its way would hear of the end before the button does
    page.context.clear_cookies(name=re.compile("ks_"))

    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_role("alert")).to_contain_text("has ended")
    page.get_by_role("button", name="Open again").click()

    expect(page.get_by_role("button", name="Create key")).to_be_visible()


def test_a_faulty_field_is_named_and_focused_and_the_focus_goes_back(
    running: Running, open_context: OpenContext
) -> None:
    page = open_context().new_page()
    sign_in(page, running)
    open_keys(page)
    page.get_by_role("button", name="Create key").press("Enter")
    page.keyboard.press("Enter")

    expect(page.get_by_label("Name")).to_have_accessible_description("Enter a name. Where will it be used?")
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Create key")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_the_own_page_fits_and_has_no_accessibility_faults(
    running: Running, open_context: OpenContext, width: int, scheme: str, tmp_path: Path
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = open_context(viewport={"width": width, "height": 800}, color_scheme=scheme).new_page()
    sign_in(page, running)
    open_keys(page)
    expect(page.get_by_role("list", name="Calls").get_by_role("listitem").first).to_be_visible()
    for action in ("Create key", "Rotate Production API", "Revoke Production API", None):
        if action:
            page.get_by_role("button", name=action).click()
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), action
        found = Axe().run(page)
        serious = [fault for fault in found.response["violations"] if fault["impact"] in ("serious", "critical")]
        assert not serious, (action, [(fault["id"], fault["nodes"][0]["html"][:200]) for fault in serious])
        if action:
            page.get_by_role("button", name="Cancel").click()
