"""Rate-limit schemes, for products' backends."""

from django.http import HttpResponse
from ninja import Router

from apiauth.http.auth import BackendAccess, BackendRequest
from apiauth.http.bodies import SchemeCreate, SchemeUpdate
from apiauth.http.etags import etag, seen
from apiauth.http.idempotency import repeatable
from apiauth.http.openapi.describe import answers, reads_header
from apiauth.http.openapi.links import SCHEME_LINKS
from apiauth.http.prefer import may_wait
from apiauth.http.wire import ChangedSchemeJson, NewSchemeJson, SchemeJson, SchemeListJson, scheme_json
from apiauth.models import RateLimitScheme
from apiauth.services import limits

router = Router()


@router.get("/api-auth/rate-limit-schemes", auth=BackendAccess("apps:read"))
@answers(SchemeListJson)
def list_schemes(request: BackendRequest) -> SchemeListJson:
    """List the deployment's schemes by slug."""
    rows = RateLimitScheme.objects.in_deployment(request.auth.deployment_id).order_by("slug")
    schemes = [scheme_json(row) for row in rows]
    return {"schemes": schemes, "total": len(schemes)}


@router.post("/api-auth/rate-limit-schemes", auth=BackendAccess("apps:write"))
@answers(NewSchemeJson, links=SCHEME_LINKS)
@repeatable
def create_scheme(request: BackendRequest, body: SchemeCreate) -> SchemeJson:
    """Make a scheme."""
    caller = request.auth
    row = limits.create_scheme(deployment_id=caller.deployment_id, **body.given(), actor=caller.actor, now=caller.now)
    return scheme_json(row)


@router.get("/api-auth/rate-limit-schemes/{slug}", auth=BackendAccess("apps:read"))
@answers(SchemeJson, 404, headers=["ETag"])
def get_scheme(request: BackendRequest, slug: str, response: HttpResponse) -> SchemeJson:
    """Show one scheme."""
    row = limits.find_scheme(deployment_id=request.auth.deployment_id, slug=slug)
    response["ETag"] = etag(row.updated_at)
    return scheme_json(row)


@router.patch("/api-auth/rate-limit-schemes/{slug}", auth=BackendAccess("apps:write"))
@answers(ChangedSchemeJson, 404, 412, headers=["ETag"])
@reads_header("If-Match")
@may_wait
def update_scheme(request: BackendRequest, slug: str, body: SchemeUpdate, response: HttpResponse) -> SchemeJson:
    """Change the fields that were sent, with `If-Match` only what the caller has seen; `rules` replaces all rules."""
    caller = request.auth
    row = limits.update_scheme(
        deployment_id=caller.deployment_id,
        slug=slug,
        changes=body.sent(),
        actor=caller.actor,
        now=caller.now,
        seen=seen(request),
    )
    response["ETag"] = etag(row.updated_at)
    return scheme_json(row)


@router.delete("/api-auth/rate-limit-schemes/{slug}", auth=BackendAccess("apps:write"))
@answers(None, 404, status=204)
def delete_scheme(request: BackendRequest, slug: str) -> HttpResponse:
    """Delete a scheme that no app uses."""
    caller = request.auth
    limits.delete_scheme(deployment_id=caller.deployment_id, slug=slug, actor=caller.actor, now=caller.now)
    return HttpResponse(status=204)
