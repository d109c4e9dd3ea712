"""The search for a key by what a customer pasted, which may be the whole secret."""

from typing import Any

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from apiauth.admin.keys import TONES
from apiauth.admin.window import badge, staff
from apiauth.core import clock
from apiauth.services import search

_may_find = permission_required("apiauth.find_key", raise_exception=True)


@sensitive_post_parameters("pasted")
@sensitive_variables("pasted")
@_may_find
def find_key(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Show what was found in the answer to the POST itself: what was pasted never reaches an address or a page."""
    if request.method not in ("POST", "GET"):
        return HttpResponseNotAllowed(["GET", "POST"])
    pasted = request.POST.get("pasted", "")
    if pasted.strip():
        found = search.find_keys(text=pasted, actor=staff(request), now=clock.now())
        context["by"] = found.by
        context["rows"] = [(key, badge(*TONES[key.status(clock.now())])) for key in found.keys]
    context["title"] = "Find a key"
    response = TemplateResponse(request, "admin/find_key.html", context)
    response["Cache-Control"] = "no-store, private"
    return response
