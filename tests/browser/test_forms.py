"""Forms in the browser: on a page and in a dialog, sent again, by keyboard, on a telephone, and without the server."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Route, expect

from tests.browser.test_story import (
    RECORD_SECONDS,
    call_product,
    close_secret,
    create_key,
    enter_portal,
    open_key,
    shown_secret,
)
from tests.support.running import Running, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

OpenContext = Callable[..., BrowserContext]
UNREACHED = "Couldn't reach the server. Try again."
OF_THE_ABORTED = ("net::ERR_FAILED", "htmx:sendError", "htmx:afterRequest")  # the browser and htmx note it themselves
MOST_BYTES_OF_SCRIPT = 4096
TWICE_USED_IDS = """() => {
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  return ids.filter((id, index) => ids.indexOf(id) !== index);
}"""
TELEPHONE = {"width": 360, "height": 480}


def heard(page: Page) -> list[str]:
    """Return a list to which all that a page's console says from now on is added."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    return said


def tags_of(part: Locator) -> str:
    """Return the HTML inside a part, without the white space between its tags."""
    return re.sub(r">\s+<", "><", part.inner_html().strip())


def is_inside_window(page: Page, part: Locator) -> bool:
    box, window = part.bounding_box(), page.viewport_size
    assert box
    assert window
    return box["x"] >= 0 and box["x"] + box["width"] <= window["width"]


def open_dialog(page: Page, link: Locator) -> Locator:
    """Follow a link that opens a dialog, and return the dialog."""
    link.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    # Until htmx has settled it may still move the focus, and the form is one that the browser sends.
    expect(page.locator(".htmx-settling")).to_have_count(0)
    return dialog


def test_a_form_on_its_own_page_comes_back_as_a_page_and_its_key_ends_on_the_typed_date(
    running: Running, open_context: OpenContext
) -> None:
    page = open_context().new_page()
    said = heard(page)
    day = str((datetime.now(UTC) + timedelta(days=40)).date())
    enter_portal(page, running)
    page.goto(f"{running.web_url}/portal/keys/new")
    page.get_by_label("Name", exact=True).fill("Made on a page")
    page.get_by_label(re.compile("routes:read")).check()

    page.get_by_role("button", name="Add this address").click()
    expect(page.get_by_label("Allowed addresses").first).to_have_value("127.0.0.1")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_have_text("Create a key")
    assert page.evaluate(TWICE_USED_IDS) == []
    expect(page.get_by_label("Name", exact=True)).to_have_value("Made on a page")
    expect(page.get_by_label(re.compile("routes:read"))).to_be_checked()

    page.get_by_label("The day on which it ends").fill(day)
    expect(page.get_by_label("On a date", exact=True)).to_be_checked()
    page.get_by_role("button", name="Create key").click()
    shown_secret(page)
    expect(page.get_by_role("dialog")).to_have_count(0)
    close_secret(page)
    open_key(page, running, "Made on a page")
    end = page.get_by_role("definition").filter(has=page.locator(f'time[datetime^="{day}T00:00:00"]'))
    expect(end).to_have_count(1)
    expect(page.get_by_text("127.0.0.1/32")).to_be_visible()
    assert said == []


@pytest.mark.parametrize("is_dialog", [False, True], ids=["on a page", "in a dialog"])
def test_the_keyboard_reaching_the_date_chooses_it(
    running: Running, open_context: OpenContext, is_dialog: bool
) -> None:
    page = open_context().new_page()
    said = heard(page)
    enter_portal(page, running)
    page.goto(f"{running.web_url}/portal/keys{'' if is_dialog else '/new'}")
    if is_dialog:
        open_dialog(page, page.get_by_role("link", name="Create key").first)
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    page.get_by_label(re.compile("^90 days")).focus()
    expect(page.get_by_label("On a date", exact=True)).not_to_be_checked()

    page.keyboard.press("Tab")

    expect(page.get_by_label("The day on which it ends")).to_be_focused()
    expect(page.get_by_label("On a date", exact=True)).to_be_checked()
    assert said == []


def have_something_to_export(page: Page, running: Running) -> None:
    """Make a key and call with it, so that there is a decision, an entry of the activity and a finding."""
    secret = create_key(page, "To be exported")
    close_secret(page)
    assert call_product(running, secret).status_code == 200

    def is_listed() -> bool:
        page.goto(f"{running.web_url}/portal/logs")
        return page.get_by_role("button", name="CSV", exact=True).count() > 0

    until(is_listed, RECORD_SECONDS, "a decision is in the log")


@pytest.mark.parametrize(
    ("address", "buttons"),
    [
        ("activity", ("CSV", "JSON lines", "CSV")),
        ("logs", ("CSV", "JSON lines", "CSV")),
        ("compliance", ("Export all as CSV",) * 3),
    ],
    ids=["activity", "logs", "compliance"],
)
def test_a_form_that_downloads_a_file_works_again_and_a_double_click_sends_it_once(
    running: Running, open_context: OpenContext, address: str, buttons: tuple[str, ...]
) -> None:
    page = open_context(accept_downloads=True).new_page()
    said = heard(page)
    enter_portal(page, running)
    have_something_to_export(page, running)
    page.clock.install(time=0)
    page.goto(f"{running.web_url}/portal/{address}")
    page.clock.pause_at(3600)
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))

    for name in buttons:
        button = page.get_by_role("button", name=name, exact=True)
        with page.expect_download() as found:
            with page.expect_request("**/export"):  # Chromium itself drops a form that is sent twice before it left
                button.click()
            button.click()
        ending = "jsonl" if name == "JSON lines" else "csv"
        assert found.value.suggested_filename.endswith(f".{ending}")
        assert found.value.path().stat().st_size > 0
        page.clock.fast_forward(1000)

    assert sent == ["POST"] * 3
    assert said == []


