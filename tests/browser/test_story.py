"""The whole job in one sitting, as the people who use Keystead do it, with and without JavaScript."""

import re
from collections.abc import Callable
from pathlib import Path

import httpx
import psycopg
import pytest
from playwright.sync_api import BrowserContext, Error, Page, expect
from psycopg import sql

from tests.support.running import Running, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

RECORD_SECONDS = 15  # a decision shows up in the log well within this
REVOKE_SECONDS = 5


def call_product(running: Running, secret: str) -> httpx.Response:
    """Call the example product's API as the customer's own server would."""
    return httpx.get(f"{running.product_url}/v2/routes", headers={"Authorization": f"Bearer {secret}"}, timeout=10)


def enter_portal(page: Page, running: Running) -> None:
    """Sign in to the product as Dana and follow its button into the portal."""
    page.goto(running.product_url)
    page.get_by_role("button", name=re.compile("Dana")).click()
    page.get_by_role("button", name="Manage API keys").click()
    continue_button = page.get_by_role("button", name=re.compile("^Continue"))
    if not page.url.startswith(f"{running.web_url}/portal/"):
        page.wait_for_load_state()
        if continue_button.count() and not page.url.startswith(f"{running.web_url}/portal/"):
            continue_button.click()
    page.wait_for_url(f"{running.web_url}/portal/")


def create_key(page: Page, name: str) -> str:
    """Create a key that may read routes, and return the secret that is shown once."""
    page.get_by_role("link", name=re.compile("^Keys")).first.click()
    page.get_by_role("link", name="Create key").first.click()
    page.get_by_label("Name").fill(name)
    page.get_by_label(re.compile("routes:read")).check()
    page.get_by_role("button", name="Create key").click()
    return shown_secret(page)


def shown_secret(page: Page) -> str:
    secret = page.locator("#secret")
    expect(secret).to_be_visible()
    return secret.input_value()


def close_secret(page: Page) -> None:
    saved = page.get_by_label("I have saved this secret")
    if saved.count():
        saved.check()
    page.get_by_role("button", name=re.compile("^Done")).or_(page.get_by_role("link", name=re.compile("^Done"))).click()
    expect(page.locator("#secret")).to_have_count(0)


def everything_stored(running: Running) -> str:
    """Return every row of every table of the database, as text."""
    with psycopg.connect(running.database_url) as connection:
        tables = connection.execute("SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'public'").fetchall()
        rows = [
            connection.execute(
                sql.SQL("SELECT coalesce(string_agg(row_to_json(t)::text, ''), '') FROM {} t").format(
                    sql.Identifier(name)
                )
            ).fetchone()
            for (name,) in tables
        ]
    return "".join(row[0] for row in rows if row)


def everything_written(running: Running) -> str:
    """Return every file that the processes wrote, the database's own files apart."""
    files = [path for path in running.data_dir.rglob("*") if path.is_file() and "postgres" not in path.parts]
    return "".join(path.read_bytes().decode("utf-8", "replace") for path in files)


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_create_use_watch_rotate_and_revoke_a_key(
    running: Running, open_context: Callable[..., BrowserContext], javascript: bool
) -> None:
    context = open_context(java_script_enabled=javascript)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    name = f"Story {'with' if javascript else 'without'} script"

    enter_portal(page, running)
    assert "ticket" not in page.url
    first = create_key(page, name)
    expect(page.get_by_text("curl").first).to_be_visible()
    close_secret(page)

    allowed = call_product(running, first)
    assert allowed.status_code == 200, allowed.text

    def in_log(outcome: str) -> bool:
        page.goto(f"{running.web_url}/portal/logs?outcome={outcome}")
        return page.get_by_text(name).count() > 0

    until(lambda: in_log("allowed"), RECORD_SECONDS, "the call is in the log")
    page.goto(f"{running.web_url}/portal/")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.locator("svg.a rect").first).to_be_attached()

    open_key(page, running, name)
    page.get_by_role("link", name=re.compile("^Rotate")).first.click()
    page.get_by_label(re.compile("Stop now")).check()
    page.get_by_role("button", name="Rotate key").click()
    second = shown_secret(page)
    assert second != first
    close_secret(page)
    until(lambda: call_product(running, first).status_code == 401, REVOKE_SECONDS, "the old secret is refused")
    assert call_product(running, second).status_code == 200

    open_key(page, running, name)
    until(lambda: page.reload() and not page.get_by_text("Not used yet").count(), RECORD_SECONDS, "the key is in use")
    page.get_by_role("link", name=re.compile("^Revoke")).first.click()
    expect(page.get_by_role("heading", name=re.compile("^Revoke"))).to_be_visible()
    page.get_by_role("button", name="Revoke key").click()
    expect(page.get_by_text(re.compile("This key is in use. To revoke it")).first).to_be_visible()
    page.get_by_label("type the key's name").fill(name)
    page.get_by_role("button", name="Revoke key").click()
    expect(page.get_by_text(re.compile("is revoked")).first).to_be_visible()
    until(lambda: call_product(running, second).status_code == 401, REVOKE_SECONDS, "the revoked key is refused")
    refused = call_product(running, second)
    assert "key_revoked" in refused.text

    request_id = re.search(r"req_[0-9a-f]{32}", refused.text)
    assert request_id, refused.text

    def explained() -> bool:
        answer = page.goto(f"{running.web_url}/portal/logs/{request_id.group()}")
        return answer is not None and answer.status == 200

    until(explained, RECORD_SECONDS, "the block can be looked up")
    expect(page.get_by_role("heading", name=re.compile("Blocked"))).to_be_visible()
    expect(page.get_by_text("key_revoked").first).to_be_visible()

    if javascript:
        kept = page.evaluate("JSON.stringify([{...sessionStorage}, {...localStorage}])")
        assert first[8:] not in kept
        assert second[8:] not in kept
    provoked = ("401", "404", "422")
    assert not [complaint for complaint in complaints if not any(status in complaint for status in provoked)]
    for secret in (first, second):
        assert secret[8:] not in everything_stored(running)
        assert secret[8:] not in everything_written(running)


