"""The addresses of the JSON doors; they stand at the host's root, without a trailing slash."""

from django.urls import URLPattern, URLResolver, path
from ninja import NinjaAPI

from apiauth.http import (
    backend_apps,
    backend_audit,
    backend_keys,
    backend_limits,
    backend_tickets,
    exchange,
    health,
    session_api,
    session_audit,
)
from apiauth.http.backend_api import make_api

app_name = "http"

backend = make_api("Keystead backend API", "backend")
for room in (backend_apps, backend_keys, backend_limits, backend_tickets, backend_audit):
    backend.add_router("", room.router)

browser = make_api("Keystead browser session API", "browser")
for room in (exchange, session_api, session_audit):
    browser.add_router("", room.router)


def _addresses(api: NinjaAPI) -> list[URLPattern | URLResolver]:
    """Return an API's addresses without ninja's own page at the root, which is the portal's."""
    return [route for route in api.urls[0] if getattr(route, "name", None) != "api-root"]


urlpatterns: list[URLPattern | URLResolver] = [
    path("health", health.health, name="health"),
    path("ready", health.ready, name="ready"),
    *_addresses(backend),
    *_addresses(browser),
]
