"""The addresses of the JSON doors; they stand at the host's root, without a trailing slash."""

from django.urls import URLPattern, URLResolver, path
from ninja import NinjaAPI

from apiauth.http import health, web_metrics
from apiauth.http.apis import backend, browser
from apiauth.http.openapi import pages, views

app_name = "http"


def _addresses(api: NinjaAPI) -> list[URLPattern | URLResolver]:
    """Return an API's addresses without ninja's own page at the root, which is the portal's."""
    return [route for route in api.urls[0] if getattr(route, "name", None) != "api-root"]


urlpatterns: list[URLPattern | URLResolver] = [
    path("health", health.health, name="health"),
    path("ready", health.ready, name="ready"),
    path("metrics", web_metrics.metrics, name="metrics"),
    path("openapi/<str:name>.json", views.document, name="openapi"),
    path("docs", pages.start, name="docs-start"),
    path("docs/", pages.index, name="docs"),
    path("docs/<str:name>", pages.api, name="docs-api"),
    *_addresses(backend),
    *_addresses(browser),
]
