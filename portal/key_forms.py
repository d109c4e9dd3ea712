"""The forms that say what a key is called, what it may do, from where and until when."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from ipaddress import ip_address
from typing import Any

from django import forms
from django.http import QueryDict

from apiauth.core import limit_words, permission_words, resource_words
from apiauth.core.permissions import dropped_permissions
from apiauth.core.resource import dropped_resources
from apiauth.core.roles import EDITS
from apiauth.models import Key
from apiauth.services.catalogue import Preset, offered, presets
from portal import limit_rows, times
from portal.forms import Option, PortalForm
from portal.session import PortalRequest, client_address

DAYS = (30, 90, 365)
USUAL = "90"
CHOOSE, FULL = "choose", "full"
_OF_RENAME = ("name", "note")
_OF_EDIT = ("access", "permissions", "allowed_cidrs", "resources", "ends", "ends_on")
FILL_IN = ("add_address", "again")  # buttons that bring the form back as it is, and change nothing


@dataclass(frozen=True, slots=True)
class Group:
    """Permissions under one heading; the last one, without, holds those that have none."""

    name: str
    options: list[Option]


class GrantForm(PortalForm):
    """Name, permissions, addresses, resources and note of a key."""

    name = forms.CharField(max_length=100, error_messages={"required": "Enter a name."})
    access = forms.ChoiceField(required=False)
    permissions = forms.MultipleChoiceField(required=False)
    allowed_cidrs = forms.CharField(required=False, max_length=4000)
    resources = forms.MultipleChoiceField(required=False)
    note = forms.CharField(required=False, max_length=500)

    def __init__(self, request: PortalRequest, offered: list[str], initial: dict[str, Any]) -> None:
        self.address = client_address(request) or ""
        is_sent = request.method == "POST" and not any(name in request.POST for name in FILL_IN)
        filled = _filled(request.POST, self.address) if request.method == "POST" and not is_sent else {}
        super().__init__(request.POST if is_sent else None, initial={**initial, **filled})
        self._catalogue = request.app.permission_details
        self._offered = offered
        self._dropped = dropped_permissions(offered, request.app.permissions)
        self._granted_anew = [name for name in offered if name not in self._dropped]
        self._named, self._bound_to = request.app.resources, initial.get("resources", [])
        self._resources = [*self._named, *dropped_resources(self._bound_to, self._named)]
        self._presets = presets(request.app.permission_presets, self._granted_anew)
        self.fields["access"].choices = [(value, value) for value in self._accesses()]  # type: ignore[attr-defined]  # a choice field
        for field, names in (("permissions", offered), ("resources", self._resources)):
            self.fields[field].choices = [(name, name) for name in names]  # type: ignore[attr-defined]  # a choice field

    def granted(self) -> list[str]:
        """Return the permissions that were chosen, one by one or under one name."""
        access = self._accesses().get(self.cleaned_data["access"])
        ticked: list[str] = self.cleaned_data["permissions"]
        return list(access.permissions) if access else ticked

    def ranges(self) -> list[str]:
        """Return the addresses that were typed, one a line or with commas between."""
        return str(self.cleaned_data["allowed_cidrs"]).replace(",", " ").split()

    @property
    def resource_options(self) -> list[Option]:
        """Return the resources to bind a key to, and the dropped ones that it has, to be taken away."""
        held = self["resources"].value() or []
        bound = resource_words.bound_resources(self._resources, self._named)
        return [Option(each.name, each.name, each.mark, each.name in held) for each in bound]

    @property
    def refused_everywhere(self) -> str:
        """Return a sentence where the key, as it is now, opens nothing; empty otherwise."""
        return resource_words.refused_everywhere(self._bound_to, self._named)

    @property
    def access_options(self) -> list[Option]:
        """Return the ready-made choices, then the one to choose by hand; nothing where there is little to choose."""
        if len(self._offered) < 2:
            return []
        chosen = self.chosen("access") or CHOOSE
        return [
            Option(value, preset.name if preset else "Choose", _named(preset), value == chosen)
            for value, preset in self._accesses().items()
        ]

    @property
    def permission_groups(self) -> list[Group]:
        """Return the permissions to tick, by the headings of the app's catalogue."""
        held, groups = self["permissions"].value() or [], dict[str, list[Option]]()
        for name in self._offered:
            detail = self._catalogue.get(name, {})
            words = permission_words.DROPPED if name in self._dropped else detail.get("description", "")
            option = Option(name, name, words, name in held)
            groups.setdefault(detail.get("group", ""), []).append(option)
        return [Group(name, options) for name, options in sorted(groups.items(), key=lambda pair: pair[0] == "")]

    def _accesses(self) -> dict[str, Preset | None]:
        named = {f"preset-{index}": preset for index, preset in enumerate(self._presets)}
        return {**named, FULL: Preset("Full access", tuple(self._granted_anew)), CHOOSE: None}


