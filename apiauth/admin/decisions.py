"""The decision log for staff: every app's, a page at a time, never without a bound in time.

Django's admin cannot show a table with a composite key, and its pages would count the rows.
"""

import json
from dataclasses import dataclass, replace
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

from apiauth.admin.window import NO_SECRETS_HERE, has_secret, seen_address
from apiauth.audit.search import DecisionFilters, DecisionRow, Page, decisions, decisions_of_apps
from apiauth.core import clock, ids
from apiauth.core.decision import Rule
from apiauth.models import App, Decision, Key

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

    decision: DecisionRow
    app: str


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
    since = clock.now() - PERIODS[form.cleaned_data["period"] or "1h"]
    try:
        found = _found(form.cleaned_data, since)
    except OperationalError:
        return TemplateResponse(request, "admin/too_slow.html", context, status=503)
    context |= {"rows": _with_apps(found.rows), "since": since, "stopped_early": found.last and len(found.rows) < ROWS}
    if found.last:
        older = request.GET.copy()
        older["before"] = ids.request_id(found.last)
        context["older"] = older.urlencode()
    return _page(request, context, form)


def _page(request: HttpRequest, context: dict[str, Any], form: FilterForm, status: int = 200) -> HttpResponse:
    context |= {"title": "Decisions", "form": form}
    return TemplateResponse(request, "admin/decisions.html", context, status=status)


def _found(values: dict[str, Any], since: datetime) -> Page:
    """Return the decisions that are asked for: always within a period, so that few partitions are read."""
    outcome, app_ids = values["outcome"], _apps_asked_for(values)
    filters = DecisionFilters(
        outcome="allowed" if outcome == "allowed" else None,
        rule=outcome if outcome not in ("", "allowed") else None,
        key_id=values["key"],
        start=since,
    )
    if app_ids is not None and len(app_ids) == 1:
        return decisions(app_id=app_ids[0], filters=filters, after=values["before"], limit=ROWS)
    return decisions_of_apps(app_ids=app_ids, filters=filters, after=values["before"], limit=ROWS)


def _apps_asked_for(values: dict[str, Any]) -> list[int] | None:
    """Return the apps that decisions are asked of: those of the name, or that of the key; None is all."""
    called = _apps_called(values["app"]) if values["app"] else None
    if values["key"] is None:
        return called
    of_key = list(Key.objects.filter(pk=values["key"]).values_list("app_id", flat=True))
    return of_key if called is None else [app_id for app_id in of_key if app_id in called]


def _apps_called(text: str) -> list[int]:
    named = Q(slug=text)
    if text.isascii() and text.isdecimal() and len(text) < 19:
        named |= Q(pk=int(text))
    return list(App.objects.filter(named).values_list("pk", flat=True))


def _with_apps(rows: list[DecisionRow]) -> list[Row]:
    apps = App.objects.only("name", "policy").in_bulk({row.app_id for row in rows})
    return [_row(row, apps.get(row.app_id)) for row in rows]


def _row(row: DecisionRow, app: App | None) -> Row:
    if app is None:
        return Row(row, "no app")
    return Row(replace(row, client_ip=seen_address(row.client_ip, app.policy)), app.name)


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
    app = App.objects.filter(pk=row.app_id).first()
    if app is not None:
        row.deployment_id = app.deployment_id
        row.client_ip, row.peer_ip = (seen_address(each, app.policy) for each in (row.client_ip, row.peer_ip))
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
