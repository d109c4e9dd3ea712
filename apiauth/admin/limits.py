"""Rate-limit schemes: rules as JSON, checked by the same rules as the API's."""

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest

from apiauth.admin.in_force import GatewayWindow
from apiauth.admin.window import Base, column, refused_as_error, staff, when
from apiauth.core import clock
from apiauth.core.errors import Invalid
from apiauth.core.limit_words import in_one_line
from apiauth.core.limits import load_rules, parse_rules
from apiauth.models import App, RateLimitScheme
from apiauth.services import limits
from apiauth.services.text import plain_slug, plain_text

_EXAMPLE = '[{"unit": "minute", "duration": 1, "max_requests": 60, "mode": "per_key"}]'


class RulesField(forms.CharField):
    """Rules as JSON that a person can read. Django's own JSON field fails on text nested thousands deep."""

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) else json.dumps(value, indent=2)

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        try:
            return json.loads(text) if text else text
        except (ValueError, RecursionError):
            raise forms.ValidationError("Enter valid JSON.") from None


class SchemeForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """A scheme's slug (for good), name, description and rules."""

    rules = RulesField(
        widget=forms.Textarea(attrs={"rows": 14, "cols": 90, "class": "ks-mono", "spellcheck": "false"}),
        help_text=f"A list of rules, such as {_EXAMPLE}. A rule that keeps its id keeps its counts.",
    )

    class Meta:
        model = RateLimitScheme
        widgets = {"description": forms.TextInput(attrs={"class": "vTextField"})}
        fields = ("deployment", "slug", "name", "description", "rules")

    def clean_slug(self) -> str:
        return refused_as_error(lambda: plain_slug(self.cleaned_data["slug"], field="slug"))

    def clean_name(self) -> str:
        return refused_as_error(lambda: plain_text(self.cleaned_data["name"], field="name", most=100))

    def clean_rules(self) -> Any:
        rules = self.cleaned_data["rules"]
        try:
            parse_rules(rules)
        except Invalid as refusal:
            raise forms.ValidationError(f"{refusal.field}: {refusal.message}") from None
        return rules


@admin.register(RateLimitScheme)
class RateLimitSchemeAdmin(GatewayWindow):
    """Rate-limit schemes."""

    form = SchemeForm
    list_display = ("slug", "name", "deployment", "in_words", "used_by", when("updated_at"))
    list_select_related = ("deployment",)
    search_fields = ("=slug", "name")
    has_add_permission = Base.has_add_permission
    has_change_permission = Base.has_change_permission

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("deployment", "slug", "used_by", "in_force") if obj else ()

    def get_queryset(self, request: HttpRequest) -> Any:
        apps = App.objects.filter(rate_limit_scheme_id=OuterRef("pk"), deleted_at=None).order_by()
        used = apps.values("rate_limit_scheme_id").annotate(figure=Count("pk")).values("figure")
        rows = super().get_queryset(request).filter(deleted_at=None)
        return rows.annotate(app_count=Coalesce(Subquery(used), 0))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        values: dict[str, Any] = {"name": obj.name, "description": obj.description or None, "rules": obj.rules}
        who: dict[str, Any] = {"actor": staff(request), "now": clock.now()}
        if change:
            limits.update_scheme(deployment_id=obj.deployment_id, slug=obj.slug, changes=values, **who)
            return
        saved = limits.create_scheme(deployment_id=obj.deployment_id, slug=obj.slug, **values, **who)
        obj.__dict__.update(saved.__dict__)

    @column("Rules")
    def in_words(self, row: RateLimitScheme) -> str:
        return " · ".join(in_one_line(rule) for rule in load_rules(row.rules))

    @column("Used by")
    def used_by(self, row: Any) -> str:
        count = row.app_count
        return f"{count} app" + ("" if count == 1 else "s")
