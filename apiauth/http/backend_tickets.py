"""Tickets, for products' backends: the way in for one of their users."""

from typing import Any

from ninja import Router

from apiauth.core.errors import Invalid
from apiauth.http.auth import TICKETS_ISSUE, BackendAccess, BackendRequest
from apiauth.http.bodies import TICKET_TYPE, TicketCreate
from apiauth.http.idempotency import repeatable
from apiauth.http.openapi.describe import answers
from apiauth.http.wire import NewTicketJson, TicketJson, ticket_json
from apiauth.services import tickets
from apiauth.services.tickets import TicketRequest

router = Router()
_PASSED_ON = (
    "expires_in",
    "role",
    "permissions",
    "longest_expiry_days",
    "key_cap",
    "metadata",
    "return_url",
    "theme",
    "locale",
    "code_challenge",
)


@router.post("/session/tickets", auth=BackendAccess(TICKETS_ISSUE))
@answers(NewTicketJson, 404)
@repeatable
def issue_ticket(request: BackendRequest, body: TicketCreate) -> TicketJson:
    """Issue a ticket; its text is in this answer alone."""
    if body.ticket_type != TICKET_TYPE:
        raise Invalid(f"Only tickets of type {TICKET_TYPE} can be issued.", field="ticket_type")
    if not body.api_auth_app_slug:
        raise Invalid("Send api_auth_app_slug.", field="api_auth_app_slug")
    caller = request.auth
    issued = tickets.issue_ticket(
        deployment_id=caller.deployment_id, request=_wanted(body), actor=caller.actor, now=caller.now
    )
    return ticket_json(issued)


def _wanted(body: TicketCreate) -> TicketRequest:
    given = body.given()
    subject = body.subject.given() if body.subject else {}
    values: dict[str, Any] = {name: given[name] for name in _PASSED_ON if name in given}
    values |= {name: str(given[name]) for name in ("organization_id", "workspace_id") if name in given}
    return TicketRequest(
        app_slug=body.api_auth_app_slug,
        subject_id=str(subject.get("id", "")),
        subject_name=subject.get("name", ""),
        subject_email=subject.get("email", ""),
        **values,
    )
