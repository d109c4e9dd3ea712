"""What a client is told once, checked at once: addresses, keys, bounds."""

from dataclasses import dataclass, field
from typing import Literal

import httpx

from keystead_client.errors import NotConfigured

VERSION = "0.1.0"
OnUnavailable = Literal["deny", "allow"]
_COMMON = [
    ("Accept", "application/json"),
    ("Accept-Encoding", "identity"),
    ("User-Agent", f"keystead-client/{VERSION}"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where Keystead is, who asks, and how long to wait. Raises ValueError for what cannot be used."""

    url: str | None = None
    backend_key: str | None = field(default=None, repr=False)
    gateway_url: str | None = None
    gateway_key: str | None = field(default=None, repr=False)
    app_slug: str | None = None
    deployment_id: str | None = None
    on_unavailable: OnUnavailable = "deny"
    check_timeout_seconds: float = 1.0
    management_timeout_seconds: float = 10.0
    retries: int = 2
    most_connections: int = 100
    check_url: httpx.URL = field(init=False)
    batch_url: httpx.URL = field(init=False)
    check_headers: list[tuple[str, str]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("url", "gateway_url"):
            _require_root(name, getattr(self, name))
        for name in ("backend_key", "gateway_key"):
            _require_header_value(name, getattr(self, name))
        if self.on_unavailable not in ("deny", "allow"):
            raise ValueError('on_unavailable is "deny" or "allow".')
        gateway = (self.gateway_url or "").rstrip("/")
        object.__setattr__(self, "check_url", httpx.URL(f"{gateway}/v1/authz/check"))
        object.__setattr__(self, "batch_url", httpx.URL(f"{gateway}/v1/authz/check-batch"))
        object.__setattr__(self, "check_headers", [*headers(self.gateway_key), ("Content-Type", "application/json")])

    def management_url(self, path: str, query: list[tuple[str, str]]) -> httpx.URL:
        """Return the address of a management call. Raises NotConfigured."""
        if not self.url or not self.backend_key:
            raise NotConfigured("Management calls need `url` and `backend_key`.")
        return httpx.URL(self.url.rstrip("/") + path, params=query) if query else httpx.URL(self.url.rstrip("/") + path)

    def require_gateway(self) -> None:
        """Make sure that there is somebody to ask. Raises NotConfigured."""
        if not self.gateway_url:
            raise NotConfigured("Checks need `gateway_url`.")


def headers(bearer: str | None) -> list[tuple[str, str]]:
    """Return the headers that every request has."""
    return [*_COMMON, ("Authorization", f"Bearer {bearer}")] if bearer else [*_COMMON]


def _require_root(name: str, url: str | None) -> None:
    if url is None:
        return
    try:
        parts = httpx.URL(url)
        parts.host.encode("idna")  # as it is looked up
    except (httpx.InvalidURL, UnicodeError):
        parts = httpx.URL("")
    if parts.scheme not in ("http", "https") or not parts.host or parts.userinfo or parts.query or parts.fragment:
        raise ValueError(f"{name} must be an address such as https://keys.example.com, without a user or a query.")


def _require_header_value(name: str, value: str | None) -> None:
    if value is not None and not (value.isascii() and value.isprintable() and value.strip() == value and value):
        raise ValueError(f"{name} must be printable ASCII without a space or a line break at its ends.")