def open_key(page: Page, running: Running, name: str) -> None:
    page.goto(f"{running.web_url}/portal/keys")
    page.get_by_role("link", name=name, exact=True).first.click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()


def go_back(page: Page) -> None:
    """Go back; for the answer to a form, which no cache keeps, Chromium asks first and shows a page of its own."""
    try:
        page.go_back()
    except Error as problem:
        if "ERR_CACHE_MISS" not in str(problem):
            raise
        page.wait_for_url("chrome-error://**")


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_going_back_never_shows_a_secret_again(
    running: Running, open_context: Callable[..., BrowserContext], javascript: bool
) -> None:
    page = open_context(java_script_enabled=javascript).new_page()
    enter_portal(page, running)
    secret = create_key(page, "Back button")
    close_secret(page)
    page.goto(f"{running.web_url}/portal/logs")
    for _ in range(4):
        go_back(page)
        assert secret not in page.content()


def test_a_ticket_leaves_no_trace_in_history_or_logs(
    running: Running, open_context: Callable[..., BrowserContext]
) -> None:
    page = open_context().new_page()
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    enter_portal(page, running)
    tickets = {match for url in seen for match in re.findall(r"kst_[0-9A-Za-z]{49}", url)}
    assert len(tickets) == 1
    page.go_back()
    assert not re.search(r"kst_[0-9A-Za-z]{49}", page.url)
    for ticket in tickets:
        assert ticket[4:] not in everything_written(running)
        assert ticket[4:] not in everything_stored(running)


def test_a_member_without_the_right_gets_no_ticket(
    running: Running, open_context: Callable[..., BrowserContext]
) -> None:
    page = open_context().new_page()
    page.goto(running.product_url)
    page.get_by_role("button", name=re.compile("Sam")).click()
    with page.expect_response(lambda response: response.status == 403):
        page.get_by_role("button", name="Manage API keys").click()
    assert page.url.startswith(running.product_url)


def test_staff_find_a_key_by_what_the_customer_pasted(
    running: Running, open_context: Callable[..., BrowserContext]
) -> None:
    page = open_context().new_page()
    enter_portal(page, running)
    secret = create_key(page, "Pasted to support")
    staff = open_context().new_page()
    staff.goto(running.admin_url)
    staff.get_by_label("Username").fill(running.admin_user)
    staff.get_by_label("Password").fill(running.admin_password)
    staff.get_by_role("button", name="Log in").click()
    staff.get_by_label(re.compile("Find a key")).first.fill(secret)
    staff.get_by_role("button", name=re.compile("Find")).first.click()
    expect(staff.get_by_text("Pasted to support").first).to_be_visible()
    assert secret not in staff.content()
    assert secret not in staff.url
    assert secret[8:] not in everything_written(running)


def test_a_key_is_edited_in_the_dialog(running: Running, open_context: Callable[..., BrowserContext]) -> None:
    page = open_context().new_page()
    enter_portal(page, running)
    create_key(page, "Edited in the dialog")
    close_secret(page)
    open_key(page, running, "Edited in the dialog")
    page.get_by_role("link", name="Edit", exact=True).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Add this address").click()
    expect(dialog.get_by_label("Allowed addresses")).to_have_value("127.0.0.1")
    dialog.get_by_label("Name").fill("Edited twice")
    dialog.get_by_label("Name").press("Enter")
    expect(dialog.get_by_role("heading")).to_have_text(re.compile("^Save these changes"))
    dialog.get_by_role("button", name="Back to editing").click()
    expect(dialog.get_by_label("Name")).to_have_value("Edited twice")
    dialog.get_by_role("button", name="Continue").click()
    dialog.get_by_role("button", name="Save changes").click()
    expect(page.get_by_text("Edited twice is changed.")).to_be_visible()
    expect(page.get_by_text("127.0.0.1/32")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_pages_fit_and_have_no_accessibility_faults(
    running: Running, open_context: Callable[..., BrowserContext], width: int, scheme: str, tmp_path: Path
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = open_context(viewport={"width": width, "height": 800}, color_scheme=scheme).new_page()
    enter_portal(page, running)
    page.goto(f"{running.web_url}/portal/keys")
    key = page.get_by_role("rowheader").get_by_role("link", name="Production API").get_attribute("href")
    about_key = [f"{key}{rest}" for rest in ("", "/edit", "/rotate", "/disable", "/revoke")]
    for address in ("/portal/", "/portal/keys", "/portal/keys/new", "/portal/logs", "/portal/activity", *about_key):
        page.goto(running.web_url + address)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), address
        fits = "[...document.querySelectorAll('.nav')].every((nav) => nav.scrollWidth <= nav.clientWidth)"
        assert page.evaluate(fits), address
        found = Axe().run(page)
        serious = [fault for fault in found.response["violations"] if fault["impact"] in ("serious", "critical")]
        assert not serious, (address, [fault["id"] for fault in serious])
