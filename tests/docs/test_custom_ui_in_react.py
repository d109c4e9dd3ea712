"""docs/how-to/custom-ui-in-react.md, run as it stands: its server in Node, its pages in Chromium."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, expect

from config.env import REPOSITORY
from tests.support import node
from tests.support.running import Running, until
from tests.support.snippets import Page, run_node, run_shell

pytestmark = [pytest.mark.browser, pytest.mark.contract, pytest.mark.timeout(240)]

ESBUILD = REPOSITORY / "tests" / "clients" / "js" / "node_modules" / ".bin" / "esbuild"
USER = {
    "mayManageKeys": True,
    "customerId": "orbit",
    "id": "dana",
    "name": "Dana Okafor",
    "email": "dana@orbit.example",
}
START = """
import { createRoot } from "react-dom/client";
import { Settings } from "./Settings.jsx";
createRoot(document.body).render(<Settings keysteadUrl={window.KEYSTEAD_URL} />);
"""
EDIT = """
import { createRoot } from "react-dom/client";
import { KeysteadProvider, useApiAuthAppSession, useApiAuthKeys } from "@keystead/client/react";
import { Permissions } from "./Permissions.jsx";
function Newest() {
  const { session } = useApiAuthAppSession();
  const { keys } = useApiAuthKeys();
  if (!session || !keys[0]) return null;
  return <><Permissions session={session} apiKey={keys[0]} /><p>{keys[0].permissions.length} held</p></>;
}
const provider = <KeysteadProvider baseUrl={window.KEYSTEAD_URL}><Newest /></KeysteadProvider>;
createRoot(document.body).render(provider);
"""


@contextmanager
def product(folder: Path, running: Running, ticket: Callable[[], str]) -> Iterator[str]:
    """Serve a folder's scripts, each on a page of its own, and give out tickets."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.split("?")[0].strip("/")
            start = f"<script>window.KEYSTEAD_URL = '{running.web_url}'</script>"
            page = f"<!doctype html><meta charset=utf-8><body>{start}<script type=module src=/{name}.js></script>"
            script = folder / name
            found = script.read_text() if script.suffix == ".js" else page
            self.answer(found, "text/javascript" if script.suffix == ".js" else "text/html")

        def do_POST(self) -> None:
            self.answer(json.dumps({"ticket": ticket()}), "application/json")

        def answer(self, text: str, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def check(running: Running, secret: str) -> int:
    question = {
        "principal": {"type": "api_key", "value": secret},
        "resource": "/v2/routes",
        "method": "GET",
        "client_ip": "203.0.113.9",
        "required_permissions": ["routes:read"],
    }
    return httpx.post(f"{running.gateway_url}/v1/authz/check", json=question, timeout=10).status_code


def build(page: Page, folder: Path) -> None:
    """Install the client as the page says, and put its blocks where its imports look for them."""
    variables = {"KEYSTEAD_CHECKOUT": str(REPOSITORY), "npm_config_ignore_scripts": "true"}
    run_shell(page.take("sh", "npm install"), variables, folder)
    for name, containing in (
        ("Settings", "KeysteadProvider"),
        ("Permissions", "export function Permissions"),
        ("Keys", "useApiAuthKeys"),
        ("Calls", "useApiAuthAuditLogs"),
    ):
        (folder / f"{name}.jsx").write_text(page.take("jsx", containing))
    (folder / "with_react.jsx").write_text(START)
    (folder / "editing.jsx").write_text(EDIT)
    (folder / "without.mjs").write_text(page.take("js", "KeysteadClient"))
    options = ["--bundle", "--format=esm", "--jsx=automatic", f"--outdir={folder}"]
    node.run(folder, str(ESBUILD), "with_react.jsx", "editing.jsx", "without.mjs", *options)


def test_the_page_works_as_written(
    running: Running,
    variables: dict[str, str],
    open_context: Callable[..., BrowserContext],
    tmp_path: Path,
) -> None:
    node.install(REPOSITORY / "tests" / "clients" / "js")
    page = Page("docs/how-to/custom-ui-in-react.md")
    build(page, tmp_path)
    on_the_server, create = page.take("js", "keyTicket"), page.take("sh", "deployment create")
    page.finish()
    known = dict(variables)

    def ticket() -> str:
        call = f"console.log(await keyTicket({json.dumps(USER)}));"
        return run_node(f"{on_the_server}\n{call}", known, tmp_path).strip()

    with product(tmp_path, running, ticket) as origin:
        beside = {
            "KEYSTEAD_DATA_DIR": str(running.data_dir),
            "DATABASE_URL": running.database_url,
            "PAGE_ORIGIN": origin,
        }
        known["BACKEND_KEY"] = json.loads(run_shell(create, beside))["backend_key"]
        wanted = {"app_slug": "aa_orbit", "name": "Orbit", "key_prefix": "orb_live", "permissions": ["routes:read"]}
        bearer = {"Authorization": f"Bearer {known['BACKEND_KEY']}"}
        httpx.post(f"{running.web_url}/api-auth/apps", json=wanted, headers=bearer, timeout=10).raise_for_status()

        tab = open_context().new_page()
        tab.on("dialog", lambda dialog: dialog.accept())
        tab.goto(f"{origin}/with_react")
        tab.get_by_role("button", name="Open API keys").click()
        expect(tab.get_by_role("heading", name="API keys of Orbit")).to_be_visible()
        tab.get_by_label("Name").fill("ci")
        tab.get_by_role("button", name="Create key").click()
        first = tab.get_by_role("status").inner_text()
        until(lambda: check(running, first) == 200, 5, "the gateway knows the key")
        tab.get_by_role("button", name="Rotate").click()
        expect(tab.get_by_role("listitem").filter(has_text="in_grace")).to_be_visible()
        assert check(running, first) == 200
        tab.get_by_role("listitem").filter(has_text="in_grace").get_by_role("button", name="Revoke").click()
        expect(tab.get_by_role("listitem").filter(has_text="in_grace")).to_have_count(0)
        until(lambda: check(running, first) == 401, 5, "the revoked key is refused")

        def is_logged() -> bool:
            tab.get_by_role("button", name="Refresh").click()
            return tab.get_by_text("blocked GET /v2/routes").count() > 0

        until(is_logged, 15, "the blocked call is listed")
        tab.goto(f"{origin}/editing")
        tab.get_by_label("routes:read").uncheck()
        tab.get_by_role("button", name="Save").click()
        expect(tab.get_by_text("0 held")).to_be_visible()
        tab.goto(f"{origin}/without")
        tab.wait_for_function("document.title === '1 keys'")
