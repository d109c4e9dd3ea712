"""Serves the OpenAPI documents: facts about this release, for everyone."""

from functools import cache

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from apiauth.core.errors import NotFound
from apiauth.http.openapi.documents import DOCUMENTS, as_text


@csrf_exempt  # it only reads: another method hears 405, not of a token
@require_safe
def document(request: HttpRequest, name: str) -> HttpResponse:
    """Answer with one document. Raises NotFound."""
    if name not in DOCUMENTS:
        raise NotFound("There is no such document.")
    response = HttpResponse(_text(name), content_type="application/json")
    response["Access-Control-Allow-Origin"] = "*"  # the same for everyone, whatever cookie comes
    return response


@cache
def _text(name: str) -> str:
    return as_text(DOCUMENTS[name]())
