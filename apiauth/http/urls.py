"""The addresses of the JSON doors; they stand at the host's root, without a trailing slash."""

from django.urls import URLPattern, URLResolver, path
from ninja import NinjaAPI

from apiauth.http import health
from apiauth.http.apis import backend, browser
from apiauth.http.openapi import views

app_name = "http"


def _addresses(api: NinjaAPI) -> list[URLPattern | URLResolver]:
    """Return an API's addresses without ninja's own page at the root, which is the portal's."""
    return [route for route in api.urls[0] if getattr(route, "name", None) != "api-root"]


urlpatterns: list[URLPattern | URLResolver] = [
    path("health", health.health, name="health"),
    path("ready", health.ready, name="ready"),
    path("openapi/<str:name>.json", views.document, name="openapi"),
    *_addresses(backend),
    *_addresses(browser),
]
