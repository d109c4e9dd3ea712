"""The decision log for staff: every app's, a page at a time, never without a bound in time.

Django's admin cannot show a table with a composite key, and its pages would count the rows.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.db import OperationalError
from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse

from apiauth.admin.window import NO_SECRETS_HERE, has_secret
from apiauth.core import clock, ids
from apiauth.core.decision import Rule
from apiauth.models import App, Decision

ROWS = 50
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)
PERIODS = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7)}
_may_view = permission_required("apiauth.view_decision", raise_exception=True)


class FilterForm(forms.Form):
    """What to look for. All of it is in the address, so that a colleague sees the same."""

    request_id = forms.CharField(required=False, max_length=36, label="Request id")
    app = forms.CharField(required=False, max_length=64, label="App (slug or id)")
    key = forms.CharField(required=False, max_length=20, label="Key id")
    outcome = forms.ChoiceField(
        required=False,
        choices=[("", "Allowed and blocked"), ("allowed", "Allowed"), *((rule.value, rule.value) for rule in Rule)],
    )
    period = forms.ChoiceField(
        required=False, choices=[("1h", "Last hour"), ("24h", "Last 24 hours"), ("7d", "Last 7 days")]
    )
    before = forms.CharField(required=False, max_length=36, widget=forms.HiddenInput)

    def clean_request_id(self) -> UUID | None:
        return _request_id(self.cleaned_data["request_id"])

    def clean_before(self) -> UUID | None:
        return _request_id(self.cleaned_data["before"])

    def clean_key(self) -> int | None:
        text = self.cleaned_data["key"]
        if text and not (text.isascii() and text.isdecimal() and int(text) < 2**63):
            raise forms.ValidationError("A key's id is a whole number.")
        return int(text) if text else None


def _request_id(text: str) -> UUID | None:
    """Return a request id's UUID; the form says which where it is none."""
    found = _known(text.strip()) if text.strip() else None
    if text.strip() and found is None:
        raise forms.ValidationError("A request id is req_ and 32 hexadecimal digits.")
    return found


def _known(text: str) -> UUID | None:
    """Return a request id's UUID, or None where it is none of ours: its time has to be one."""
    found = ids.parse_request_id(text)
    return found if found and ids.decision_time_ms(found) < clock.to_ms(_LATEST) else None


@dataclass(frozen=True, slots=True)
class Row:
    """A decision with the name of its app."""

    decision: Decision
    app: str

    @property
    def request_id(self) -> str:
        return ids.request_id(self.decision.id)


@_may_view
def decision_list(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Show a page of decisions, the newest first; a request id goes straight to its decision."""
    if has_secret(request):
        messages.error(request, NO_SECRETS_HERE)
        return HttpResponseRedirect(request.path)
    form = FilterForm(request.GET)
    if not form.is_valid():
        return _page(request, context, form, status=400)
    if form.cleaned_data["request_id"]:
        return redirect("admin:decision", request_id=ids.request_id(form.cleaned_data["request_id"]))
    try:
        found = list(_filtered(form.cleaned_data, clock.now())[: ROWS + 1])
    except OperationalError:
        return TemplateResponse(request, "admin/too_slow.html", context, status=503)
    context["rows"] = _with_apps(found[:ROWS])
    if len(found) > ROWS:
        older = request.GET.copy()
        older["before"] = ids.request_id(found[ROWS - 1].id)
        context["older"] = older.urlencode()
    return _page(request, context, form)


def _page(request: HttpRequest, context: dict[str, Any], form: FilterForm, status: int = 200) -> HttpResponse:
    context |= {"title": "Decisions", "form": form}
    return TemplateResponse(request, "admin/decisions.html", context, status=status)


def _filtered(values: dict[str, Any], now: datetime) -> Any:
    """Return the decisions that are asked for: always within a period, so that few partitions are read."""
    rows = Decision.objects.filter(decided_at__gte=now - PERIODS[values["period"] or "1h"])
    if before := values["before"]:
        moment = clock.from_ms(ids.decision_time_ms(before))
        rows = rows.filter(Q(decided_at__lt=moment) | Q(decided_at=moment, id__lt=before))
    if values["app"]:
        rows = rows.filter(app_id__in=_apps_called(values["app"]))
    if values["key"]:
        rows = rows.filter(key_id=values["key"])
    if values["outcome"]:
        rows = rows.filter(allowed=True) if values["outcome"] == "allowed" else rows.filter(rule=values["outcome"])
    return rows.select_related("key_name").order_by("-decided_at", "-id")


def _apps_called(text: str) -> list[int]:
    named = Q(slug=text)
    if text.isascii() and text.isdecimal() and len(text) < 19:
        named |= Q(pk=int(text))
    return list(App.objects.filter(named).values_list("pk", flat=True))


def _with_apps(decisions: list[Decision]) -> list[Row]:
    names = dict(App.objects.filter(pk__in={one.app_id for one in decisions}).values_list("pk", "name"))
    return [Row(one, names.get(one.app_id, "no app")) for one in decisions]


@_may_view
def decision(request: HttpRequest, context: dict[str, Any], request_id: str) -> HttpResponse:
    """Show everything that was recorded of one decision."""
    found_id = _known(request_id)
    if found_id is None:
        raise Http404
    moment = clock.from_ms(ids.decision_time_ms(found_id))
    row = Decision.objects.filter(decided_at=moment, id=found_id).select_related("key_name", "node").first()
    context |= {"title": request_id, "facts": _facts(row) if row else [], "row": row}
    return TemplateResponse(request, "admin/decision.html", context, status=200 if row else 404)


def _facts(row: Decision) -> list[tuple[str, object, str]]:
    """Return every column as (name, value, link); the deployment is that of the app, where there is one."""
    links = {
        "app_id": "apiauth_app_change",
        "key_id": "apiauth_key_change",
        "deployment_id": "apiauth_deployment_change",
    }
    if row.app_id:
        row.deployment_id = App.objects.filter(pk=row.app_id).values_list("deployment_id", flat=True).first()
    facts = []
    for field in row._meta.concrete_fields:
        value = getattr(row, field.name)
        link = reverse(f"admin:{links[field.name]}", args=[value]) if value and field.name in links else ""
        facts.append((field.name, _shown(value), link))
    return facts


def _shown(value: object) -> object:
    if value is None:
        return "-"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
