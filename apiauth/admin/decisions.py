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

from apiauth.admin.window import NO_SECRETS_HERE, has_secret, seen_address, seen_user_agent
from apiauth.audit.search import DecisionFilters, DecisionRow, Page, decisions, decisions_of_apps
from apiauth.core import clock, ids
from apiauth.core.decision import METHODS, Rule
from apiauth.models import App, Decision, Key

ROWS = 50
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
IN_ONE_APP = ("method", "path", "address")
PERIODS = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7)}
_may_view = permission_required("apiauth.view_decision", raise_exception=True)


def _moment_input() -> forms.DateTimeInput:
    return forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


class FilterForm(forms.Form):
    """What to look for. All of it is in the address, so that a colleague sees the same."""

    request_id = forms.CharField(required=False, max_length=36, label="Request id")
    app = forms.CharField(required=False, max_length=64, label="App (slug or id)")
    key = forms.CharField(required=False, max_length=20, label="Key id")
    outcome = forms.ChoiceField(
        required=False,
        choices=[("", "Allowed and blocked"), ("allowed", "Allowed"), *((rule.value, rule.value) for rule in Rule)],
    )
    method = forms.ChoiceField(
        required=False, choices=[("", "Every method"), *((each, each) for each in sorted(METHODS))]
    )
    path = forms.CharField(required=False, max_length=500, label="Path begins with")
    address = forms.GenericIPAddressField(required=False, unpack_ipv4=True)
    period = forms.ChoiceField(
        required=False, choices=[("1h", "Last hour"), ("24h", "Last 24 hours"), ("7d", "Last 7 days")]
    )
    since = forms.DateTimeField(required=False, label="From (UTC)", widget=_moment_input())
    until = forms.DateTimeField(required=False, label="To (UTC)", widget=_moment_input())
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

    def clean_since(self) -> datetime | None:
        return _within_calendar(self.cleaned_data["since"])

    def clean_until(self) -> datetime | None:
        return _within_calendar(self.cleaned_data["until"])

    def clean(self) -> dict[str, Any]:
        """Ask for an app where only its own rows can be looked through: no index leads to these in all apps."""
        values = self.cleaned_data
        if not (values.get("app") or values.get("key") or "app" in self.errors or "key" in self.errors):
            for name in IN_ONE_APP:
                if values.get(name):
                    self.add_error(name, "Say in which app, or of which key: this is looked for in one app at a time.")
        return values


def _within_calendar(moment: datetime | None) -> datetime | None:
    if moment is not None and not _EARLIEST <= moment < _LATEST:
        raise forms.ValidationError("There are no decisions of that time.")
    return moment


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
    apps = _apps_asked_for(form.cleaned_data)
    if form.cleaned_data["address"] and _are_addresses_hidden(apps):
        form.add_error("address", "The policy of this app keeps whole addresses from staff.")
        return _page(request, context, form, status=403)
    if apps is not None and len(apps) > 1 and any(form.cleaned_data[name] for name in IN_ONE_APP):
        form.add_error("app", "Several apps have this slug: give the id of one.")
        return _page(request, context, form, status=400)
    since = _since(form.cleaned_data)
    try:
        found = _found(form.cleaned_data, apps, since)
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


def _since(values: dict[str, Any]) -> datetime:
    """Return where the period begins: at the moment that was said, else so long before its end."""
    if values["since"]:
        return values["since"]  # type: ignore[no-any-return]  # a form's values have no types
    return min(values["until"] or clock.now(), clock.now()) - PERIODS[values["period"] or "1h"]


def _are_addresses_hidden(app_ids: list[int] | None) -> bool:
    """Tell whether staff see no whole addresses in one of these apps: looking for one would tell of it."""
    apps = App.objects.only("policy").filter(pk__in=app_ids or ())
    return not all(app.policy.audit.staff_see_addresses for app in apps)


def _found(values: dict[str, Any], app_ids: list[int] | None, since: datetime) -> Page:
    """Return the decisions that are asked for: always within a period, so that few partitions are read."""
    outcome = values["outcome"]
    filters = DecisionFilters(
        outcome="allowed" if outcome == "allowed" else None,
        rule=outcome if outcome not in ("", "allowed") else None,
        key_id=values["key"],
        method=values["method"] or None,
        path_prefix=values["path"] or None,
        client_ip=values["address"] or None,
        start=since,
        end=values["until"],
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
        row.user_agent = seen_user_agent(row.user_agent, app.policy)
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
