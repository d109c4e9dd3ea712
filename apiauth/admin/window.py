"""What every page of the admin shares: looking is free, changing goes through a service, deleting does not exist."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import TO_FIELD_VAR
from django.contrib.admin.utils import unquote
from django.core.exceptions import BadRequest
from django.core.paginator import Paginator
from django.db import OperationalError, models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apiauth.core.actor import Actor
from apiauth.core.errors import Invalid, KeysteadError
from apiauth.core.networks import network_of
from apiauth.core.policy import Policy
from apiauth.core.redaction import without_secrets
from apiauth.core.shown import fit_to_show

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Any]
    BasePaginator = Paginator[Any]
else:
    Base = admin.ModelAdmin
    BasePaginator = Paginator

Value = TypeVar("Value")

COUNTED_AT_MOST = 10_000
KEPT_FROM_STAFF = "kept from staff by the app's policy"
NO_SECRETS_HERE = "That looked like a secret, so it was not searched for. Paste secrets into “Find a key” alone."


class BoundedPaginator(BasePaginator):
    """Counts to a bound: nobody turns two hundred pages, and counting millions of rows takes seconds."""

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        if isinstance(rows, models.QuerySet):
            return rows.order_by()[:COUNTED_AT_MOST].count()
        return len(rows)


def _parameters(filters: Iterable[Any]) -> set[str]:
    """Return the parameters by which filters are told what to keep."""
    return {f"{each[0]}__isempty" if isinstance(each, tuple) else each.parameter_name for each in filters}


class Window(Base):
    """A table to look at. Adding and changing are off unless a subclass says otherwise, deleting always is."""

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50  # with its check boxes well below DATA_UPLOAD_MAX_NUMBER_FIELDS
    paginator = BoundedPaginator
    sortable_by: ClassVar[tuple[str, ...]] = ()
    ordering = ("-id",)
    change_form_template = "admin/keystead_change_form.html"
    lookups: ClassVar[tuple[str, ...]] = ()
    """Fields by which another page's links narrow this one, beside its own filters."""
    doors: Sequence[str] = ()
    """Actions that a row's own page offers too, in this order."""

    @admin.display(description="Id")
    def row_id(self, row: Any) -> str:
        """Return the id without separators, as it is pasted and searched for."""
        return str(row.pk)

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Allow what the pages offer alone: by any other, what a policy keeps from staff could be found by trying."""
        return lookup in self.lookups or lookup in _parameters(self.list_filter)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def may(self, request: HttpRequest, codename: str) -> bool:
        """Tell whether this person holds one of our permissions."""
        return request.user.has_perm(f"apiauth.{codename}")

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list; a secret in the address is refused, a search that takes too long says so."""
        if not all(_is_an_id(value) for value in request.POST.getlist(ACTION_CHECKBOX_NAME)):
            raise BadRequest("An action names rows by their ids.")
        if has_secret(request):
            messages.error(request, NO_SECRETS_HERE)
            return HttpResponseRedirect(request.path)
        try:
            response = super().changelist_view(request, extra_context)
            if isinstance(response, TemplateResponse):
                response.render()
        except OperationalError:
            return TemplateResponse(request, "admin/too_slow.html", self.admin_site.each_context(request), status=503)
        return response

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show or save one row; what the service refuses although the form let it pass becomes a message."""
        if request.GET.get(TO_FIELD_VAR) == "":
            raise BadRequest("A row is named by a field.")  # Django's own look for it fails
        row = self.get_object(request, unquote(object_id)) if object_id else None
        doors = [door for door in self.open_doors(request) if row is None or self.fits(row, door[0])]
        context = {**(extra_context or {}), "doors": doors}
        try:
            response = super().changeform_view(request, object_id, form_url, context)
        except KeysteadError as refusal:
            messages.error(request, refusal.message)
            return HttpResponseRedirect(request.path)
        if request.method == "POST" and isinstance(response, HttpResponseRedirect):
            self.is_done(request)
        return response

    def is_done(self, request: HttpRequest) -> None:
        """Hear that rows were changed and that this is committed: the moment to say more about it."""

    def fits(self, row: Any, action: str) -> bool:
        """Tell whether a row is in a state in which an action can be done to it."""
        return True

    def open_doors(self, request: HttpRequest) -> list[tuple[str, str]]:
        """Return the actions that this person may take on a row, with their labels."""
        actions = self.get_actions(request)
        return [(name, action[2]) for name in self.doors if (action := actions.get(name))]


def refused_as_error(check: Callable[[], Value]) -> Value:
    """Run a service's own check inside a form, whose error its refusal becomes."""
    try:
        return check()
    except Invalid as refusal:
        raise forms.ValidationError(refusal.message) from None


def _is_an_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20


def has_secret(request: HttpRequest) -> bool:
    """Tell whether a secret stands in the address: it must not be searched for, shown again or linked to."""
    return any(without_secrets(value) != value for values in request.GET.lists() for value in values[1])


def staff(request: HttpRequest) -> Actor:
    """Return the person at the admin as the one who acts."""
    user: Any = request.user
    return Actor(
        kind="staff",
        id=f"staff:{user.pk}",
        name=user.get_username(),
        email=user.email,
        client_ip=request.META.get("REMOTE_ADDR") or None,
        user_agent=fit_to_show(request.headers.get("User-Agent", ""))[:400],
        via="admin",
    )


def seen_address(address: str | None, *policies: Policy) -> str | None:
    """Return an address as staff may see it by the policies of all apps that it is about: whole where none is."""
    if not address or all(policy.audit.staff_see_addresses for policy in policies):
        return address
    return network_of(address)


def seen_user_agent(user_agent: str, *policies: Policy) -> str:
    """Return what a caller calls itself as staff may see it by the policies of all apps that it is about."""
    if not user_agent or all(policy.audit.staff_see_user_agents for policy in policies):
        return user_agent
    return KEPT_FROM_STAFF


def mono(text: str) -> SafeString:
    """Return a key's ending or an id in the type that tells 0 from O."""
    return format_html('<span class="ks-mono">{}</span>', text)


def link(page: str, row_id: int | None, text: object = None) -> str:
    """Return a link to a row's page, or a dash where there is no row."""
    if row_id is None:
        return "-"
    return format_html(
        '<a href="{}">{}</a>', reverse(f"admin:apiauth_{page}_change", args=[row_id]), text or str(row_id)
    )


def badge(word: str, tone: str) -> SafeString:
    """Return a status as a word with a tone: good, warn, bad or quiet."""
    return format_html('<span class="ks-badge ks-{}">{}</span>', tone, word)


def moment(value: datetime | None, absent: str = "-") -> str:
    """Return a moment as staff read it beside logs: in UTC, to the minute, sorting as text."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}" if value else absent


def when(field: str) -> Any:
    """Return a column that shows a moment; the stubs know columns by name alone."""

    @admin.display(description=f"{field.replace('_', ' ').capitalize()} (UTC)")
    def shown(row: Any) -> str:
        return moment(getattr(row, field))

    shown.__name__ = f"{field}_utc"
    return shown


def column(name: str) -> Callable[[Callable[[Any, Any], Any]], Callable[[Any, Any], Any]]:
    """Name a computed column; nothing computed can be sorted by."""
    return admin.display(description=name, empty_value="-")
