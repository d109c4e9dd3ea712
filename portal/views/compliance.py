"""Which keys deserve a look, and why; and the same as a file."""

from django.http import HttpResponse, StreamingHttpResponse

from apiauth.core.roles import Action
from apiauth.services import exports
from portal import compliance_page
from portal.render import download, page_or_part
from portal.session import PortalRequest, also_allowed, portal_view


@portal_view(action=Action.SEE_COMPLIANCE)
def review(request: PortalRequest) -> HttpResponse:
    """Count the findings, and list the keys of one."""
    context = compliance_page.contents(request)
    context |= {"section": "compliance", "now": request.now, "rights": request.rights, "session_id": request.session_id}
    parts = {"compliance": "portal/_compliance.html"}
    return page_or_part(request, "portal/compliance.html", parts, context)


@portal_view(action=Action.EXPORT, methods=("POST",))
@also_allowed(Action.SEE_COMPLIANCE)
def export(request: PortalRequest) -> StreamingHttpResponse:
    """Hand out the keys of one finding, or of all, as CSV."""
    lines = exports.export_compliance(
        keys=compliance_page.keys_of(request),
        finding=compliance_page.finding_named(request.POST.get("finding", "")),
        deployment_id=request.app.deployment_id,
        app_id=request.app.pk,
        actor=request.actor,
        now=request.now,
    )
    return download(lines, f"compliance-{request.app.slug}-{request.now:%Y-%m-%d}.csv", "text/csv; charset=utf-8")
