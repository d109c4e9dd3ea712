"""Subjects, for products' backends: what to say when one of their users is gone."""

from ninja import Router

from apiauth.http.auth import BackendAccess, BackendRequest
from apiauth.http.openapi.describe import answers
from apiauth.http.prefer import may_wait
from apiauth.http.wire import RemovedSubjectJson, removed_subject_json
from apiauth.services import subjects

router = Router()


@router.delete("/api-auth/apps/{app_slug}/subjects/{path:subject_id}", auth=BackendAccess("keys:write"))
@answers(RemovedSubjectJson, 404)
@may_wait
def remove_subject(request: BackendRequest, app_slug: str, subject_id: str) -> RemovedSubjectJson:
    """End a user's sessions, and revoke their keys where the app's policy says so."""
    caller = request.auth
    departure = subjects.remove_subject(
        deployment_id=caller.deployment_id, slug=app_slug, subject_id=subject_id, actor=caller.actor, now=caller.now
    )
    return removed_subject_json(departure)
