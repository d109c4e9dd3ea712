"""The portal's pages from memory: each template rendered anew from what its view once put together."""

import os
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.test import Client, override_settings
from django.urls import re_path

import portal.render
from config import settings
from config import urls as whole

Rendering = tuple[HttpRequest, str, dict[str, Any]]
_known: dict[str, Rendering] = {}


def page(request: HttpRequest) -> HttpResponse:
    """Render a page's template once more."""
    return render(*_known[request.path])


def remember(path: str) -> None:
    """Ask the portal itself for a page, and keep what it has rendered. Called before anything is served."""
    seen: list[Rendering] = []

    def note(request: HttpRequest, template: str, context: dict[str, Any], **rest: Any) -> HttpResponse:
        seen.append((request, template, context))
        return render(request, template, context, **rest)

    before, portal.render.render = portal.render.render, note  # type: ignore[attr-defined]  # a name that it imports
    try:
        with override_settings(MIDDLEWARE=settings.MIDDLEWARE, ROOT_URLCONF="config.urls"):
            client = Client(headers={"Cookie": os.environ["BENCH_COOKIE"], "Host": "127.0.0.1:8000"})
            html = client.get(path).content
    finally:
        portal.render.render = before  # type: ignore[attr-defined]
    [_known[path]] = seen
    if len(render(*_known[path]).content) != len(html):
        raise RuntimeError(f"{path} is another page when it is rendered from memory")


urlpatterns = [re_path(r"^portal/", page), *whole.urlpatterns]
