"""Pages for what went wrong."""

from django.http import HttpRequest, HttpResponse


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form whose token is missing or old."""
    return HttpResponse("This page was open for too long. Go back, reload it and try again.", status=403)
