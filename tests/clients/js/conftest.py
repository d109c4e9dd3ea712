"""A product of another origin, whose pages are made of the packed client, of React and of React Router from npm."""

import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from config.env import REPOSITORY
from tests.support import node
from tests.support.running import Running, in_installation, keystead

FOLDER = Path(__file__).parent
PACKAGE = REPOSITORY / "clients" / "js"
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Keys</title><link rel="icon" href="data:,">
<body data-keystead="{keystead}"><div id="root"></div><script type="module" src="/{name}.js"></script></body></html>"""


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of these tests, with its packages from npm and our own as it would be published."""
    node.install(FOLDER)
    target = tmp_path_factory.mktemp("packed")
    (packed,) = json.loads(node.run(PACKAGE, "npm", "pack", "--json", "--pack-destination", str(target)))
    place = FOLDER / "node_modules" / "@keystead" / "client"
    with tarfile.open(target / packed["filename"]) as archive:
        archive.extractall(place, [_without_folder(member) for member in archive], filter="data")
    return FOLDER


def _without_folder(member: tarfile.TarInfo) -> tarfile.TarInfo:
    return member.replace(name=member.name.removeprefix("package/"))


@pytest.fixture(scope="session")
def bundles(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages' scripts, with React's own checks left in."""
    target = tmp_path_factory.mktemp("bundles")
    pages = [f"pages/{name}.jsx" for name in ("plain", "router")]
    mode = '--define:process.env.NODE_ENV="development"'
    node.run(
        installed,
        "node_modules/.bin/esbuild",
        *pages,
        "--bundle",
        "--format=esm",
        "--jsx=automatic",
        mode,
        f"--outdir={target}",
    )
    return target


@dataclass
class Product:
    """A product with an app of its own in a deployment of its own; it asks for tickets as a backend would."""

    url: str
    running: Running
    backend_key: str = field(repr=False)
    apps: int = 0
    app_slug: str = ""

    def backend(self, path: str, body: dict[str, Any]) -> Any:
        """Ask the backend API."""
        headers = {"Authorization": f"Bearer {self.backend_key}"}
        return (
            httpx.post(f"{self.running.web_url}{path}", json=body, headers=headers, timeout=10)
            .raise_for_status()
            .json()
        )

    def new_app(self) -> None:
        """Make an app, which the next tickets open."""
        self.apps += 1
        self.app_slug = f"aa_{self.apps}"
        wanted = {"app_slug": self.app_slug, "name": f"Orbit {self.apps}", "key_prefix": "orb_live"}
        self.backend("/api-auth/apps", {**wanted, "permissions": ["routes:read", "routes:write"]})

    def set_policy(self, policy: dict[str, Any]) -> None:
        """Change the app's policy at the backend."""
        headers = {"Authorization": f"Bearer {self.backend_key}"}
        url = f"{self.running.web_url}/api-auth/apps/{self.app_slug}"
        httpx.patch(url, json={"policy": policy}, headers=headers, timeout=10).raise_for_status()

    def ticket(self, **fields: Any) -> str:
        """Return a fresh ticket for Dana, an admin unless said otherwise."""
        wanted = {"ticket_type": "api_auth_access", "api_auth_app_slug": self.app_slug, "role": "admin"}
        subject = {"id": "dana", "name": "Dana Okafor"}
        return str(self.backend("/session/tickets", {**wanted, "subject": subject, **fields})["ticket"])

    def key(self, name: str) -> str:
        """Make a key at the backend and return its secret."""
        made = self.backend(f"/api-auth/apps/{self.app_slug}/keys", {"name": name, "permissions": ["routes:read"]})
        return str(made["secret"])

    def check(self, secret: str, permission: str = "routes:read") -> bool:
        """Ask the gateway about a call with a key."""
        question = {
            "principal": {"type": "api_key", "value": secret},
            "resource": "/v2/routes",
            "method": "GET",
            "client_ip": "203.0.113.9",
            "user_agent": "tests",
            "required_permissions": [permission],
        }
        answer = httpx.post(f"{self.running.gateway_url}/v1/authz/check", json=question, timeout=10)
        return answer.status_code == 200 and answer.json()["allowed"] is True


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with keystead(tmp_path_factory.mktemp("clients") / "data", "--no-demo") as running:
        yield running


@pytest.fixture(scope="session")
def serving(bundles: Path, running: Running) -> Iterator[Product]:
    """The product's own server, on an origin that its deployment lists."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.split("?")[0].strip("/").split("/")[0]
            if name.endswith(".js"):
                body, kind = (bundles / name).read_bytes(), "text/javascript"
            else:
                body, kind = PAGE.format(keystead=running.web_url, name=name).encode(), "text/html"
            self.send_response(200)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        made = in_installation(running, "deployment", "create", "--name", "Orbit", "--origin", url, "--json")
        yield Product(url, running, json.loads(made)["backend_key"])
        server.shutdown()
        thread.join()


@pytest.fixture
def product(serving: Product) -> Product:
    """The product, with a fresh app."""
    serving.new_app()
    return serving


@pytest.fixture
def complaints() -> list[str]:
    """What the browser's console complains of, where a test's page is opened with `open_page`."""
    return []


@pytest.fixture
def open_page(open_context: Callable[..., Any], product: Product, complaints: list[str]) -> Callable[..., Any]:
    """Open one of the product's pages in a browser of its own, with a fresh ticket unless told otherwise."""

    def open_one(name: str, *, address: str = "", **ticket: Any) -> Any:
        page = open_context().new_page()
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{product.url}{address or f'/{name}?ticket={product.ticket(**ticket)}'}")
        return page

    return open_one
