"""The page that a server asks for before it says that it is ready."""

from django.http import HttpRequest, HttpResponse


def ready(request: HttpRequest) -> HttpResponse:
    """Answer 200."""
    return HttpResponse()
