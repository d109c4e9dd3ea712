"""How the portal answers: a page or the part that htmx asked for, never kept by any cache."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers

VARIES_BY = ("HX-Request", "HX-Target", "Cookie")


class SeeOther(HttpResponseRedirect):
    """A redirect that the browser follows with GET."""

    status_code = 303


def page_or_part(
    request: HttpRequest,
    page: str,
    parts: Mapping[str, str],
    context: Mapping[str, Any],
    *,
    status: int = 200,
) -> HttpResponse:
    """Render the part whose element htmx wants to replace, else the whole page.

    A history restore always gets the page: the element may not be there any more.
    """
    htmx = request.htmx  # type: ignore[attr-defined]  # set by django-htmx's middleware
    part = None if htmx.history_restore_request else parts.get(htmx.target or "")
    return render(request, part or page, dict(context), status=status)


def download(lines: Iterable[str], file_name: str, content_type: str) -> StreamingHttpResponse:
    """Hand out a file while it is being written: neither its length nor its rows are bounded."""
    response = StreamingHttpResponse(lines, content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{file_name}"'
    return response


def go_to(request: HttpRequest, address: str) -> HttpResponse:
    """Send the browser to another page: by 303, or for htmx by its own header, which leaves the dialog."""
    if not request.htmx:  # type: ignore[attr-defined]  # set by django-htmx's middleware
        return SeeOther(address)
    response = HttpResponse()
    response["HX-Redirect"] = address
    return response


def keep_private(response: HttpResponse) -> None:
    """Forbid every cache to keep an answer, and say what it depends on."""
    response["Cache-Control"] = "no-store, private"
    patch_vary_headers(response, VARIES_BY)
