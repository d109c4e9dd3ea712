"""Northwind Maps: a small product that hands its users to Keystead and checks their keys.

Documentation that runs, with Python's standard library and Keystead's client. It asks Keystead for a
ticket when somebody presses "Manage API keys", and the gateway about every API call.
"""

import json
import logging
import os
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import parse_qs, urlsplit

import custom_page
from keystead_client import Incoming, Keystead, KeysteadError
from people import SIGNED_IN, USERS, User, sign_in

TEMPLATES = Path(__file__).resolve().parent / "templates"
ROUTES = [{"id": "r1", "from": "Hamburg", "to": "Lyon"}, {"id": "r2", "from": "Oslo", "to": "Gdansk"}]
log = logging.getLogger("northwind")


class Product(BaseHTTPRequestHandler):
    """The pages and the API of Northwind Maps."""

    keystead: Keystead
    keystead_url: str  # the address that browsers use, too
    app: str
    own_url: str
    timeout = 10  # seconds for a visitor to send a request

    def do_GET(self) -> None:
        """Answer a page or an API call."""
        path = urlsplit(self.path).path
        if path == "/v2/routes":
            self._answer_api("routes:read")
        elif path == "/style.css":
            self._send(200, (TEMPLATES / "style.css").read_text(), "text/css")
        elif path in custom_page.FILES:
            self._send(200, *custom_page.asset(path))
        elif self.headers.get("Host", "").startswith("localhost"):
            self._redirect(self.own_url + path)  # a cookie of localhost is not sent to 127.0.0.1
        elif path in ("/", "/settings") and (user := self._user()):
            right = "May manage API keys" if "key_role" in user else "May not manage API keys"
            self._page(200, "settings", title="Settings", example=f"{self.own_url}/v2/routes", right=right, **user)
        elif path == custom_page.ADDRESS and (user := self._user()):
            known = {"keystead": self.keystead_url, "app": self.app, "example": f"{self.own_url}/v2/routes"}
            self._page(200, "api_keys", custom_page.policy(self.keystead_url), title="API keys", **known, **user)
        elif path in ("/", "/settings", custom_page.ADDRESS):
            self._page(200, "sign_in", title="Sign in")
        else:
            self._message(404, "There is no such page", "Perhaps its address was cut off.")

    do_HEAD = do_GET  # _send leaves the body out

    def do_POST(self) -> None:
        """Answer a form or an API call."""
        path = urlsplit(self.path).path
        length = self.headers.get("Content-Length", "0")
        body = self.rfile.read(min(int(length[:6]) if length.isdecimal() else 0, 9_999))
        form = parse_qs(body.decode("utf-8", "replace"))
        if path == "/v2/routes":
            self._answer_api("routes:write")
        elif self.headers.get("Origin") != self.own_url:  # a page of another site, or of another port
            self._message(403, "This form came from elsewhere", "Go back, reload the page and try again.")
        elif path in ("/keys", custom_page.TICKETS):
            self._manage_keys(self._user(), by=path)
        elif path in ("/sign-in", "/sign-out"):
            user = USERS.get(form.get("user", [""])[0]) if path == "/sign-in" else None
            self._redirect("/settings", {"Set-Cookie": sign_in(user)})
        else:
            self._message(404, "There is no such page", "Perhaps its address was cut off.")

    def _manage_keys(self, user: User | None, by: str) -> None:
        """Hand the person over to Keystead. Who may manage keys is the product's decision: no right, no ticket."""
        if user is None or "key_role" not in user:
            return self._message(403, "You can't manage API keys", "Ask an administrator of your organization.")
        try:
            ticket = self.keystead.issue_ticket(
                self.app,  # one app for each customer; only Acme Logistics has one here
                subject={"id": user["id"], "name": user["name"], "email": user["email"]},
                role=user["key_role"],
                return_url=f"{self.own_url}/settings",
            )
        except KeysteadError as problem:
            log.warning("no ticket: %s %s", problem.status, problem.message)
            text = "Your keys keep working. Try again soon."
            return self._message(502, "Key management isn't available just now", text)
        if by == custom_page.TICKETS:  # the page's script takes it from here
            return self._send(200, json.dumps({"ticket": ticket.ticket}), "application/json")
        return self._redirect(ticket.url)

    def _answer_api(self, permission: str) -> None:
        """Ask the gateway about this call, and do the work only on a clear yes."""
        incoming = Incoming(
            authorization=self.headers.get_all("Authorization", []),
            api_key=self.headers.get_all("X-API-Key", []),
            method=self.command,
            resource=urlsplit(self.path).path,
            client_ip=self.client_address[0],
            user_agent=self.headers.get("User-Agent"),
        )
        admission = self.keystead.admit(incoming, [permission])
        look = {"look_it_up": f"{self.own_url}/settings"}
        if refusal := admission.refusal:
            return self._send(refusal.status, json.dumps(refusal.body | look), "application/json", refusal.headers)
        body = {"routes": ROUTES, "request_id": admission.request_id, **look}
        return self._send(200, json.dumps(body), "application/json", admission.headers)

    def _user(self) -> User | None:
        cookies = parse_qs(self.headers.get("Cookie", "").replace("; ", "&"))
        return SIGNED_IN.get(cookies.get("product_session", [""])[0])

    def _message(self, status: int, title: str, text: str) -> None:
        self._page(status, "message", title=title, text=text)

    def _page(self, status: int, template: str, headers: dict[str, str] | None = None, /, **values: str) -> None:
        body, frame = (Template((TEMPLATES / f"{name}.html").read_text()) for name in (template, "page"))
        safe = {name: escape(value) for name, value in values.items()}
        self._send(status, frame.substitute(title=safe["title"], body=body.substitute(safe)), "text/html", headers)

    def _redirect(self, url: str, headers: dict[str, str] | None = None) -> None:
        self._send(303, "", "text/plain", {"Location": url, **(headers or {})})

    def _send(self, status: int, text: str, kind: str, headers: dict[str, str] | None = None) -> None:
        policy = f"default-src 'none'; style-src 'self'; form-action 'self' {self.keystead_url}; frame-ancestors 'none'"
        own = {"Content-Type": f"{kind}; charset=utf-8", "Content-Length": str(len(text.encode()))}
        always = {"Cache-Control": "no-store", "Referrer-Policy": "same-origin", "Content-Security-Policy": policy}
        self.send_response(status)
        for name, value in {**own, **always, **(headers or {})}.items():
            self.send_header(name, value.replace("\r", "").replace("\n", ""))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Log no request: its path may hold a key that somebody put there."""


def main() -> None:
    """Serve the product that the environment describes."""
    logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s")
    names = ("KEYSTEAD_URL", "KEYSTEAD_GATEWAY_URL", "KEYSTEAD_BACKEND_KEY_FILE", "KEYSTEAD_APP")
    url, gateway_url, key_file, app = (os.environ[name].rstrip("/") for name in names)
    key = Path(key_file).read_text().strip()
    Product.keystead = Keystead(
        url, key, gateway_url=gateway_url, gateway_key=key, app_slug=app, management_timeout_seconds=3
    )
    Product.app, Product.keystead_url = app, url
    host = os.environ.get("PRODUCT_HOST", "127.0.0.1")
    with ThreadingHTTPServer((host, int(os.environ.get("PRODUCT_PORT", "0"))), Product) as server:
        Product.own_url = f"http://{host}:{server.server_port}"
        if port_file := os.environ.get("PRODUCT_PORT_FILE"):
            Path(f"{port_file}.draft").write_text(str(server.server_port))
            Path(f"{port_file}.draft").replace(port_file)
        log.info("Northwind Maps: %s/", Product.own_url)
        server.serve_forever()


if __name__ == "__main__":
    main()
