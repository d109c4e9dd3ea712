"""Which live keys of all apps deserve a look, for staff: counted, listed and exported."""

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.db import OperationalError
from django.db.models import Q
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    QueryDict,
    StreamingHttpResponse,
)
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse

from apiauth.admin.remedies import remedies_of
from apiauth.admin.window import NO_SECRETS_HERE, has_secret, staff
from apiauth.core import clock, ids
from apiauth.models import App, Deployment, Key
from apiauth.models.key import KeyQuerySet
from apiauth.services import compliance, exports
from apiauth.services.compliance import Finding
from apiauth.services.finding_words import WORDS

ROWS = 50
_may_view = permission_required("apiauth.view_key", raise_exception=True)
_may_export = permission_required("apiauth.export_key", raise_exception=True)


class FilterForm(forms.Form):
    """Whose keys, and which finding. All of it is in the address, so that a colleague sees the same."""

    deployment = forms.CharField(required=False, max_length=20, label="Deployment id")
    app = forms.CharField(required=False, max_length=64, label="App (slug or id)")
    finding = forms.ChoiceField(
        required=False, choices=[("", "Any"), *((finding.value, words.title) for finding, words in WORDS.items())]
    )
    after = forms.CharField(required=False, max_length=20, widget=forms.HiddenInput)

    def clean_deployment(self) -> int | None:
        return _an_id(self.cleaned_data["deployment"], "A deployment's id is a whole number.")

    def clean_after(self) -> int | None:
        return _an_id(self.cleaned_data["after"], "A page begins after a key's id.")


def _an_id(text: str, sentence: str) -> int | None:
    found = ids.parse_id(text) if text else None
    if text and found is None:
        raise forms.ValidationError(sentence)
    return found


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose keys are looked at, and the one deployment or app that this is, where it is one."""

    keys: KeyQuerySet
    deployment_id: int | None = None
    app_id: int | None = None


@_may_view
def review(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Count the findings, and list the keys of one."""
    if has_secret(request):
        messages.error(request, NO_SECRETS_HERE)
        return HttpResponseRedirect(request.path)
    form = FilterForm(request.GET)
    context |= {"title": "Compliance", "form": form, "may_export": request.user.has_perm("apiauth.export_key")}
    if not form.is_valid():
        return TemplateResponse(request, "admin/compliance.html", context, status=400)
    try:
        context |= _found(form.cleaned_data, request)
    except OperationalError:
        return TemplateResponse(request, "admin/too_slow.html", context, status=503)
    return TemplateResponse(request, "admin/compliance.html", context)


@_may_export
def export(request: HttpRequest, context: dict[str, Any]) -> HttpResponseBase:
    """Hand out the keys of one finding, or of all, as CSV."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    form = FilterForm(request.POST)
    if not form.is_valid():
        return TemplateResponse(
            request, "admin/compliance.html", context | {"title": "Compliance", "form": form}, status=400
        )
    scope, now = _scope(form.cleaned_data), clock.now()
    lines = exports.export_compliance(
        keys=scope.keys,
        finding=_finding(form.cleaned_data),
        deployment_id=scope.deployment_id,
        app_id=scope.app_id,
        actor=staff(request),
        now=now,
    )
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="compliance-{now:%Y-%m-%d}.csv"'
    response["Cache-Control"] = "no-store, private"
    return response


def _found(values: dict[str, Any], request: HttpRequest) -> dict[str, Any]:
    """Return the counts, and a page of the keys of the finding asked for, the oldest first."""
    scope, now, finding = _scope(values), clock.now(), _finding(values)
    found = compliance.review(keys=scope.keys, now=now)
    counts = [(each, WORDS[each], found.counts[each], _query(request.GET, finding=each)) for each in Finding]
    context: dict[str, Any] = {"counts": counts, "total": found.keys, "chosen": finding, "values": values}
    if finding is None:
        return context
    rows = compliance.found_keys(keys=scope.keys, finding=finding, now=now)
    if values["after"] is not None:
        rows = rows.filter(pk__gt=values["after"])
    listed = list(rows[: ROWS + 1])
    more = _query(request.GET, finding=finding, after=str(listed[ROWS - 1].pk)) if len(listed) > ROWS else ""
    shown = [(key, getattr(key, "usage", None)) for key in listed[:ROWS]]
    return context | {"rows": shown, "more": more, "words": WORDS[finding], "remedies": remedies_of(finding, request)}


def _finding(values: dict[str, Any]) -> Finding | None:
    return Finding(values["finding"]) if values["finding"] else None


def _scope(values: dict[str, Any]) -> Scope:
    """Return the keys of the apps that are asked for; those of deleted apps let nobody in, and are left out."""
    apps = App.objects.filter(deleted_at=None)
    deployment_id: int | None = values["deployment"]
    if deployment_id is not None:
        apps = apps.filter(deployment_id=deployment_id)
    if not values["app"] and deployment_id is None:
        return Scope(Key.objects.filter(app__deleted_at=None))
    if not values["app"]:
        known = Deployment.objects.filter(pk=deployment_id or 0).exists()
        keys = Key.objects.in_deployment(deployment_id or 0).filter(app__deleted_at=None)
        return Scope(keys, deployment_id if known else None)
    named = Q(slug=values["app"]) | Q(pk=ids.parse_id(values["app"]) or 0)
    found = list(apps.filter(named).values_list("deployment_id", "pk"))
    keys = Key.objects.filter(app_id__in=[app_id for _, app_id in found])
    return Scope(keys, *found[0]) if len(found) == 1 else Scope(keys, deployment_id if found else None)


def _query(asked: QueryDict, **changes: str) -> str:
    query = asked.copy()
    query.pop("after", None)
    for name, value in changes.items():
        query[name] = value
    return query.urlencode()
