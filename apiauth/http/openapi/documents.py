"""The OpenAPI documents of the backend and the browser session API, put together from code."""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from apiauth.http import apis, gateway_openapi
from apiauth.http.openapi import prose
from apiauth.http.openapi.assembly import Assembly

Document = dict[str, Any]


@cache
def backend() -> Document:
    """Return the backend API's document."""
    return Assembly(apis.backend, prose.BACKEND, is_frontend=False).document()


@cache
def session() -> Document:
    """Return the browser session API's document."""
    return Assembly(apis.browser, prose.SESSION, is_frontend=True).document()


DOCUMENTS: dict[str, Callable[[], Document]] = {
    "backend": backend,
    "session": session,
    "gateway": gateway_openapi.document,
}


def as_text(document: Document) -> str:
    """Return a document as it stands in the repository and is served."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
