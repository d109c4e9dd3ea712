"""The API reference in a browser: it fits, it is accessible, and it needs no script."""

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.support.running import Running

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

PAGES = ("/docs/", "/docs/backend", "/docs/session", "/docs/gateway")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_pages_fit_have_no_accessibility_faults_and_leave_the_console_empty(
    running: Running, open_context: Callable[..., BrowserContext], width: int, scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = open_context(viewport={"width": width, "height": 800}, color_scheme=scheme).new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    for address in PAGES:
        page.goto(running.web_url + address)
        for details in page.locator("#main details").all()[:12]:
            details.evaluate("element => { element.open = true }")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), address
        assert said == [], address
        found = Axe().run(page)
        assert [(fault["id"], fault["nodes"][0]["html"]) for fault in found.response["violations"]] == [], address


def test_the_language_of_examples_is_chosen_without_a_script(
    running: Running, open_context: Callable[..., BrowserContext]
) -> None:
    page = open_context(java_script_enabled=False).new_page()
    page.goto(f"{running.web_url}/docs/backend#createKey")
    operation = page.locator("#createKey")
    expect(operation.locator(".only-curl")).to_be_visible()
    expect(operation.locator(".only-python")).to_be_hidden()

    page.get_by_role("radio", name="Python").check()

    expect(operation.locator(".only-python")).to_be_visible()
    expect(operation.locator(".only-curl")).to_be_hidden()
    operation.get_by_text("Errors").first.click()
    expect(operation.get_by_text("No valid credential came along.")).to_be_visible()
