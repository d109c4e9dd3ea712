"""Tickets and sessions: who was let in, by which ticket, and how to end it."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from apiauth.admin.confirm import Deed, carry_out, door
from apiauth.admin.window import Window, badge, column, moment, seen_address, seen_user_agent, staff, when
from apiauth.core import clock
from apiauth.models import Session, Ticket
from apiauth.services import sessions

_GRANT = (
    "app",
    "deployment",
    "subject_id",
    "subject_name",
    "subject_email",
    "role",
    "permissions",
    "longest_expiry_days",
    "key_cap",
    "metadata",
    "return_url",
)


@admin.register(Ticket)
class TicketAdmin(Window):
    """Tickets; a row is kept for a day after it expires."""

    list_display = (
        "row_id",
        "app",
        "subject",
        "role",
        "status",
        "issued_by",
        when("created_at"),
        when("expires_at"),
        when("used_at"),
    )
    list_select_related = ("app",)
    search_fields = ("=id", "=subject_id", "subject_name", "=subject_email")
    fields = ("row_id", *_GRANT, "status", "issued_by", when("created_at"), when("expires_at"), when("used_at"))
    readonly_fields = fields

    @column("Subject")
    def subject(self, row: Ticket) -> str:
        return row.display_name

    @column("Status")
    def status(self, row: Ticket) -> str:
        if row.used_at:
            return badge("Used", "quiet")
        return badge("Expired", "quiet") if row.is_expired(clock.now()) else badge("Ready", "good")


@admin.register(Session)
class SessionAdmin(Window):
    """Sessions of subjects in the portal and the session API."""

    list_display = ("row_id", "app", "subject", "role", "status", "address", when("created_at"), when("last_seen_at"))
    list_select_related = ("app",)
    search_fields = ("=id", "=subject_id", "subject_name", "=subject_email")
    fields = (
        "row_id",
        *_GRANT,
        "status",
        "address",
        "called_itself",
        when("created_at"),
        when("last_seen_at"),
        when("expires_at"),
        when("ended_at"),
        "ended_reason",
    )
    readonly_fields = fields
    actions = ("end",)
    doors = ("end",)

    def has_end_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "end_session")

    @column("Subject")
    def subject(self, row: Session) -> str:
        return row.display_name

    @column("Address")
    def address(self, row: Session) -> str | None:
        return seen_address(row.client_ip, row.app.policy)

    @column("User agent")
    def called_itself(self, row: Session) -> str:
        return seen_user_agent(row.user_agent, row.app.policy)

    @column("Status")
    def status(self, row: Session) -> str:
        if row.ended_at:
            return badge("Ended", "quiet")
        return badge("Over", "quiet") if sessions.ends_at(row) <= clock.now() else badge("Open", "good")

    @door("End session…", "end")
    def end(self, request: HttpRequest, rows: "QuerySet[Session]") -> HttpResponse | None:
        return carry_out(self, request, rows, _END)


def _end(request: HttpRequest, row: Session, reason: str) -> None:
    sessions.end_session(row, reason=reason[:100], now=clock.now(), via="admin", actor=staff(request))


def _described(row: Any) -> Iterable[tuple[str, object]]:
    return (
        ("App", row.app),
        ("Subject", row.display_name),
        ("Role", row.role),
        ("Last seen", moment(row.last_seen_at)),
    )


_END = Deed(
    action="end",
    title="End sessions?",
    explanation="The next click in an ended session asks the person to come in through the product again.",
    button="End session",
    done="Ended",
    perform=_end,
    describe=_described,
)
