"""Where mail goes out: one server, named by a URL, off unless it is named."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

_PORTS = {"smtp": 587, "smtps": 465}
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
TIMEOUT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class EmailServer:
    """A mail server and who writes. `smtp` asks for STARTTLS, but on this machine; `smtps` is TLS from the start."""

    host: str
    port: int
    is_tls: bool
    is_starttls: bool
    user: str
    sender: str
    password: str = field(repr=False)

    def connection_options(self) -> dict[str, Any]:
        """Return this as Django's SMTP backend takes it."""
        return {
            "host": self.host,
            "port": self.port,
            "username": self.user,
            "password": self.password,
            "use_tls": self.is_starttls,
            "use_ssl": self.is_tls,
            "timeout": TIMEOUT_SECONDS,
        }


def read(url: str, sender: str, password: str | None) -> EmailServer:
    """Return the server that a URL names. Raises ValueError with what is wrong."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or parts.password is not None:
        raise ValueError(
            "KEYSTEAD_EMAIL_URL must be like smtp://user@mail.example.com:587 or smtps://…, without a password: "
            "that goes into KEYSTEAD_EMAIL_PASSWORD or its file."
        )
    if "@" not in sender or not sender.isprintable():
        raise ValueError("KEYSTEAD_EMAIL_FROM must be the address that mails come from.")
    return EmailServer(
        host=parts.hostname,
        port=parts.port or _PORTS[parts.scheme],
        is_tls=parts.scheme == "smtps",
        is_starttls=parts.scheme == "smtp" and parts.hostname not in _LOOPBACK,
        user=unquote(parts.username or ""),
        password=password or "",
        sender=sender,
    )
