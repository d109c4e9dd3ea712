"""What the portal's forms read. They shape the input; the services decide whether it may be."""

import secrets
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS

from apiauth.core.errors import Invalid, NotAllowed, Unprocessable
from apiauth.models import App, Key
from apiauth.services.forms import SubmittedForm
from portal import inputs, times
from portal.session import PortalRequest

Result = TypeVar("Result")
OVERLAPS = {
    "0": "Stop now",
    "3600": "1 hour",
    "86400": "24 hours",
    "604800": "7 days",
    "2592000": "30 days",
}
AT_A_TIME = "time"
REASONS = ("No longer needed", "Leaked", "Replaced", "Other")


@dataclass(frozen=True, slots=True)
class Option:
    """One radio button, with what choosing it comes to."""

    value: str
    label: str
    detail: str
    is_chosen: bool


def new_token() -> str:
    """Return a fresh one-time token for a form that makes a key."""
    return secrets.token_urlsafe(32)


class PortalForm(forms.Form):
    """A form that can take a service's refusal as its own error."""

    form_token = forms.CharField(required=False, max_length=200)

    def attempt(self, act: Callable[[], Result]) -> Result | None:
        """Run a service with the cleaned input; where it refuses the input, keep the sentence and return None."""
        if not self.is_valid():
            return None
        try:
            return act()
        except (Invalid, NotAllowed, Unprocessable) as refusal:
            self.add_error(self.field_of(refusal.field or ""), refusal.message)
            return None

    def field_of(self, name: str) -> str | None:
        """Return the field that a service speaks of; None where the form has no such field."""
        first = name.split("[")[0]
        field = {"expires_at": "ends"}.get(first, first)
        return field if field in self.fields else None

    @property
    def problems(self) -> list[tuple[str, str]]:
        """Return every error as the id of its field and the sentence."""
        return [
            ("" if name == NON_FIELD_ERRORS else f"field-{name}", str(message))
            for name, messages in self.errors.items()
            for message in messages
        ]

    def submitted(self, request: PortalRequest) -> SubmittedForm:
        """Return the form's one-time token as the services take it."""
        return SubmittedForm(request.session_row.pk, self.cleaned_data["form_token"])

    def chosen(self, name: str) -> str:
        """Return which radio button is on: the one that was sent, else the one to begin with."""
        return str(self[name].value() or "")


class RotateKeyForm(PortalForm):
    """For how long the old secret works after a rotation."""

    overlap = forms.ChoiceField(
        choices=list(OVERLAPS.items()),
        error_messages={
            "required": "Choose how long the old secret works.",
            "invalid_choice": "Choose how long the old secret works.",
        },
    )

    def __init__(self, data: Any, *, app: App, key: Key, now: datetime) -> None:
        default = str(app.default_overlap_seconds)
        super().__init__(data, initial={"overlap": default if default in OVERLAPS and default != "0" else "86400"})
        self._key, self._now = key, now

    def length(self) -> timedelta:
        """Return the overlap that was chosen."""
        return timedelta(seconds=int(self.cleaned_data["overlap"]))

    @property
    def options(self) -> list[Option]:
        """Return the overlaps, each with the moment at which the old secret stops."""
        return [
            Option(value, label, self._stop(int(value)), value == self.chosen("overlap"))
            for value, label in OVERLAPS.items()
        ]

    def _stop(self, seconds: int) -> str:
        if seconds == 0:
            return "Choose this if the secret was exposed. Anything still using it is blocked at once."
        end, own = self._now + timedelta(seconds=seconds), self._key.expires_at
        if own and own < end:
            return f"The key itself ends on {times.in_full(own)}, so the old secret can't last longer."
        return f"until {times.in_full(end)}"


class OverlapForm(PortalForm):
    """Until when the old secret of a rotated key works.

    A choice is the moment itself, as the page has shown it: sent twice, it is still that moment.
    """

    ends = forms.CharField(max_length=40, error_messages={"required": "Choose until when the old secret works."})
    ends_at = forms.DateTimeField(
        required=False,
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"],
        error_messages={"invalid": "Enter a date and time that exist, such as 2027-02-22T09:30."},
    )

    def __init__(self, data: Any, *, key: Key, latest: datetime, now: datetime) -> None:
        """Take the latest moment up to which the old secret can work."""
        assert key.overlap_ends_at is not None  # it is in grace
        self._present, self._latest, self._now = key.overlap_ends_at, latest, now
        super().__init__(data, initial={"ends": AT_A_TIME, "ends_at": to_the_minute(self._present)})

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("ends") == AT_A_TIME and not cleaned.get("ends_at") and "ends_at" not in self.errors:
            self.add_error("ends_at", "Enter the time until which the old secret works.")
        return cleaned

    def until(self) -> datetime:
        """Return the moment that was chosen: the present end where its minute came back as it was. Raises Invalid."""
        if self.cleaned_data["ends"] != AT_A_TIME:
            return inputs.moment(self.cleaned_data, "ends")
        typed: datetime = self.cleaned_data["ends_at"]
        return self._present if typed == self._present.replace(second=0, microsecond=0) else typed

    def field_of(self, name: str) -> str | None:
        return "ends_at" if name == "overlap_ends_at" else super().field_of(name)

    @property
    def options(self) -> list[Option]:
        """Return the ends to choose from, each with its moment."""
        sooner = [(label, self._now + timedelta(seconds=int(length))) for length, label in OVERLAPS.items()]
        ends = [(label, end) for label, end in sooner if self._now < end < self._latest]
        found = [self._option(label, end) for label, end in [*ends, ("As long as it can", self._latest)]]
        return [*found, Option(AT_A_TIME, "Until a time", "", self.chosen("ends") == AT_A_TIME)]

    @property
    def bounds(self) -> tuple[str, str]:
        """Return between which times one can be typed."""
        return to_the_minute(self._now), to_the_minute(self._latest)

    def _option(self, label: str, end: datetime) -> Option:
        value = end.isoformat()
        return Option(value, label, f"until {times.in_full(end)}", value == self.chosen("ends"))


def to_the_minute(moment: datetime) -> str:
    """Return a moment as a field for date and time takes it, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M}"


class RevokeKeyForm(PortalForm):
    """Why a key is revoked, and whether its old secret goes too; for a key in use, its name as a person typed it."""

    reason = forms.ChoiceField(required=False, choices=[(reason, reason) for reason in REASONS])
    details = forms.CharField(required=False, max_length=400)
    old_too = forms.BooleanField(required=False)
    typed_name = forms.CharField(required=False, max_length=200)

    def __init__(self, data: Any, *, name: str | None) -> None:
        """Take the name that has to be typed, None for none."""
        super().__init__(data)
        self.name = name

    def clean_typed_name(self) -> str:
        """Return the name that was typed; raise ValidationError where another has to be."""
        typed: str = self.cleaned_data["typed_name"]
        if self.name is not None and _as_seen(typed) != _as_seen(self.name):
            raise forms.ValidationError(f"This key is in use. To revoke it, type its name: {self.name}")
        return typed

    def sentence(self) -> str:
        """Return the reason as it is kept."""
        parts = (self.cleaned_data["reason"], self.cleaned_data["details"])
        return ": ".join(part for part in parts if part)


def _as_seen(text: str) -> str:
    """Return a text as a page shows it: one space for many, and each character in one way."""
    return " ".join(unicodedata.normalize("NFC", text).split())


class SwitchKeyForm(PortalForm):
    """Why a key is disabled or enabled again."""

    reason = forms.CharField(required=False, max_length=400)
