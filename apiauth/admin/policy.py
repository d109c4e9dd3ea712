"""The page on which staff read an app's policy as a matrix, try another on its keys, and put it in force."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect

from apiauth.admin import in_force
from apiauth.admin.window import moment, staff
from apiauth.core import clock
from apiauth.core.errors import KeysteadError
from apiauth.core.ids import parse_id
from apiauth.core.policy import ExpiryMode, Policy, RotationMode, WhenOverdue, read_policy
from apiauth.core.policy_words import MEANINGS
from apiauth.core.roles import PRESETS, Action, Authority, Role, may, preset_name
from apiauth.core.scope import Scope
from apiauth.models import App
from apiauth.services import policies

MOST_LISTED = 50
OWN_MATRIX = "custom"
_CHOICES: dict[str, type[StrEnum]] = {
    "scope.model": Scope,
    "expiry.mode": ExpiryMode,
    "rotation.mode": RotationMode,
    "rotation.when_overdue": WhenOverdue,
}
_FLAGS = ("scope.keys_outlive_creator", "audit.staff_see_addresses", "audit.staff_see_user_agents")
_PLACES = [place for place in MEANINGS if "." in place and place != "rotation.enforced_from"]


@dataclass(frozen=True, slots=True)
class Line:
    """One action of the matrix: what it means, and which roles reach it."""

    meaning: str
    reached: list[bool]


def matrix(authority: Authority) -> list[Line]:
    """Return the matrix of action and role."""
    return [Line(MEANINGS[f"authority.{action}"], [may(authority, role, action) for role in Role]) for action in Action]


class PolicyForm(forms.Form):
    """Every place of the document as a field, checked by the policy's own rules."""

    preset = forms.ChoiceField(
        label="Who may do what",
        choices=[*((name, name.replace("_", " ").capitalize()) for name in PRESETS), (OWN_MATRIX, "As chosen below")],
    )
    applies_at = forms.DateTimeField(
        required=False,
        label="Applies to existing keys from (UTC)",
        help_text="At most a year ahead. Needed where keys are affected. No key ends or falls due before.",
    )

    def __init__(self, data: Any, *, app: App) -> None:
        document = app.policy.document()
        initial: dict[str, Any] = {"preset": preset_name(app.policy.authority) or OWN_MATRIX}
        for place in _PLACES:
            part, _, name = place.partition(".")
            initial[place] = document[part][name]
        super().__init__(data, initial=initial)
        self.fields.update({place: _field(place) for place in _PLACES})
        self._present: Policy = app.policy

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                values["policy"] = read_policy(self._document(values))
            except KeysteadError as refusal:
                place = (refusal.field or "").removeprefix("policy.")
                self.add_error(place if place in self.fields else None, refusal.message)
        return values

    def refuse(self, refusal: KeysteadError) -> None:
        """Show at its field why the policy is not taken."""
        self.add_error("applies_at" if refusal.field == "policy_applies_at" else None, refusal.message)

    def _document(self, values: dict[str, Any]) -> dict[str, Any]:
        document: dict[str, Any] = {part: {} for part in self._present.document()}
        for place in _PLACES:
            part, _, name = place.partition(".")
            document[part][name] = values[place]
        if values["preset"] != OWN_MATRIX:
            document["authority"] = values["preset"]
        if document["rotation"]["grace_days"] is None:
            document["rotation"]["grace_days"] = 0
        if document["revocation"]["undo_minutes"] is None:
            document["revocation"]["undo_minutes"] = 0
        return document

    def parts(self) -> Iterator[tuple[str, list[forms.BoundField]]]:
        """Yield the fields by part of the document, each under what it is about."""
        for part in self._present.document():
            fields = [self[place] for place in _PLACES if place.startswith(f"{part}.")]
            yield MEANINGS[part].rstrip("."), ([self["preset"]] if part == "authority" else []) + fields


def _field(place: str) -> forms.Field:
    label, words = place.partition(".")[2].replace("_", " ").capitalize(), MEANINGS[place].replace("`", "")
    choices = Role if place.startswith("authority.") else _CHOICES.get(place)
    if choices is not None:
        return forms.ChoiceField(label=label, help_text=words, choices=[(each.value, each.value) for each in choices])
    if place in _FLAGS:
        return forms.BooleanField(label=label, help_text=words, required=False)
    return forms.IntegerField(label=label, help_text=words, required=False)


class PolicyPage:
    """The page of one app's policy; an app's window has its address."""

    admin_site: admin.AdminSite
    opts: Any

    @method_decorator(csrf_protect)
    def policy_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the policy, preview another one, or put it in force."""
        app = App.objects.filter(pk=int(object_id), deleted_at=None).select_related("deployment").first()
        if app is None:
            raise Http404
        changes = request.user.has_perm("apiauth.change_app")
        if not (changes or (request.method == "GET" and request.user.has_perm("apiauth.view_app"))):
            raise PermissionDenied
        now = clock.now()
        form = PolicyForm(request.POST or None, app=app)
        preview = self._preview(app, form, now, request.POST.get("_older", "")) if form.is_valid() else None
        if preview is not None and "_set" in request.POST and self._set(request, app, form, now):
            return HttpResponseRedirect(reverse("admin:apiauth_app_change", args=[app.pk]))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Policy of {app}",
            "opts": self.opts,
            "app": app,
            "form": form,
            "preview": preview,
            "roles": list(Role),
            "matrix": matrix(form.cleaned_data["policy"].authority if preview else app.policy.authority),
            "version": app.updated_at.isoformat(),
            "may_change": changes,
        }
        return TemplateResponse(request, "admin/policy.html", context, status=422 if form.errors else 200)

    def _preview(self, app: App, form: PolicyForm, now: datetime, older: str) -> dict[str, Any] | None:
        """Return a page of the keys that the policy would touch, or None where its moment is refused.

        `older` is the id of the last key of the page before, if it is one.
        """
        values, before = form.cleaned_data, parse_id(older)
        try:
            impact = policies.preview(app, values["policy"], applies_at=values["applies_at"], now=now)
        except KeysteadError as refusal:
            form.refuse(refusal)
            return None
        count, found = impact.count(), list(impact.keys(MOST_LISTED + 1, before=before))
        page, has_more = found[:MOST_LISTED], len(found) > MOST_LISTED
        which = "older ones" if before else "the newest"
        return {
            "count": f"{count:,}",
            "given_back": impact.given_back,
            "part": f"{len(page)} of {count:,}, {which}" if len(page) < count else "",
            "keys": [(affected.key, moment(affected.ends_at), moment(affected.due_at)) for affected in page],
            "older": str(page[-1].key.pk) if has_more else "",
        }

    def _set(self, request: HttpRequest, app: App, form: PolicyForm, now: datetime) -> bool:
        """Put the policy in force unless it, or the app meanwhile, is refused."""
        values = form.cleaned_data
        try:
            policies.set_policy(
                deployment_id=app.deployment_id,
                slug=app.slug,
                policy=values["policy"],
                applies_at=values["applies_at"],
                actor=staff(request),
                now=now,
                seen=[app.updated_at] if request.POST.get("version") == app.updated_at.isoformat() else [],
            )
        except KeysteadError as refusal:
            form.refuse(refusal)
            return False
        messages.success(request, f"The policy of {app} is set.")
        in_force.tell(request)
        return True
