"""Deployments and backend keys: made and changed here by those who run the installation."""

from collections.abc import Iterable
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.helpers import AdminForm
from django.contrib.postgres.forms import SimpleArrayField
from django.core.exceptions import PermissionDenied
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect

from apiauth.admin.confirm import Deed, carry_out, door
from apiauth.admin.in_force import GatewayWindow
from apiauth.admin.window import Base, Window, badge, column, moment, mono, refused_as_error, staff, when
from apiauth.core import clock
from apiauth.core.errors import KeysteadError
from apiauth.core.secrets import BACKEND_KEY_PREFIX
from apiauth.models import App, BackendKey, Deployment
from apiauth.services import deployments
from apiauth.services.text import plain_text


class DeploymentForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """A deployment's name and origins, one origin a line."""

    allowed_origins = SimpleArrayField(
        forms.CharField(max_length=300),
        delimiter="\n",
        required=False,
        widget=forms.Textarea(attrs={"rows": 4, "cols": 60}),
        help_text="Web origins of the product, one a line, such as https://app.example.",
    )

    class Meta:
        model = Deployment
        fields = ("name", "allowed_origins", "is_embedded")
        help_texts: ClassVar = {
            "is_embedded": "Pages of these origins may use Keystead from another site: their sessions get a cookie "
            "that browsers send across sites, kept apart for each site."
        }

    def clean_name(self) -> str:
        return refused_as_error(lambda: plain_text(self.cleaned_data["name"], field="name", most=100))

    def clean_allowed_origins(self) -> list[str]:
        origins = [origin.strip() for origin in self.cleaned_data["allowed_origins"] if origin.strip()]
        return refused_as_error(lambda: [deployments.valid_origin(origin) for origin in origins])


@admin.register(Deployment)
class DeploymentAdmin(Window):
    """Deployments."""

    form = DeploymentForm
    list_display = ("name", "row_id", "origins", "apps", when("created_at"))
    search_fields = ("name",)
    has_add_permission = Base.has_add_permission
    has_change_permission = Base.has_change_permission

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        chosen = {name: getattr(obj, name) for name in DeploymentForm.Meta.fields}
        values = {**chosen, "actor": staff(request), "now": clock.now()}
        if change:
            saved = deployments.update_deployment(deployment_id=obj.pk, **values)
        else:
            saved = deployments.create_deployment(**values)
        obj.__dict__.update(saved.__dict__)

    @column("Allowed origins")
    def origins(self, row: Deployment) -> str:
        return ", ".join(row.allowed_origins) or "none"

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        rows: QuerySet[Any] = super().get_queryset(request)
        apps = App.objects.filter(deployment_id=OuterRef("pk"), deleted_at=None).order_by().values("deployment_id")
        figure = apps.annotate(figure=Count("pk")).values("figure")
        counted: QuerySet[Any] = rows.annotate(app_count=Coalesce(Subquery(figure), 0))
        return counted

    @column("Apps")
    def apps(self, row: Any) -> int:
        return int(row.app_count)


class BackendKeyForm(forms.Form):
    """What a new backend key is called and may do."""

    deployment = forms.ModelChoiceField(Deployment.objects.order_by("name"))
    name = forms.CharField(max_length=100, initial="Backend", widget=forms.TextInput(attrs={"class": "vTextField"}))
    scopes = forms.MultipleChoiceField(
        choices=[(scope, scope) for scope in deployments.SCOPES],
        initial=deployments.SCOPES,
        widget=forms.CheckboxSelectMultiple,
        help_text="Narrow it where a program needs less.",
    )

    def clean_name(self) -> str:
        return refused_as_error(lambda: plain_text(self.cleaned_data["name"], field="name", most=100))


@admin.register(BackendKey)
class BackendKeyAdmin(GatewayWindow):
    """Backend keys: made with their secret shown once, revoked, never changed."""

    list_display = ("name", "deployment", "ending", "status", "may_do", when("created_at"), when("last_used_at"))
    list_select_related = ("deployment",)
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    search_fields = ("name", "=key_suffix")
    fields = (
        "name",
        "deployment",
        "ending",
        "status",
        "may_do",
        when("created_at"),
        when("last_used_at"),
        when("revoked_at"),
        "in_force",
    )
    readonly_fields = fields
    actions = ("revoke",)
    doors = ("revoke",)
    has_add_permission = Base.has_add_permission

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "change_backendkey")

    @method_decorator(csrf_protect)
    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Issue a backend key; the answer to the POST itself shows the secret, and nothing else ever does."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = BackendKeyForm(request.POST or None)
        if form.is_valid():
            try:
                return self._issue(request, form.cleaned_data)
            except KeysteadError as refusal:
                form.add_error(None, refusal.message)
        shown: Any = form  # the stubs ask for a model's form, Django does not
        context = {
            **self.admin_site.each_context(request),
            "title": "Add backend key",
            "opts": self.opts,
            "form": form,
            "adminform": AdminForm(shown, [(None, {"fields": list(form.fields)})], {}),
        }
        return TemplateResponse(request, "admin/backend_key_form.html", context, status=422 if form.errors else 200)

    def _issue(self, request: HttpRequest, values: dict[str, Any]) -> HttpResponse:
        issued = deployments.issue_backend_key(
            deployment_id=values["deployment"].pk,
            name=values["name"],
            scopes=values["scopes"],
            actor=staff(request),
            now=clock.now(),
        )
        self.log_addition(request, issued.row, "Issued. The secret was shown once.")
        context = {
            **self.admin_site.each_context(request),
            "title": "Backend key created",
            "opts": self.opts,
            "row": issued.row,
            "secret": issued.secret.text,
        }
        response = TemplateResponse(request, "admin/backend_key_secret.html", context)
        response["Cache-Control"] = "no-store, private"
        return response

    @column("Key")
    def ending(self, row: BackendKey) -> str:
        return mono(f"{BACKEND_KEY_PREFIX}_…{row.key_suffix}")

    @column("Status")
    def status(self, row: BackendKey) -> str:
        return badge("Revoked", "bad") if row.revoked_at else badge("Active", "good")

    @column("Scopes")
    def may_do(self, row: BackendKey) -> str:
        return "all" if set(row.scopes) == set(deployments.SCOPES) else ", ".join(row.scopes)

    @door("Revoke…", "revoke")
    def revoke(self, request: HttpRequest, rows: "QuerySet[BackendKey]") -> HttpResponse | None:
        return carry_out(self, request, rows, _REVOKE)


def _revoke(request: HttpRequest, row: BackendKey, reason: str) -> None:
    deployments.revoke_backend_key(
        deployment_id=row.deployment_id, backend_key_id=row.pk, actor=staff(request), now=clock.now()
    )


def _described(row: BackendKey) -> Iterable[tuple[str, object]]:
    return (("Deployment", row.deployment), ("Last used", moment(row.last_used_at, "never")))


_REVOKE = Deed(
    action="revoke",
    title="Revoke backend keys?",
    explanation="A backend that still sends one is refused from its next request on. This cannot be undone.",
    button="Revoke",
    done="Revoked",
    perform=_revoke,
    describe=_described,
    asks_reason=False,
    is_final=True,
)
