"""What a change to a key would block, for a product's own pages."""

from typing import Any

from ninja import Router

from apiauth.core.ids import parse_id
from apiauth.core.roles import Action, actions_of_edit
from apiauth.http.auth import SessionAccess, SessionRequest
from apiauth.http.forms import read_form
from apiauth.http.openapi.describe import answers, reads_form, reads_header
from apiauth.http.session_forms import KEY_LISTS, ImpactForm
from apiauth.http.strict_json import parse_list
from apiauth.http.wire import BrowserImpactJson, EnvelopeJson, browser_impact_json, envelope
from apiauth.models import Key
from apiauth.services import impact, sessions
from apiauth.services.impact import Deed

router = Router()
_DEEDS: dict[str, Action] = {Deed.REVOKE: Action.REVOKE_OWN, Deed.DISABLE: Action.DISABLE_OWN}


@router.post("/api-auth/keys/{key_id}/impact", auth=SessionAccess())
@answers(EnvelopeJson[BrowserImpactJson], 404)
@reads_form(ImpactForm)
@reads_header("Origin")
def preview_impact(request: SessionRequest, key_id: str) -> EnvelopeJson[BrowserImpactJson]:
    """Tell what a change would have done to the key's latest calls; it takes what the change itself takes."""
    caller, form = request.auth, read_form(request, lists=KEY_LISTS)
    changes: dict[str, Any] = {
        name: [text for text in request.POST.getlist(name) if text] for name in KEY_LISTS if name in form
    }
    if "limits" in form:
        changes["limits"] = parse_list(form["limits"], "limits")
    action = form.get("action")
    key = _key(request, key_id, *_taken(action, changes))
    proposal = impact.propose(app=caller.app, key=key, action=action, changes=changes, now=caller.now)
    found = impact.require(key=key, proposal=proposal, now=caller.now)
    may_see = sessions.may(caller.session, Action.SEE_ADDRESSES)
    return envelope(browser_impact_json(found, with_addresses=may_see))


def _taken(action: str | None, changes: dict[str, Any]) -> list[Action]:
    """Return what a proposal takes. To try addresses out would tell who called, so that takes seeing them."""
    taken = [Action.SEE]
    if action in _DEEDS:
        taken.append(_DEEDS[action])
    taken += actions_of_edit(changes)
    return [*taken, Action.SEE_ADDRESSES] if "allowed_cidrs" in changes else taken


def _key(request: SessionRequest, key_id: str, *actions: Action) -> Key:
    """Return the key. Raises NotFound outside the session's scope, NotAllowed beyond its role."""
    caller, number = request.auth, parse_id(key_id) or 0
    for action in actions:
        key = sessions.find_key(caller.session, number, action, is_change=False, actor=caller.actor, now=caller.now)
    return key
