"""The page between choosing an action and doing it: what will happen, to what, and why."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from apiauth.admin.window import Window
from apiauth.core.errors import Invalid, KeysteadError
from apiauth.services.impact_words import Breakage
from apiauth.services.text import plain_text

Method = TypeVar("Method", bound=Callable[..., HttpResponse | None])


@dataclass(frozen=True, slots=True)
class Deed:
    """One action on rows: its words, what it does to a row, and what the page tells of a row beforehand."""

    action: str
    title: str
    explanation: str
    button: str
    done: str
    perform: Callable[[HttpRequest, Any, str], object]
    describe: Callable[[Any], Iterable[tuple[str, object]]]
    foresee: Callable[[Any], Breakage] | None = None
    """What the page says of the calls that it would block, where it is about one row."""
    asks_reason: bool = True
    is_final: bool = False


class ReasonForm(forms.Form):
    """Why somebody does it; kept in the activity log."""

    reason = forms.CharField(
        max_length=200,
        label="Reason",
        help_text="Kept in the activity log, where the customer can read it. A ticket number is a good start.",
        widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"}),
    )

    def clean_reason(self) -> str:
        try:
            return plain_text(self.cleaned_data["reason"], field="reason", most=200)
        except Invalid as refusal:
            raise forms.ValidationError(refusal.message) from None


def carry_out(window: Window, request: HttpRequest, rows: "QuerySet[Any]", deed: Deed) -> HttpResponse | None:
    """Show the page, or do the deed to each row and return to the list."""
    chosen = list(rows)
    confirmed = "confirmed" in request.POST
    form = ReasonForm(request.POST if confirmed else None) if deed.asks_reason else None
    if not confirmed or (form is not None and not form.is_valid()):
        return _page(window, request, chosen, deed, form)
    reason = form.cleaned_data["reason"] if form is not None else ""
    done = [_do(window, request, row, deed, reason) for row in chosen]
    if any(done):
        window.is_done(request)
    return None


def _do(window: Window, request: HttpRequest, row: Any, deed: Deed, reason: str) -> bool:
    """Do the deed to a row, and say how that went; tell whether it was done."""
    try:
        deed.perform(request, row, reason)
    except KeysteadError as refusal:
        messages.error(request, f"{row}: {refusal.message}")
        return False
    window.log_change(request, row, f"{deed.done}. {reason}".strip())
    messages.success(request, f"{row}: {deed.done.lower()}.")
    return True


def _page(
    window: Window, request: HttpRequest, chosen: list[Any], deed: Deed, form: ReasonForm | None
) -> TemplateResponse:
    context = {
        **window.admin_site.each_context(request),
        "title": deed.title,
        "opts": window.opts,
        "media": window.media,
        "deed": deed,
        "form": form,
        "breakage": _foreseen(window, request, chosen, deed),
        "foresees": deed.foresee is not None,
        "rows": [(row, list(deed.describe(row))) for row in chosen],
        "action_checkbox_name": ACTION_CHECKBOX_NAME,
    }
    status = 422 if form is not None and form.is_bound else 200
    return TemplateResponse(request, "admin/confirm.html", context, status=status)


def _foreseen(window: Window, request: HttpRequest, chosen: list[Any], deed: Deed) -> Breakage | None:
    """Return what a deed on one row would break: of many that takes too long, and it is read from decisions."""
    if deed.foresee is None or len(chosen) != 1 or not window.may(request, "view_decision"):
        return None
    return deed.foresee(chosen[0])


def door(label: str, permission: str) -> Callable[[Method], Method]:
    """Make a method an action of the list, for those who hold the permission."""
    decorate: Any = admin.action(description=label, permissions=[permission])
    return cast("Callable[[Method], Method]", decorate)
