"""Northwind Maps: a small product that hands its users to Keystead and checks their keys.

Documentation that runs, with Python's standard library alone. It talks to Keystead by plain HTTP:
POST /session/tickets for "Manage API keys", POST /v1/authz/check on the gateway for every API call.
"""

import http.client
import json
import logging
import os
import sys
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from pages import TEMPLATES, Pages

ROUTES = [{"id": "r1", "from": "Hamburg", "to": "Lyon"}, {"id": "r2", "from": "Oslo", "to": "Gdansk"}]
log = logging.getLogger("northwind")


@dataclass(frozen=True)
class User:
    """Somebody who can sign in. `key_role` is their role in the key portal; None: no right to it."""

    id: str
    name: str
    email: str
    organization: str
    key_role: str | None


NOBODY = User("", "", "", "", None)
USERS = {
    "dana": User("dana", "Dana Okafor", "dana@acme-logistics.example", "Acme Logistics", "admin"),
    "sam": User("sam", "Sam Reyes", "sam@blue-harbor.example", "Blue Harbor", None),
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


class Product(Pages):
    """The pages and the API of Northwind Maps."""

    keystead: ClassVar[Keystead]
    known_paths = ("/", "/settings", "/keys", "/sign-in", "/sign-out", "/v2/routes", "/style.css")

    def do_GET(self) -> None:
        """Answer a page or an API call."""
        if self.path_alone == "/v2/routes":
            self._answer_api("routes:read")
        elif self.path_alone == "/style.css":
            self.send(200, (TEMPLATES / "style.css").read_text(), "text/css", {})
        elif self.headers.get("Host", "").lower().split(":")[0] == "localhost":
            # A cookie of localhost is not sent to 127.0.0.1, so all pages live on one of them.
            self.redirect(self.own_url(self.path_alone))
        elif self.path_alone in ("/", "/settings"):
            self._home(USERS.get(self.session()[0], NOBODY))
        elif self.path_alone == "/keys":  # a reload, or the way back, after the button
            self.redirect("/settings")
        else:
            self._message(404, "There is no such page", "Perhaps its address was cut off.")

    do_HEAD = do_GET  # send() leaves the body out

    def do_POST(self) -> None:
        """Answer a form or an API call."""
        form = self.form()
        if self.path_alone == "/v2/routes":
            self._answer_api("routes:write")
        elif not self.is_genuine(form):
            self._message(403, "This form is out of date", "Go back, reload the page and try again.")
        elif self.path_alone == "/keys":
            self._manage_keys(USERS.get(self.session()[0], NOBODY))
        elif self.path_alone in ("/sign-in", "/sign-out"):
            user = form.get("user", "") if self.path_alone == "/sign-in" else ""
            self.redirect("/settings", self.new_session(user if user in USERS else "")[1])
        else:
            self._message(404, "There is no such page", "Perhaps its address was cut off.")

    def _home(self, user: User) -> None:
        if user is NOBODY:
            return self.page(200, "sign_in", title="Sign in")
        right = "May manage API keys" if user.key_role else "May not manage API keys"
        facts = {"name": user.name, "email": user.email, "organization": user.organization, "right": right}
        return self.page(200, "settings", title="Settings", example=self.own_url("/v2/routes"), **facts)

    def _message(self, status: int, title: str, text: str) -> None:
        self.page(status, "message", title=title, text=text)

    def _manage_keys(self, user: User) -> None:
        """Hand the person over to Keystead. Who may manage keys is the product's decision: no right, no ticket."""
        if user.key_role is None:
            return self._message(403, "You can't manage API keys", "Ask an administrator of your organization.")
        request = {
            "ticket_type": "api_auth_access",
            "api_auth_app_slug": self.keystead.app,  # one app for each customer; only Acme Logistics has one here
            "subject": {"id": user.id, "name": user.name, "email": user.email},
            "role": user.key_role,
            "return_url": self.own_url("/settings"),
        }
        status, answer = self.keystead.ask(f"{self.keystead.url}/session/tickets", request)
        if status == 200 and str(answer.get("url")).startswith(("http://", "https://")):
            return self.redirect(str(answer["url"]))
        log.warning("no ticket: %d %s", status, answer.get("message", "no answer"))
        return self._message(502, "Key management isn't available just now", "Your keys keep working. Try again soon.")

    def _answer_api(self, permission: str) -> None:
        """Ask the gateway about this call, and do the work only on a clear yes."""
        scheme, _, presented = self.headers.get("Authorization", "").partition(" ")
        question = {
            "principal": {"type": "api_key", "value": presented[:512] if scheme.lower() == "bearer" else ""},
            "resource": self.path,
            "method": self.command,
            "client_ip": self.client_address[0],
            "user_agent": self.headers.get("User-Agent", "unknown")[:500],
            "required_permissions": [permission],
        }
        status, answer = self.keystead.ask(f"{self.keystead.gateway_url}/v1/authz/check", question)
        headers = {name: str(value) for name, value in (answer.get("headers") or {}).items() if "ratelimit" in name}
        reason, is_ours = answer.get("reason"), (answer.get("identity") or {}).get("app_slug") == self.keystead.app
        if status == 200 and answer.get("allowed") is True and is_ours:
            self.json(200, {"routes": ROUTES, "request_id": answer.get("request_id")}, headers)
        elif status == 200 and reason == "rate_limited":
            headers["Retry-After"] = str(answer.get("retry_after") or 1)
            self._refuse(429, answer, "Too many calls: wait, then try again.", headers)
        elif status == 200 and reason == "permission_denied":
            self._refuse(403, answer, f"This key may not do that. The call needs {permission}.", headers)
        elif status in (200, 401):  # a 200 that comes to here is for a good key of some other app
            why = str(answer.get("message") or "This key can't be used here.")
            self._refuse(401, answer, why, {"WWW-Authenticate": "Bearer"})
        else:
            self._refuse(503, {"reason": "unavailable"}, "Keys can't be checked just now.", {"Retry-After": "5"})

    def _refuse(self, status: int, answer: dict[str, Any], message: str, headers: dict[str, str]) -> None:
        facts = {"error": answer.get("reason") or "invalid_key", "blocked_by": answer.get("blocked_rule")}
        where = {"request_id": answer.get("request_id"), "look_it_up": self.own_url("/settings")}
        self.json(status, {**facts, "message": message, **where}, headers)


def main() -> None:
    """Serve the product that the environment describes."""
    logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s")
    names = ("KEYSTEAD_URL", "KEYSTEAD_GATEWAY_URL", "KEYSTEAD_BACKEND_KEY_FILE", "KEYSTEAD_APP")
    if missing := [name for name in names if not os.environ.get(name)]:
        sys.exit(f"Set {', '.join(missing)}: see examples/README.md.")
    url, gateway_url, key_file, app = (os.environ[name].rstrip("/") for name in names)
    Product.keystead = Keystead(url, gateway_url, Path(key_file).read_text().strip(), app)
    Product.form_targets = f"'self' {url}"
    address = (os.environ.get("PRODUCT_HOST", "127.0.0.1"), int(os.environ.get("PRODUCT_PORT", "0")))
    with ThreadingHTTPServer(address, Product) as server:
        port = server.server_address[1]
        if port_file := os.environ.get("PRODUCT_PORT_FILE"):
            draft = Path(f"{port_file}.draft")
            draft.write_text(str(port))
            draft.replace(port_file)
        log.info("Northwind Maps: http://%s:%d/", address[0], port)
        server.serve_forever()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
