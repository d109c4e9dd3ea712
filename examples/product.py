"""Northwind Maps: a small product that hands its users to Keystead and checks their keys.

Documentation that runs, with Python's standard library alone. It talks to Keystead by plain HTTP:
POST /session/tickets for "Manage API keys", POST /v1/authz/check on the gateway for every API call.
"""

import http.client
import json
import logging
import os
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import parse_qs, urlsplit

import custom_page
from people import SIGNED_IN, USERS, User, sign_in

TEMPLATES = Path(__file__).resolve().parent / "templates"
ROUTES = [{"id": "r1", "from": "Hamburg", "to": "Lyon"}, {"id": "r2", "from": "Oslo", "to": "Gdansk"}]
log = logging.getLogger("northwind")

REFUSALS = {  # what the gateway says, and what this API answers
    "rate_limited": (429, "Too many calls: wait, then try again."),
    "permission_denied": (403, "This key may not do that."),
    "unavailable": (503, "Keys can't be checked just now."),
}


@dataclass(frozen=True)
class Keystead:
    """Where Keystead is and how this product speaks to it. `url` is the address that browsers use, too."""

    url: str
    gateway_url: str
    backend_key: str = field(repr=False)
    app: str

    def ask(self, url: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """POST JSON once, without redirects. Keystead away, or an answer that is no JSON object, is a 503."""
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        headers = {"Authorization": f"Bearer {self.backend_key}", "Content-Type": "application/json"}
        connection = kind(parts.netloc, timeout=3)
        try:
            connection.request("POST", parts.path, json.dumps(body), headers)
            response = connection.getresponse()
            answer = json.loads(response.read(65_536))
        except (OSError, ValueError, RecursionError, http.client.HTTPException):
            return 503, {}
        finally:
            connection.close()
        return (response.status, answer) if isinstance(answer, dict) else (503, {})


class Product(BaseHTTPRequestHandler):
    """The pages and the API of Northwind Maps."""

    keystead: Keystead
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
            known = {"keystead": self.keystead.url, "app": self.keystead.app, "example": f"{self.own_url}/v2/routes"}
            self._page(200, "api_keys", custom_page.policy(self.keystead.url), title="API keys", **known, **user)
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
        request = {
            "ticket_type": "api_auth_access",
            "api_auth_app_slug": self.keystead.app,  # one app for each customer; only Acme Logistics has one here
            "subject": {claim: user[claim] for claim in ("id", "name", "email")},
            "role": user["key_role"],
            "return_url": f"{self.own_url}/settings",
        }
        status, answer = self.keystead.ask(f"{self.keystead.url}/session/tickets", request)
        if status == 200 and by == custom_page.TICKETS:  # the page's script takes it from here
            return self._send(200, json.dumps({"ticket": answer.get("ticket")}), "application/json")
        if status == 200 and str(answer.get("url")).startswith(("http://", "https://")):
            return self._redirect(str(answer["url"]))
        log.warning("no ticket: %d %s", status, answer.get("message", "no answer"))
        return self._message(502, "Key management isn't available just now", "Your keys keep working. Try again soon.")

    def _answer_api(self, permission: str) -> None:
        """Ask the gateway about this call, and do the work only on a clear yes."""
        scheme, _, presented = self.headers.get("Authorization", "").partition(" ")
        key = {"type": "api_key", "value": presented[:512] if scheme.lower() == "bearer" else ""}
        call = {"resource": self.path, "method": self.command, "required_permissions": [permission]}
        caller = {"client_ip": self.client_address[0], "user_agent": self.headers.get("User-Agent", "unknown")[:500]}
        url = f"{self.keystead.gateway_url}/v1/authz/check"
        status, answer = self.keystead.ask(url, {"principal": key, **call, **caller})
        is_ours = (answer.get("identity") or {}).get("app_slug") == self.keystead.app
        headers = {name: str(value) for name, value in (answer.get("headers") or {}).items() if "ratelimit" in name}
        body = {"request_id": answer.get("request_id"), "look_it_up": f"{self.own_url}/settings"}
        if status == 200 and answer.get("allowed") is True and is_ours:
            return self._send(200, json.dumps({"routes": ROUTES, **body}), "application/json", headers)
        reason = str(answer.get("reason") or "invalid_key") if status in (200, 401) else "unavailable"
        status, message = REFUSALS.get(reason, (401, answer.get("message") or "This key can't be used here."))
        if status in (429, 503):
            headers["Retry-After"] = str(answer.get("retry_after") or 5)
        body |= {"error": reason, "blocked_by": answer.get("blocked_rule"), "message": message}
        return self._send(status, json.dumps(body), "application/json", headers)

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
        policy = f"default-src 'none'; style-src 'self'; form-action 'self' {self.keystead.url}; frame-ancestors 'none'"
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
    Product.keystead = Keystead(url, gateway_url, Path(key_file).read_text().strip(), app)
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