class CreateKeyForm(GrantForm):
    """A new key, with the choice of its end."""

    ends = forms.ChoiceField(error_messages={"required": "Choose when the key ends."})
    ends_on = forms.DateField(
        required=False, error_messages={"invalid": "Enter a date that exists, such as 2027-02-22."}
    )

    def __init__(self, request: PortalRequest) -> None:
        self._now = request.now
        expiry = request.app.policy.expiry.within(request.session_row.longest_expiry_days)
        self._longest, self._usual = expiry.longest_days, expiry.default_days
        super().__init__(request, _within(request.app.permissions, request), {"ends": self._first()})
        self.fields["ends"].choices = [(value, value) for value in self._ends()]  # type: ignore[attr-defined]  # a choice field

    def clean(self) -> dict[str, Any]:
        return _with_date(self, super().clean() or {})

    def expires_at(self) -> datetime | None:
        """Return the end that was chosen; a date ends at its first moment, UTC."""
        ends = self.cleaned_data["ends"]
        if ends == "date":
            return _start_of(self.cleaned_data["ends_on"])
        return None if ends == "never" else self._now + timedelta(days=int(ends))

    @property
    def end_options(self) -> list[Option]:
        """Return the ends to choose from, each with its real date."""
        return [self._end_option(value) for value in self._ends()]

    def _end_option(self, value: str) -> Option:
        is_chosen = value == self.chosen("ends")
        if value == "date":
            return Option(value, "On a date", "", is_chosen)
        if value == "never":
            return Option(value, "Never", "A key that never ends stays risky if it leaks.", is_chosen)
        days = int(value)
        longest = ", the longest here" if days == self._longest else ""
        label = "1 year" if days == 365 else f"{days} day{'' if days == 1 else 's'}"
        return Option(value, label, f"{times.in_full(self._now + timedelta(days=days))}{longest}", is_chosen)

    def _ends(self) -> list[str]:
        known = {*DAYS, *(days for days in (self._longest, self._usual) if days is not None)}
        within = sorted(days for days in known if self._longest is None or days <= self._longest)
        return [*map(str, within), "date", *([] if self._longest is not None else ["never"])]

    def _first(self) -> str:
        ends = self._ends()
        wanted = str(self._usual) if self._usual is not None else USUAL
        return wanted if wanted in ends else ends[-2] if len(ends) > 1 else ends[0]


