"""Keys: looked at, disabled, enabled and revoked; made by customers and the API alone."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html

from apiauth.admin.confirm import Deed, carry_out, door
from apiauth.admin.in_force import GatewayWindow
from apiauth.admin.window import badge, column, link, moment, mono, staff, when
from apiauth.core import clock, permission_words, resource_words
from apiauth.core.key_limits import load_key_rules
from apiauth.core.limit_words import in_one_line
from apiauth.models import DecisionRollup, Key, KeyStatus, KeyUsage
from apiauth.services import keys
from apiauth.services.impact import preview
from apiauth.services.impact_words import Addresses, Breakage, breakage
from apiauth.verify.replay import Proposal

TONES = {
    KeyStatus.ACTIVE: ("Active", "good"),
    KeyStatus.IN_GRACE: ("In grace", "warn"),
    KeyStatus.DISABLED: ("Disabled", "warn"),
    KeyStatus.EXPIRED: ("Expired", "quiet"),
    KeyStatus.ROTATED_OUT: ("Rotated out", "quiet"),
    KeyStatus.REVOKED: ("Revoked", "bad"),
}


class StatusFilter(admin.SimpleListFilter):
    """What a key is now, and what deserves a look."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("active", "Active"),
            ("in_grace", "In grace"),
            ("ends_7", "Ends within 7 days"),
            ("disabled", "Disabled"),
            ("expired", "Expired"),
            ("revoked", "Revoked"),
        ]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        condition = _states(clock.now()).get(self.value() or "")
        return queryset.filter(condition) if condition is not None else queryset


def _states(now: datetime) -> dict[str, Q]:
    unended = Q(revoked_at=None, disabled_at=None) & (Q(overlap_ends_at=None) | Q(overlap_ends_at__gt=now))
    works = unended & (Q(expires_at=None) | Q(expires_at__gt=now))
    week = now + timedelta(days=7)
    return {
        "active": works & Q(replaced_by=None),
        "in_grace": works & Q(replaced_by__isnull=False),
        "ends_7": works & (Q(expires_at__lte=week) | Q(overlap_ends_at__lte=week)),
        "disabled": Q(revoked_at=None, disabled_at__isnull=False),
        "expired": unended & Q(expires_at__lte=now),
        "revoked": Q(revoked_at__isnull=False),
    }


@admin.register(Key)
class KeyAdmin(GatewayWindow):
    """Keys, without anything that could be used as one."""

    change_list_template = "admin/key_list.html"
    list_display = ("name", "ending", "app_link", "status", "last_used", "ends", "created_by", when("created_at"))
    list_select_related = ("app",)
    list_filter = (StatusFilter,)
    search_fields = ("name", "=key_suffix")
    fields = (
        "name",
        "ending",
        "status",
        "app_link",
        "deployment",
        "note",
        "held",
        "allowed_cidrs",
        "bound_to",
        "own_limits",
        "metadata",
        "last_used",
        "requests",
        when("expires_at"),
        when("overlap_ends_at"),
        "successor",
        when("disabled_at"),
        when("revoked_at"),
        "revoked_reason",
        "revoked_by",
        "created_by",
        when("created_at"),
        "in_force",
        "trail",
    )
    readonly_fields = fields
    actions = ("disable", "enable", "revoke", "undo")
    doors = ("disable", "enable", "revoke", "undo")

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        rows: QuerySet[Any] = super().get_queryset(request).annotate(**_figures())
        return rows

    def has_disable_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "disable_key")

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "revoke_key")

    def fits(self, row: Key, action: str) -> bool:
        now = clock.now()
        undo = row.app.policy.revocation.undo_ends_at(row.revoked_at)
        return {
            "disable": row.is_active(now),
            "enable": row.status(now) is KeyStatus.DISABLED,
            "revoke": row.status(now) not in (KeyStatus.REVOKED, KeyStatus.ROTATED_OUT),
            "undo": undo is not None and undo > now and (row.ends_at is None or row.ends_at > now),
        }[action]

    @column("Key")
    def ending(self, row: Key) -> str:
        return mono(f"{row.key_prefix}_…{row.key_suffix}")

    @column("App")
    def app_link(self, row: Key) -> str:
        return link("app", row.app_id, row.app.name)

    @column("Status")
    def status(self, row: Key) -> str:
        return badge(*TONES[row.status(clock.now())])

    @column("Last used")
    def last_used(self, row: Any) -> str:
        return moment(row.used_at, "never")

    @column("Ends")
    def ends(self, row: Key) -> str:
        return moment(row.ends_at, "never")

    @column("Requests, 24 h")
    def requests(self, row: Any) -> str:
        return f"{row.checks_day}, {row.checks_blocked} of them blocked"

    @column("Permissions")
    def held(self, row: Key) -> str:
        held = permission_words.held_permissions(row.permissions, row.app.permissions)
        return ", ".join(map(str, held)) or "none"

    @column("Resources")
    def bound_to(self, row: Key) -> str:
        bound = resource_words.bound_resources(row.resources, row.app.resources)
        listed = ", ".join(map(str, bound))
        refused = resource_words.refused_everywhere(row.resources, row.app.resources)
        return f"{listed}. {refused}" if refused else listed or "all"

    @column("Own limits")
    def own_limits(self, row: Key) -> str:
        return " · ".join(in_one_line(rule) for rule in load_key_rules(row.limits)) or "none"

    @column("Replaced by")
    def successor(self, row: Key) -> str:
        return link("key", row.replaced_by_id, row.replaced_by)

    @column("More")
    def trail(self, row: Key) -> str:
        return format_html(
            '<a href="{}?key={}">Decisions</a> · <a href="{}?key_id={}">Activity</a>',
            reverse("admin:decisions"),
            row.pk,
            reverse("admin:apiauth_activityentry_changelist"),
            row.pk,
        )

    @door("Disable…", "disable")
    def disable(self, request: HttpRequest, rows: "QuerySet[Key]") -> HttpResponse | None:
        return carry_out(self, request, rows, _DISABLE)

    @door("Enable…", "disable")
    def enable(self, request: HttpRequest, rows: "QuerySet[Key]") -> HttpResponse | None:
        return carry_out(self, request, rows, _ENABLE)

    @door("Revoke…", "revoke")
    def revoke(self, request: HttpRequest, rows: "QuerySet[Key]") -> HttpResponse | None:
        return carry_out(self, request, rows, _REVOKE)

    @door("Undo revoke…", "revoke")
    def undo(self, request: HttpRequest, rows: "QuerySet[Key]") -> HttpResponse | None:
        return carry_out(self, request, rows, _UNDO)


