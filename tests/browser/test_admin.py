"""The pages of the staff fit a telephone as they fit a desk: whoever is on call may hold only the former."""

from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page

from tests.support.running import Running, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

RECORD_SECONDS = 15  # a decision shows up in the log well within this
PAGES = ("", "apiauth/app/", "apiauth/key/", "decisions/", "compliance/", "mass-revoke/", "system/")


def sign_in(page: Page, running: Running) -> None:
    page.goto(running.admin_url)
    page.get_by_label("Username").fill(running.admin_user)
    page.get_by_label("Password").fill(running.admin_password)
    page.get_by_role("button", name="Log in").click()


@pytest.mark.parametrize("width", [1280, 360])
def test_no_page_of_the_admin_is_wider_than_the_window(
    running: Running, open_context: Callable[..., BrowserContext], width: int
) -> None:
    page = open_context(viewport={"width": width, "height": 800}).new_page()
    sign_in(page, running)

    def assert_fits() -> None:
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), page.url

    for address in PAGES:
        page.goto(running.admin_url + address)
        assert_fits()
    httpx.get(f"{running.product_url}/v2/routes", headers={"Authorization": "Bearer nw_live_nothing"}, timeout=10)
    newest = page.locator("#result_list a").first

    def is_listed() -> bool:
        page.goto(running.admin_url + "decisions/?period=7d")
        return newest.count() > 0

    until(is_listed, RECORD_SECONDS, "a decision is in the log")
    assert_fits()
    newest.click()
    assert_fits()
    page.goto(running.admin_url + "apiauth/app/")
    page.locator("#result_list th a").first.click()
    assert_fits()
    page.locator('a[href$="/policy/"]').first.click()
    assert_fits()
