"""A product's page on another site than Keystead, in a real browser: which cookie it keeps and sends."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page

from tests.support.running import Running
from tests.support.snippets import run_shell

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

FETCHES = """async ({keystead, ticket}) => {
  const asked = async (path, options) => {
    const response = await fetch(keystead + path, {credentials: "include", ...options});
    return response.status;
  };
  return [
    await asked("/session/ticket/exchange", {method: "POST", body: new URLSearchParams({ticket})}),
    await asked("/api-auth/session"),
    await asked("/api-auth/keys", {method: "POST", body: new URLSearchParams({name: "embedded"})}),
    await asked("/api-auth/session", {method: "DELETE"}),
    await asked("/api-auth/session"),
  ];
}"""


@pytest.fixture
def site() -> Iterator[str]:
    """An empty page on `localhost`: to a browser another site than 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>Settings</title><h1>Settings</h1>")

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


def deployment(running: Running, origin: str, *options: str) -> str:
    """Make a deployment with an app, and return a ticket of it."""
    command = ["deployment", "create", "--name", "Elsewhere", "--origin", origin, *options, "--json"]
    made = json.loads(run_shell(" ".join(["./keystead", *command, "--data-dir", str(running.data_dir)]), {}))
    headers = {"Authorization": f"Bearer {made['backend_key']}"}
    app = {"app_slug": "aa_1", "name": "Elsewhere", "key_prefix": "else"}
    wanted = {"ticket_type": "api_auth_access", "api_auth_app_slug": "aa_1"}
    with httpx.Client(base_url=running.web_url, headers=headers) as backend:
        backend.post("/api-auth/apps", json=app).raise_for_status()
        return str(backend.post("/session/tickets", json=wanted).raise_for_status().json()["ticket"])


def fetched(page: Page, running: Running, site: str, ticket: str) -> list[int]:
    page.goto(site)
    answered: list[int] = page.evaluate(FETCHES, {"keystead": running.web_url, "ticket": ticket})
    return answered


def test_a_page_of_another_site_manages_keys_where_the_deployment_embeds(
    running: Running, site: str, open_context: Callable[..., BrowserContext]
) -> None:
    ticket = deployment(running, site, "--embedded")
    assert fetched(open_context().new_page(), running, site, ticket) == [200, 200, 200, 200, 401]


def test_without_embedding_the_browser_keeps_no_session_for_another_site(
    running: Running, site: str, open_context: Callable[..., BrowserContext]
) -> None:
    ticket = deployment(running, site)
    assert fetched(open_context().new_page(), running, site, ticket) == [200, 401, 401, 401, 401]