class EditKeyForm(GrantForm):
    """A key as it is, to be changed; `seen` says which state of it the page has shown.

    It has fields for what the session may change; of the rest, `locked` says which role it takes.
    """

    ends = forms.ChoiceField(error_messages={"required": "Choose when the key ends."})
    ends_on = forms.DateField(
        required=False, error_messages={"invalid": "Enter a date that exists, such as 2027-02-22."}
    )
    seen = forms.CharField(required=False, max_length=40)
    confirmed = forms.BooleanField(required=False)

    def __init__(self, request: PortalRequest, key: Key) -> None:
        self._key, self._has_latest = key, request.app.policy.expiry.longest_days is not None
        offered = sorted({*_within(request.app.permissions, request), *key.permissions})
        lines = [*key.allowed_cidrs, *_asked_for(request)]
        initial = {
            "name": key.name,
            "note": key.note,
            "access": CHOOSE,
            "permissions": key.permissions,
            "allowed_cidrs": "\n".join(lines),
            "resources": key.resources,
            "ends": "keep",
            "seen": key.updated_at.isoformat(),
        }
        self.locked = request.rights.locked(key)
        self.may_rename, self.may_edit, self.may_change_limits = (action not in self.locked for action in EDITS)
        self._limits = limit_rows.LimitRows(key)
        super().__init__(request, offered, initial | self._limits.initial())
        self.fields.update(self._limits.fields() if self.may_change_limits else {})
        self.fields["ends"].choices = [(option.value, option.label) for option in self.end_options]  # type: ignore[attr-defined]  # a choice field
        for name in (*(() if self.may_rename else _OF_RENAME), *(() if self.may_edit else _OF_EDIT)):
            del self.fields[name]

    def clean(self) -> dict[str, Any]:
        return _with_date(self, super().clean() or {})

    def changes(self) -> dict[str, Any]:
        """Return everything that the form says of the parts that may be changed, changed or not."""
        found: dict[str, Any] = {}
        if self.may_change_limits:
            found["limits"] = self._limits.entries(self.data, self.cleaned_data)
        if self.may_rename:
            found |= {name: self.cleaned_data[name] for name in _OF_RENAME}
        if self.may_edit:
            found |= {"permissions": self.granted(), "resources": self.cleaned_data["resources"]}
            found |= {"allowed_cidrs": self.ranges(), "expires_at": self._expires_at()}
        return found

    @property
    def end_options(self) -> list[Option]:
        """Return the ends to choose from: as it is, on a date, and never where the app allows that."""
        chosen, end = self.chosen("ends"), self._key.expires_at
        found = [Option("keep", f"Keep {times.in_full(end)}" if end else "Keep: never", "", chosen == "keep")]
        found.append(Option("date", "On a date", "", chosen == "date"))
        if end and not self._has_latest:
            found.append(Option("never", "Never", "A key that never ends stays risky if it leaks.", chosen == "never"))
        return found

    def field_of(self, name: str) -> str | None:
        return self._limits.field_of(name) or super().field_of(name)

    @property
    def limits_sent(self) -> list[str]:
        """Return the names of the fields about limits that were sent."""
        return [name for name in self._limits.names if name in self.data]

    @property
    def limit_lines(self) -> list[limit_words.LimitLine]:
        """Return the limits of the key that the form shows and does not change."""
        return limit_rows.lines(self._key, with_rows=self.may_change_limits)

    @property
    def limits_shown(self) -> list[limit_rows.Row]:
        """Return the rows for the limits of the key."""
        return self._limits.shown(self) if self.may_change_limits else []

    def _expires_at(self) -> datetime | None:
        ends = self.cleaned_data["ends"]
        if ends == "date":
            return _start_of(self.cleaned_data["ends_on"])
        return self._key.expires_at if ends == "keep" else None


def _within(permissions: list[str], request: PortalRequest) -> list[str]:
    return offered(permissions, request.session_row.permissions)


def _asked_for(request: PortalRequest) -> list[str]:
    """Return the address that a link to the form would add, such as the one of a call that was blocked."""
    try:
        return [str(ip_address(request.GET.get("add", "")))]
    except ValueError:
        return []


def _with_date(form: GrantForm, cleaned: dict[str, Any]) -> dict[str, Any]:
    if cleaned.get("ends") == "date" and not cleaned.get("ends_on") and "ends_on" not in form.errors:
        form.add_error("ends_on", "Enter the date on which the key ends.")
    elif cleaned.get("ends_on") and cleaned.get("ends") != "date":
        form.add_error("ends", "You entered a date. Choose “On a date”, or leave it empty.")
    return cleaned


def _start_of(day: Any) -> datetime:
    return datetime.combine(day, time(), UTC)


def _named(preset: Preset | None) -> str:
    if preset is None:
        return "Tick what the key needs, and no more."
    return ", ".join(preset.permissions[:3]) + (
        f" and {rest} more" if (rest := len(preset.permissions) - 3) > 0 else ""
    )


def _filled(sent: QueryDict, address: str) -> Mapping[str, Any]:
    """Return what was sent as what the form begins with, with one more address where that is asked for."""
    values: dict[str, Any] = {name: sent[name] for name in sent}
    values |= {name: sent.getlist(name) for name in ("permissions", "resources")}
    lines = values.get("allowed_cidrs", "").split()
    if "add_address" in sent and address and address not in lines:
        lines.append(address)
    return {**values, "allowed_cidrs": "\n".join(lines)}
