"""The addresses of the pages that are no plain table."""

from collections.abc import Callable
from typing import Any

from django.contrib.admin import AdminSite
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path

from apiauth.admin import compliance, decisions, finding, mass_revoke, proof, system


def urlpatterns(site: AdminSite) -> list[URLPattern]:
    """Return our pages' addresses, each behind the site's own log-in."""
    return [
        path("find/", _guarded(site, finding.find_key), name="find_key"),
        path("compliance/", _guarded(site, compliance.review), name="compliance"),
        path("compliance/export/", _guarded(site, compliance.export), name="compliance_export"),
        path("decisions/", _guarded(site, decisions.decision_list), name="decisions"),
        path("decisions/<str:request_id>/", _guarded(site, decisions.decision), name="decision"),
        path("mass-revoke/", _guarded(site, mass_revoke.begin), name="mass_revoke"),
        path("mass-revoke/<int:job_id>/", _guarded(site, mass_revoke.run), name="mass_revoke_run"),
        path("system/", _guarded(site, system.system), name="system"),
        path("verify/", _guarded(site, proof.verify_activity), name="verify_activity"),
    ]


def _guarded(site: AdminSite, page: Callable[..., HttpResponseBase]) -> Any:
    """Let staff in and nobody else; tell the page which site it belongs to."""

    def view(request: Any, **arguments: Any) -> HttpResponseBase:
        request.current_app = site.name
        return page(request, site.each_context(request), **arguments)

    return site.admin_view(view)
