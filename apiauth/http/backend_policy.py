"""What a policy would do to an app's keys, for products' backends."""

from datetime import datetime
from typing import Annotated

from ninja import Router

from apiauth.audit import cursors
from apiauth.core.policy import read_policy
from apiauth.http.auth import BackendAccess, BackendRequest
from apiauth.http.bodies import PolicyProposal
from apiauth.http.openapi.describe import answers
from apiauth.http.value_types import clamped_number
from apiauth.http.values import clamped, moment
from apiauth.http.wire import PolicyImpactJson, policy_impact_json
from apiauth.services import apps, policies

router = Router()
_MOST_KEYS = 1000
_SALT = "apiauth.http.backend_policy"


@router.post("/api-auth/apps/{app_slug}/policy/impact", auth=BackendAccess("apps:read"))
@answers(PolicyImpactJson, 404)
def preview_policy(
    request: BackendRequest,
    app_slug: str,
    body: PolicyProposal,
    limit: Annotated[str, clamped_number(1, _MOST_KEYS, default=100)] | None = None,
    cursor: str | None = None,
) -> PolicyImpactJson:
    """List the keys that a policy would touch, newest first, and count them; nothing is changed."""
    app = apps.find_app(deployment_id=request.auth.deployment_id, slug=app_slug)
    policy, sent = read_policy(body.policy), body.policy_applies_at
    applies_at = moment(sent, "policy_applies_at") if sent is not None else None
    size, asked = clamped(limit, "limit", default=100, least=1, most=_MOST_KEYS), (app.id, policy, applies_at)
    before, now = _read(cursor, asked) if cursor else (None, request.auth.now)
    impact = policies.preview(app, policy, applies_at=applies_at, now=now)
    found = list(impact.keys(size + 1, before=before))
    page = found[:size]
    next_cursor = _cursor(page[-1].key.id, now, asked) if len(found) > size else None
    return policy_impact_json(impact, page, limit=size, next_cursor=next_cursor)


def _cursor(last: int, now: datetime, asked: object) -> str:
    """Return a cursor with the moment of the first page in it, so that all pages tell of the same one."""
    return cursors.write([str(last), now.isoformat()], of=asked, salt=_SALT)


def _read(cursor: str, asked: object) -> tuple[int, datetime]:
    last, now = cursors.read(cursor, of=asked, salt=_SALT)
    return int(last), datetime.fromisoformat(now)
