"""Apps: looked at, changed in what is safe, paused and resumed."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.forms.fields import InvalidJSONInput
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse
from django.utils.html import format_html

from apiauth.admin.confirm import Deed, carry_out, door
from apiauth.admin.in_force import GatewayWindow
from apiauth.admin.policy import PolicyPage
from apiauth.admin.window import Base, badge, column, mono, staff, when
from apiauth.core import clock
from apiauth.core.environment import Environment, prefix_pattern
from apiauth.core.errors import Invalid
from apiauth.core.roles import preset_name
from apiauth.models import App, AppRollup, Key, RateLimitScheme
from apiauth.services import apps

SAFE = (
    "name",
    "description",
    "permission_details",
    "permission_presets",
    "default_role",
    "default_overlap_seconds",
    "return_url",
    "test_url",
    "docs_url",
)


class AsTyped(forms.JSONField):
    """A document that is shown again as it was typed: what it means may have characters that no page can hold."""

    def to_python(self, value: Any) -> Any:
        try:
            return super().to_python(value)
        except (ValueError, RecursionError):  # a number of thousands of digits, or text nested as deep
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid", params={"value": ""}) from None

    def bound_data(self, data: Any, initial: Any) -> Any:
        return initial if self.disabled else data and InvalidJSONInput(data)


class AppForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """The fields that staff may change, by the service's own rules."""

    class Meta:
        model = App
        fields = (*SAFE, "rate_limit_scheme")
        field_classes = {"permission_details": AsTyped, "permission_presets": AsTyped}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "rate_limit_scheme" in self.fields:  # a person who may only look gets no fields
            scheme: Any = self.fields["rate_limit_scheme"]
            scheme.queryset = RateLimitScheme.objects.in_deployment(self.instance.deployment_id)

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        for name in SAFE:
            if name in values:
                try:
                    values[name] = apps.EDITABLE[name](self._given(name, values[name]))
                except Invalid as refusal:
                    self.add_error(name, refusal.message)
        return values

    def _given(self, name: str, value: Any) -> Any:
        """Return a value as the service takes it: an emptied document is the empty one."""
        return {} if value is None and isinstance(self.fields[name], forms.JSONField) else value


class StatusFilter(admin.SimpleListFilter):
    """Active, paused or deleted."""

    title = "status"
    parameter_name = "status"
    states = {
        "active": Q(is_active=True, deleted_at=None),
        "paused": Q(is_active=False, deleted_at=None),
        "deleted": Q(deleted_at__isnull=False),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name.capitalize()) for name in self.states]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        state = self.states.get(self.value() or "")
        return queryset.filter(state) if state is not None else queryset


class EnvironmentFilter(admin.SimpleListFilter):
    """Live, test, or a prefix that names neither."""

    title = "environment"
    parameter_name = "environment"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*((each.value, each.value.capitalize()) for each in Environment), ("none", "Neither")]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Any]") -> "QuerySet[Any]":
        if self.value() == "none":
            return queryset.exclude(key_prefix__regex=prefix_pattern(*Environment))
        chosen = [each for each in Environment if each.value == self.value()]
        return queryset.filter(key_prefix__regex=prefix_pattern(*chosen)) if chosen else queryset


