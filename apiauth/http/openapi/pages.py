"""The pages of the API reference: made from the documents, for everyone, without a login."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from apiauth.core.cookies import session_cookie_name
from apiauth.http.openapi.documents import DOCUMENTS
from apiauth.http.openapi.page import Reader, words
from apiauth.http.openapi.snippets import LANGUAGES

HEARD_BY = {
    "backend": ("Backend", "Your product's backend, with a backend key"),
    "session": ("Browser session", "Your product's pages in a browser, with a session's cookie"),
    "gateway": ("Gateway", "Your API's servers, about every call"),
}
_kept_for_a_while = cache_control(public=True, max_age=300)


@dataclass(frozen=True, slots=True)
class Api:
    """One API as the list of all shows it."""

    name: str
    title: str
    heard_by: str


APIS = [Api(name, title, sentence) for name, (title, sentence) in HEARD_BY.items()]


@require_safe
def start(request: HttpRequest) -> HttpResponse:
    """Lead to the first page, whose address ends in a slash."""
    return redirect("http:docs", permanent=True)


@require_safe
@_kept_for_a_while
def index(request: HttpRequest) -> HttpResponse:
    """Show which APIs there are, and what they have in common."""
    return render(request, "reference/index.html", {"apis": APIS, "facts": _facts()})


@require_safe
@_kept_for_a_while
def api(request: HttpRequest, name: str) -> HttpResponse:
    """Show one API."""
    if name not in DOCUMENTS:
        raise Http404
    return render(request, "reference/api.html", {"apis": APIS, "name": name, **_read(name)})


@cache
def _read(name: str) -> dict[str, Any]:
    """Return what the page of one API shows; it is the same for as long as the process lives."""
    document = DOCUMENTS[name]()
    reader = Reader(document, base_url=_base_url(document), cookie_name=_cookie_name())
    return {
        "title": document["info"]["title"],
        "introduction": reader.introduction(),
        "headings": reader.headings(),
        "languages": [(language, language.lower()) for language in LANGUAGES],
    }


def _base_url(document: dict[str, Any]) -> str:
    url: str = document["servers"][0]["url"]
    return settings.ENVIRONMENT.public_url if url == "/" else url


def _cookie_name() -> str:
    return session_cookie_name(is_https=settings.ENVIRONMENT.is_https)


def _facts() -> list[tuple[str, Any]]:
    return [(name, words(sentence)) for name, sentence in FACTS.items()]


FACTS = {
    "Ids and moments": "An id is a whole number as text. A moment is RFC 3339 in UTC, such as "
    "`2031-04-05T06:07:08.123456Z`.",
    "Errors": "Every error is one JSON object: `message` is a sentence for people, `code` a word for programs, and "
    "`details` names the fields at fault. 400 cannot be used, 401 no valid credential, 403 not allowed, 404 not here "
    "or not yours, 409 does not fit the present state, 422 beyond a bound, 429 too many, 503 not just now.",
    "Sending again": "A call that makes something takes `Idempotency-Key`. Sent again with the same name within 24 "
    "hours, it is carried out once; what is shown once is null the second time.",
    "Changing what you have seen": "An app and a scheme come with an `ETag`. Send it back as `If-Match`, and a change "
    "never overwrites one that you have not seen.",
    "Request ids": "Every answer has an `X-Request-Id`: yours, if you sent one. Errors hold it as `request_id`.",
}
