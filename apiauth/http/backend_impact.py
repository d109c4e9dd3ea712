"""What a change to a key would block, for products' backends."""

from ninja import Router

from apiauth.core.errors import NotFound
from apiauth.core.ids import parse_id
from apiauth.http.auth import BackendAccess, BackendRequest
from apiauth.http.bodies import KeyProposal
from apiauth.http.openapi.describe import answers
from apiauth.http.wire import ImpactJson, impact_json
from apiauth.models import Key
from apiauth.services import apps, impact

router = Router()


@router.post("/api-auth/apps/{app_slug}/keys/{key_id}/impact", auth=BackendAccess("apps:read"))
@answers(ImpactJson, 404)
def preview_impact(request: BackendRequest, app_slug: str, key_id: str, body: KeyProposal) -> ImpactJson:
    """Tell what a change would have done to the key's latest calls; nothing is changed."""
    now = request.auth.now
    app = apps.find_app(deployment_id=request.auth.deployment_id, slug=app_slug)
    key = Key.objects.in_app(app.id).filter(pk=parse_id(key_id) or 0).first()
    if key is None:
        raise NotFound("This key doesn't exist, or it belongs to another app.")
    changes = body.sent()
    proposal = impact.propose(app=app, key=key, action=changes.pop("action", None), changes=changes, now=now)
    return impact_json(impact.require(key=key, proposal=proposal, now=now))
