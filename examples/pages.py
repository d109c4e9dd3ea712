"""What a web framework would do for the product: signed sessions, forms with a token, pages, answers.

Nothing here is about Keystead; the hand-over and the check are in product.py.
"""

import hashlib
import hmac
import json
import logging
import secrets
from html import escape
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from string import Template
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

TEMPLATES = Path(__file__).resolve().parent / "templates"
COOKIE = "product_session"
MOST_FORM_BYTES = 9_999
SIGNING_KEY = secrets.token_bytes(32)  # sessions end with the process
log = logging.getLogger("northwind")


def sign(text: str) -> str:
    """Return the signature of a cookie or of a form's token."""
    return hmac.new(SIGNING_KEY, text.encode(), hashlib.sha256).hexdigest()


def same(left: str, right: str) -> bool:
    """Compare two texts in a time that tells nothing about them."""
    return hmac.compare_digest(left.encode(), right.encode())


class Pages(BaseHTTPRequestHandler):
    """Reads one request and writes one answer; knows who is signed in."""

    form_targets: ClassVar[str] = "'self'"  # where a form, and a redirect that answers it, may lead
    known_paths: ClassVar[tuple[str, ...]] = ()
    timeout = 10  # seconds for a visitor to send a request
    server_version = "Northwind"
    sys_version = ""

    @property
    def path_alone(self) -> str:
        """Return the path without its query."""
        return urlsplit(self.path).path

    def own_url(self, path: str) -> str:
        """Return an absolute address of this product."""
        server = self.server
        assert isinstance(server, HTTPServer)
        return f"http://{server.server_address[0]!s}:{server.server_port}{path}"

    def session(self) -> tuple[str, str]:
        """Return the user id and the nonce of the signed cookie; both empty where there is none of ours."""
        try:
            value = SimpleCookie(self.headers.get("Cookie", ""))[COOKIE].value
        except (CookieError, KeyError):
            return "", ""
        body, _, signature = value.rpartition(".")
        user, _, nonce = body.partition(".")
        return (user, nonce) if same(signature, sign(f"cookie:{body}")) else ("", "")

    def form(self) -> dict[str, str]:
        """Return the fields of the posted form, which the caller has to find genuine."""
        length = self.headers.get("Content-Length", "0")
        count = int(length) if length.isascii() and length.isdecimal() and len(length) < 5 else 0
        text = self.rfile.read(min(count, MOST_FORM_BYTES)).decode("utf-8", "replace")
        return dict(parse_qsl(text))

    def is_genuine(self, form: dict[str, str]) -> bool:
        """Tell whether a form came from one of our own pages, in this session."""
        nonce = self.session()[1]
        return bool(nonce) and same(form.get("token", ""), sign(f"form:{nonce}"))

    def page(self, status: int, template: str, **values: str) -> None:
        """Answer with a page; every value is escaped. A visitor without a session gets an anonymous one."""
        nonce = self.session()[1]
        nonce, headers = (nonce, {}) if nonce else self.new_session("")
        safe = {name: escape(value) for name, value in values.items()}
        body = Template((TEMPLATES / f"{template}.html").read_text()).substitute(safe, token=sign(f"form:{nonce}"))
        frame = Template((TEMPLATES / "page.html").read_text())
        self.send(status, frame.substitute(title=safe["title"], body=body), "text/html", headers)

    def new_session(self, user: str) -> tuple[str, dict[str, str]]:
        """Return a fresh nonce, and the header that makes it this visitor's session."""
        nonce = secrets.token_urlsafe(18)
        body = f"{user}.{nonce}"
        cookie = f"{COOKIE}={body}.{sign(f'cookie:{body}')}; Path=/; HttpOnly; SameSite=Lax"
        return nonce, {"Set-Cookie": cookie}

    def json(self, status: int, value: dict[str, Any], headers: dict[str, str]) -> None:
        """Answer with JSON."""
        self.send(status, json.dumps(value) + "\n", "application/json", headers)

    def redirect(self, url: str, headers: dict[str, str] | None = None) -> None:
        """Send the visitor on, with a GET."""
        self.send(303, "", "text/plain", {"Location": url, **(headers or {})})

    def send(self, status: int, text: str, kind: str, headers: dict[str, str]) -> None:
        """Write one answer; HEAD leaves its body out."""
        body = text.encode()
        policy = f"default-src 'none'; style-src 'self'; form-action {self.form_targets}; frame-ancestors 'none'"
        always = {
            "Content-Type": f"{kind}; charset=utf-8",
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Content-Security-Policy": f"{policy}; base-uri 'none'",
            "Referrer-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
        }
        self.send_response(status)
        for name, value in {**always, **headers}.items():
            self.send_header(name, value.replace("\r", "").replace("\n", ""))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log what was asked and answered. A path we do not know may hold a key: it is left out."""
        path = self.path_alone if self.path_alone in self.known_paths else "-"
        log.info("%s %s %d", self.command if path != "-" else "-", path, int(code))

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing of what the server's own messages quote from a request."""
