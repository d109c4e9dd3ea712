"""The pages on which staff revoke all keys that fit a filter, as after a leak: try it, begin, watch it end."""

import json
from typing import Any

from django import forms
from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters

from apiauth.admin import in_force
from apiauth.admin.keys import TONES
from apiauth.admin.window import badge, moment, staff
from apiauth.core import clock
from apiauth.core.errors import KeysteadError
from apiauth.core.key_filter import KeyFilter, read_filter
from apiauth.models import App, Deployment, MassRevoke
from apiauth.services import mass_revoke, propagation

REFRESH_SECONDS = 2
_may_revoke = permission_required("apiauth.revoke_key", raise_exception=True)


class FilterForm(forms.Form):
    """Which keys, and why. Keys have to fit everything that is filled in."""

    deployment_id = forms.ModelChoiceField(Deployment.objects.order_by("name"), required=False, label="Deployment")
    app_id = forms.ModelChoiceField(
        App.objects.select_related("deployment").order_by("name"), required=False, label="App"
    )
    key_prefix = forms.CharField(required=False, max_length=32, label="Keys that begin with")
    created_after = forms.DateTimeField(required=False, label="Made from (UTC)")
    created_before = forms.DateTimeField(required=False, label="Made before (UTC)")
    user_id = forms.CharField(required=False, max_length=200, label="Belonging to user")
    created_by = forms.CharField(required=False, max_length=200, label="Made by", help_text="A name or an id.")
    permission = forms.CharField(required=False, max_length=100, label="Holding the permission")
    last_used_from = forms.CharField(
        required=False, max_length=50, label="Last used from", help_text="An address range, such as 203.0.113.0/24."
    )
    keys = forms.CharField(
        required=False,
        label="One of these keys",
        help_text="Ids or last four characters, one a line. Never a whole secret.",
        widget=forms.Textarea(attrs={"rows": 4, "autocomplete": "off", "spellcheck": "false"}),
    )
    reason = forms.CharField(
        required=False, max_length=500, label="Reason", help_text="Needed to begin. Customers can read it."
    )

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                values["filter"] = read_filter(_filter_values(values))
                mass_revoke.require_seen_by_staff(values["filter"])
            except KeysteadError as refusal:
                self.add_error(refusal.field if refusal.field in self.fields else None, refusal.message)
        return values


def _filter_values(values: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in values.items() if name != "reason"}
    for name in ("deployment_id", "app_id"):
        given[name] = given[name].pk if given[name] else None
    return {**given, "keys": given["keys"].split()}


@sensitive_post_parameters("keys")
@_may_revoke
def begin(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Show what a filter finds, or begin to revoke it; the first keys are ended before the answer."""
    form = FilterForm(request.POST or None)
    if form.is_valid():
        wanted = form.cleaned_data["filter"]
        if "_begin" in request.POST and (job := _begin(request, form, wanted)):
            return HttpResponseRedirect(reverse("admin:mass_revoke_run", args=[job.pk]))
        context["seen"] = json.dumps(wanted.document())
        context["found"] = found = mass_revoke.try_out(wanted, now=clock.now())
        context["rows"] = [(key, badge(*TONES[key.status(clock.now())])) for key in found.sample]
    context |= {"title": "Revoke many keys", "form": form, "runs": MassRevoke.objects.order_by("-id")[:10]}
    response = TemplateResponse(request, "admin/mass_revoke.html", context, status=422 if form.errors else 200)
    response["Cache-Control"] = "no-store, private"
    return response


def _begin(request: HttpRequest, form: FilterForm, wanted: KeyFilter) -> MassRevoke | None:
    if request.POST.get("seen") != json.dumps(wanted.document()):
        form.add_error(None, "Look first at what this finds: it is not what you looked at last.")
        return None
    try:
        job = mass_revoke.start(wanted, reason=form.cleaned_data["reason"], actor=staff(request), now=clock.now())
    except KeysteadError as refusal:
        form.add_error(refusal.field if refusal.field in form.fields else None, refusal.message)
        return None
    mass_revoke.run_batch(job, now=clock.now())
    return job


@_may_revoke
def run(request: HttpRequest, context: dict[str, Any], job_id: int) -> HttpResponse:
    """Show how far a run is, again every two seconds until it is over; a POST ends the next keys itself."""
    job = MassRevoke.objects.select_related("app", "deployment").filter(pk=job_id).first()
    if job is None:
        raise Http404
    if request.method == "POST":
        mass_revoke.run_batch(job, now=clock.now())
        return HttpResponseRedirect(request.path)
    progress = mass_revoke.progress(job, now=clock.now())
    done = progress.found - progress.left
    context |= {"title": f"Revoke of {job.found} keys", "job": job, "progress": progress, "done": done}
    context |= {"began": moment(job.started_at), "ended": moment(job.finished_at)}
    if progress.is_finished:
        context["propagation"] = propagation.of_all_so_far(in_force.WAIT_SECONDS)
    response = TemplateResponse(request, "admin/mass_revoke_run.html", context)
    if not progress.is_finished:
        response["Refresh"] = str(REFRESH_SECONDS)
    return response
