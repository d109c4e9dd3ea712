"""The activity log, to read and to prove."""

import json
from typing import Any, get_args

from django.contrib import admin

from apiauth.admin.window import Window, column, link, mono, seen_address, seen_user_agent, when
from apiauth.core.actor import ActorKind
from apiauth.core.events import Event
from apiauth.models import ActivityEntry, App
from apiauth.services import mass_revoke


class EventFilter(admin.SimpleListFilter):
    """One event; the list is closed, so no query is needed to know it."""

    title = "event"
    parameter_name = "event"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        return [(event.value, event.value) for event in Event]

    def queryset(self, request: Any, queryset: Any) -> Any:
        return queryset.filter(event=self.value()) if self.value() in set(Event) else queryset


class ActorFilter(admin.SimpleListFilter):
    """Who acts; the list is closed, so no query is needed to know it."""

    title = "actor"
    parameter_name = "actor"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, kind.replace("_", " ").capitalize()) for kind in get_args(ActorKind)]

    def queryset(self, request: Any, queryset: Any) -> Any:
        return queryset.filter(actor_kind=self.value()) if self.value() in get_args(ActorKind) else queryset


@admin.register(ActivityEntry)
class ActivityEntryAdmin(Window):
    """Entries are final: nobody adds, changes or deletes one, whatever they may do elsewhere."""

    change_list_template = "admin/activity_list.html"
    list_display = (when("at"), "event", "actor", "via", "app", "what")
    list_filter = (EventFilter, ActorFilter)
    lookups = ("key_id", "app_id")
    search_fields = ("=chain__name", "=actor_id", "=key_id", "=app_id")
    search_help_text = "An app's, key's or actor's id, or a chain such as app:123."
    fields = (
        when("at"),
        "event",
        "actor",
        "person",
        "via",
        "chain_id",
        "sequence",
        "deployment",
        "app",
        "key",
        "session",
        "about",
        "proof",
    )
    readonly_fields = fields

    @column("Actor")
    def actor(self, row: ActivityEntry) -> str:
        return str(row.personal.get("name") or row.actor_id)

    @column("Personal")
    def person(self, row: ActivityEntry) -> str:
        return json.dumps(_seen_by_staff(row), ensure_ascii=False)

    @column("Chain")
    def chain_id(self, row: ActivityEntry) -> str:
        return row.chain_id

    @column("Deployment")
    def deployment(self, row: ActivityEntry) -> str:
        return link("deployment", row.deployment_id)

    @column("App")
    def app(self, row: ActivityEntry) -> str:
        return link("app", row.app_id)

    @column("Key")
    def key(self, row: ActivityEntry) -> str:
        return link("key", row.key_id)

    @column("Session")
    def session(self, row: ActivityEntry) -> str:
        return link("session", row.session_id)

    @column("Details")
    def about(self, row: ActivityEntry) -> str:
        return json.dumps(_details_seen_by_staff(row), ensure_ascii=False)

    @column("Details")
    def what(self, row: ActivityEntry) -> str:
        text = json.dumps(_details_seen_by_staff(row), ensure_ascii=False)
        return text if len(text) <= 80 else text[:79] + "…"

    @column("Hash")
    def proof(self, row: ActivityEntry) -> str:
        return mono(bytes(row.hash).hex())


def _details_seen_by_staff(row: ActivityEntry) -> dict[str, Any]:
    """Return an entry's details without what staff may not see: the address that keys to be revoked were used from."""
    details: dict[str, Any] = row.details
    if row.event != Event.MASS_REVOKE_STARTED or "filter" not in details:
        return details
    return {**details, "filter": mass_revoke.seen_by_staff(details["filter"])}


def _seen_by_staff(row: ActivityEntry) -> dict[str, Any]:
    """Return what staff may see of the person who acted.

    An entry that is about no app goes by every app of its deployment, and each of them can keep things from
    staff. The installation's own entries tell of staff and operators alone. Who somebody is, e-mail and all,
    is never kept from staff: support knows customers by it.
    """
    shown = {**row.personal}
    about = {"pk": row.app_id} if row.app_id else {"deployment_id": row.deployment_id}
    policies = App.objects.filter(**about).values_list("policy", flat=True)
    for name, seen in (("client_ip", seen_address), ("user_agent", seen_user_agent)):
        if name in shown:
            shown[name] = seen(shown[name], *policies)
    return shown