def abort_post(route: Route) -> None:
    if route.request.method == "POST":
        route.abort()
    else:
        route.continue_()


@pytest.mark.parametrize("window", [{"width": 1280, "height": 800}, TELEPHONE], ids=["desk", "telephone"])
def test_a_dialog_that_does_not_reach_the_server_says_so_in_itself_and_can_try_again(
    running: Running, open_context: OpenContext, window: dict[str, int]
) -> None:
    page = open_context(viewport=window).new_page()
    said = heard(page)
    name = f"Unreached at {window['width']}"
    enter_portal(page, running)
    create_key(page, name)
    close_secret(page)
    open_key(page, running, name)
    page.route("**/rotate", abort_post)
    main, sentence = page.locator("main"), page.get_by_text(UNREACHED)
    rotate = page.get_by_role("link", name="Rotate key")
    before = tags_of(main)

    dialog = open_dialog(page, rotate)
    dialog.get_by_role("button", name="Rotate key").click()
    expect(dialog.get_by_text(UNREACHED)).to_be_visible()
    expect(sentence).to_have_count(1)
    expect(sentence).to_be_in_viewport(ratio=1)

    dialog.get_by_role("link", name="Cancel").click()
    expect(page.locator("#dialog")).to_be_empty()  # a dialog tells that it is closed only after it is
    assert tags_of(main) == before
    page.unroute("**/rotate", abort_post)
    open_dialog(page, rotate)
    expect(dialog.get_by_role("heading", name=f"Rotate {name}")).to_be_visible()
    expect(sentence).to_have_count(0)
    dialog.get_by_role("button", name="Rotate key").click()
    shown_secret(page)
    assert [text for text in said if not any(words in text for words in OF_THE_ABORTED)] == []


def test_the_secret_is_saved_as_one_line_of_a_file_that_a_computer_shows(
    running: Running, open_context: OpenContext
) -> None:
    page = open_context(accept_downloads=True).new_page()
    said = heard(page)
    enter_portal(page, running)
    secret = create_key(page, "Saved in a file")

    with page.expect_download() as found:
        page.get_by_role("button", name="Download .env").click()

    assert found.value.suggested_filename == "api-key.env"
    assert re.fullmatch(rf"[A-Z][A-Z0-9_]*={secret}\n", Path(found.value.path()).read_text())
    assert said == []


@pytest.mark.parametrize(("theme", "system"), [("light", "dark"), ("dark", "light")])
def test_the_theme_of_a_ticket_rules_over_the_one_of_the_system(
    running: Running, open_context: OpenContext, theme: str, system: str
) -> None:
    page = open_context(color_scheme=system).new_page()
    said = heard(page)
    wanted = {"ticket_type": "api_auth_access", "api_auth_app_slug": running.app_slug, "theme": theme}
    headers = {"Authorization": f"Bearer {running.backend_key}"}
    issued = httpx.post(f"{running.web_url}/session/tickets", json=wanted, headers=headers, timeout=10)
    assert issued.status_code == 200, issued.text

    page.goto(f"{running.web_url}/vanity/api-auth?ticket={issued.json()['ticket']}")
    page.wait_for_url(f"{running.web_url}/portal/")

    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == theme
    assert said == []


def test_the_time_at_which_an_old_secret_ends_is_not_wider_than_a_telephone(
    running: Running, open_context: OpenContext
) -> None:
    page = open_context(viewport=TELEPHONE).new_page()
    said = heard(page)
    enter_portal(page, running)
    create_key(page, "Ends otherwise")
    close_secret(page)
    open_key(page, running, "Ends otherwise")
    open_dialog(page, page.get_by_role("link", name="Rotate key"))
    page.get_by_label(re.compile("^1 hour")).check()
    page.get_by_role("button", name="Rotate key").click()
    shown_secret(page)
    close_secret(page)
    open_key(page, running, "Ends otherwise")
    change, field = page.get_by_role("link", name=re.compile("^Change end")), page.get_by_label("The time until which")

    address = change.get_attribute("href")
    open_dialog(page, change)
    assert is_inside_window(page, field)
    page.goto(f"{running.web_url}{address}")
    assert is_inside_window(page, field)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert said == []


def test_the_whole_script_of_the_portal_is_one_small_module(running: Running, open_context: OpenContext) -> None:
    page = open_context().new_page()
    said = heard(page)
    enter_portal(page, running)
    script = page.locator('script[src*="/portal/"]')
    expect(script).to_have_count(1)
    expect(script).to_have_attribute("type", "module")
    served = httpx.get(f"{running.web_url}{script.get_attribute('src')}", timeout=10)
    assert served.status_code == 200
    assert len(served.content) <= MOST_BYTES_OF_SCRIPT
    expect(page.locator("html")).to_have_class("js")
    assert said == []