def _figures() -> dict[str, Any]:
    """Return the numbers beside a key: each a small indexed question, asked for the rows of the page alone."""
    used = KeyUsage.objects.filter(key_id=OuterRef("pk")).values("last_used_at")
    now = clock.now()
    checks = DecisionRollup.objects.filter(app_id=OuterRef("app_id"), key_id=OuterRef("pk"))
    checks = checks.between(now - timedelta(hours=24), now + timedelta(hours=1))
    sums = checks.order_by().values("key_id")
    return {
        "used_at": Subquery(used[:1]),
        "checks_day": Coalesce(Subquery(sums.annotate(figure=Sum("count")).values("figure")), 0),
        "checks_blocked": Coalesce(Subquery(sums.exclude(rule="").annotate(figure=Sum("count")).values("figure")), 0),
    }


def _deed(service: Any) -> Any:
    def perform(request: HttpRequest, row: Key, reason: str) -> None:
        service(app_id=row.app_id, key_id=row.pk, reason=reason, actor=staff(request), now=clock.now())

    return perform


def _undo(request: HttpRequest, row: Key, reason: str) -> None:
    keys.undo_revoke(app_id=row.app_id, key_id=row.pk, actor=staff(request), now=clock.now())


def _foresee(proposal: Proposal) -> Callable[[Key], Breakage]:
    """Return what says of a key what a proposal would have blocked, with addresses as staff may see them."""

    def foreseen(row: Key) -> Breakage:
        now = clock.now()
        see = Addresses.WHOLE if row.app.policy.audit.staff_see_addresses else Addresses.NETWORKS
        return breakage(preview(key=row, proposal=proposal, now=now), see=see, now=now)

    return foreseen


def _described(row: Any) -> Iterable[tuple[str, object]]:
    return (
        ("App", row.app.name),
        ("Key", f"{row.key_prefix}_…{row.key_suffix}"),
        ("Status", TONES[row.status(clock.now())][0]),
        ("Last used", moment(row.used_at, "never")),
        ("Requests in the last 24 hours", row.checks_day),
    )


_DISABLE = Deed(
    action="disable",
    title="Disable keys?",
    explanation="Calls with a disabled key are blocked within a second. It can be enabled again.",
    button="Disable",
    done="Disabled",
    perform=_deed(keys.disable_key),
    describe=_described,
    foresee=_foresee(Proposal(disabled=True)),
)
_ENABLE = Deed(
    action="enable",
    title="Enable keys?",
    explanation="Calls with these keys are let through again, as far as nothing else blocks them.",
    button="Enable",
    done="Enabled",
    perform=_deed(keys.enable_key),
    describe=_described,
)
_REVOKE = Deed(
    action="revoke",
    title="Revoke keys?",
    explanation="Calls with a revoked key are blocked within a second: for good, unless the policy allows an undo.",
    button="Revoke",
    done="Revoked",
    perform=_deed(keys.revoke_key),
    describe=_described,
    foresee=_foresee(Proposal(revoked=True)),
    is_final=True,
)
_UNDO = Deed(
    action="undo",
    title="Undo revokes?",
    explanation="The same secrets work again. This goes for as long as the app's policy lets it, ten minutes at most.",
    button="Undo",
    done="Brought back",
    perform=_undo,
    describe=_described,
    asks_reason=False,
)