@admin.register(App)
class AppAdmin(PolicyPage, GatewayWindow):
    """Apps."""

    form = AppForm
    list_display = (
        "slug",
        "name",
        "environment",
        "deployment",
        "status",
        "active_keys",
        "requests",
        "blocked",
        when("created_at"),
    )
    list_select_related = ("deployment",)
    list_filter = (StatusFilter, EnvironmentFilter)
    search_fields = ("=slug", "name", "=user_id", "=organization_id", "=workspace_id")
    fields = (
        "slug",
        "row_id",
        "deployment",
        "status",
        "disabled_reason",
        "prefix",
        "environment",
        "policy_link",
        "permissions",
        "resources",  # looked at alone, like permissions: to take one away blocks calls
        "active_keys",
        "requests",
        "blocked",
        *SAFE,
        "rate_limit_scheme",
        "user_id",
        "organization_id",
        "workspace_id",
        when("created_at"),
        when("updated_at"),
        "in_force",
    )
    readonly_fields = tuple(name for name in fields if name not in (*SAFE, "rate_limit_scheme"))
    actions = ("pause", "resume")
    doors = ("pause", "resume")
    has_change_permission = Base.has_change_permission

    def get_urls(self) -> list[Any]:
        page = self.admin_site.admin_view(self.policy_view)
        return [path("<int:object_id>/policy/", page, name="apiauth_app_policy"), *super().get_urls()]

    @column("Policy")
    def policy_link(self, row: App) -> str:
        if row.deleted_at:  # its page is gone with it
            return "-"
        name = preset_name(row.policy.authority)
        return format_html(
            '<a href="{}">{}</a>',
            reverse("admin:apiauth_app_policy", args=[row.pk]),
            (name or "its own matrix").replace("_", " ").capitalize(),
        )

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        rows: QuerySet[Any] = super().get_queryset(request).annotate(**_figures())
        return rows

    def has_pause_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "pause_app")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        changes = {name: form.cleaned_data[name] for name in form.changed_data if name in SAFE}
        if "rate_limit_scheme" in form.changed_data:
            scheme = form.cleaned_data["rate_limit_scheme"]
            changes["rate_limit_scheme_slug"] = scheme.slug if scheme else None
        apps.update_app(
            deployment_id=obj.deployment_id, slug=obj.slug, changes=changes, actor=staff(request), now=clock.now()
        )

    @column("Status")
    def status(self, row: App) -> str:
        if row.deleted_at:
            return badge("Deleted", "quiet")
        return badge("Active", "good") if row.is_active else badge("Paused", "bad")

    @column("Key prefix")
    def prefix(self, row: App) -> str:
        return mono(f"{row.key_prefix}_…")

    @column("Environment")
    def environment(self, row: App) -> str:
        return badge(row.environment.value.capitalize(), "quiet") if row.environment else "-"

    @column("Active keys")
    def active_keys(self, row: Any) -> int:
        return int(row.keys_active)

    @column("Requests, 24 h")
    def requests(self, row: Any) -> int:
        return int(row.checks_day)

    @column("Blocked, 24 h")
    def blocked(self, row: Any) -> str:
        return f"{row.checks_blocked / row.checks_day:.1%}" if row.checks_day else "-"

    @door("Pause app…", "pause")
    def pause(self, request: HttpRequest, rows: "QuerySet[App]") -> HttpResponse | None:
        return carry_out(self, request, rows, _PAUSE)

    @door("Resume app…", "pause")
    def resume(self, request: HttpRequest, rows: "QuerySet[App]") -> HttpResponse | None:
        return carry_out(self, request, rows, _RESUME)


def _figures() -> dict[str, Any]:
    """Return the numbers beside an app: each a small indexed question, asked for the rows of the page alone."""
    now = clock.now()
    keys = Key.objects.active_at(now).newest_of_lineage().filter(app_id=OuterRef("pk")).order_by().values("app_id")
    checks = AppRollup.objects.filter(app_id=OuterRef("pk"))
    checks = checks.between(now - timedelta(hours=24), now + timedelta(hours=1))
    sums = checks.order_by().values("app_id")
    return {
        "keys_active": Coalesce(Subquery(keys.annotate(figure=Count("pk")).values("figure")), 0),
        "checks_day": Coalesce(Subquery(sums.annotate(figure=Sum("count")).values("figure")), 0),
        "checks_blocked": Coalesce(Subquery(sums.exclude(rule="").annotate(figure=Sum("count")).values("figure")), 0),
    }


def _pause(request: HttpRequest, row: App, reason: str) -> None:
    apps.disable_app(
        deployment_id=row.deployment_id, slug=row.slug, reason=reason, actor=staff(request), now=clock.now()
    )


def _resume(request: HttpRequest, row: App, reason: str) -> None:
    apps.enable_app(
        deployment_id=row.deployment_id, slug=row.slug, reason=reason, actor=staff(request), now=clock.now()
    )


def _described(row: Any) -> Iterable[tuple[str, object]]:
    return (
        ("Deployment", row.deployment),
        ("Slug", row.slug),
        ("Active keys", row.keys_active),
        ("Requests in the last 24 hours", row.checks_day),
    )


_PAUSE = Deed(
    action="pause",
    title="Pause apps?",
    explanation="Every key of a paused app is blocked within a second, until the app is resumed.",
    button="Pause app",
    done="Paused",
    perform=_pause,
    describe=_described,
)
_RESUME = Deed(
    action="resume",
    title="Resume apps?",
    explanation="The app's keys work again within a second, as far as nothing else blocks them.",
    button="Resume app",
    done="Resumed",
    perform=_resume,
    describe=_described,
)
