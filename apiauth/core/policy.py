"""What an app locks: whose keys a session reaches, who may do what, how long keys last, when they must be rotated.

One document of six parts. Whatever it leaves out has its default, and the empty document is the
policy of an app that locks nothing.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta, field

from apiauth.core.errors import Invalid
from apiauth.core.roles import PRESETS, Authority
from apiauth.core.scope import Scope

MOST_DAYS = 3650
MOST_GRACE_DAYS = 365
MOST_UNDO_MINUTES = 10
_DAY_MS = 86_400_000
_LONGEST_ECHO = 200

Days = Annotated[int, Meta(ge=1, le=MOST_DAYS)]


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the document."""


class ScopePolicy(Part, frozen=True):
    """Whose keys a session reaches, and what becomes of keys when their owner is removed."""

    model: Scope = Scope.APP
    keys_outlive_creator: bool = True


class ExpiryMode(StrEnum):
    """Whether a key has to have an end."""

    OPTIONAL = "optional"
    MANDATORY = "mandatory"


class ExpiryPolicy(Part, frozen=True):
    """How long a key may last, in days from when it is made.

    `default_days` is the end of a key that is asked for without one; without it such a key is refused.
    """

    mode: ExpiryMode = ExpiryMode.OPTIONAL
    longest_days: Days | None = None
    default_days: Days | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where the parts contradict each other."""
        if self.mode is ExpiryMode.OPTIONAL:
            if self.longest_days is not None or self.default_days is not None:
                raise ValueError("longest_days and default_days need the mode mandatory.")
        elif self.longest_days is None:
            raise ValueError("The mode mandatory needs longest_days.")
        elif self.default_days is not None and self.default_days > self.longest_days:
            raise ValueError("default_days can't be more than longest_days.")

    def is_tighter_than(self, other: "ExpiryPolicy") -> bool:
        """Tell whether some key would have to end earlier under this one than under the other."""
        return _days(self.longest_days) < _days(other.longest_days)

    def within(self, longest_days: int | None) -> "ExpiryPolicy":
        """Return what holds for somebody whose keys may last so many days at most; None is no bound of theirs."""
        bounds = [days for days in (self.longest_days, longest_days) if days is not None]
        if not bounds:
            return self
        usual = None if self.default_days is None else min(self.default_days, *bounds)
        return ExpiryPolicy(ExpiryMode.MANDATORY, min(bounds), usual)

    def latest(self, created_at: datetime) -> datetime | None:
        """Return the latest end of a key that is made at a moment; None where it needs none."""
        return None if self.longest_days is None else created_at + timedelta(days=self.longest_days)

    def latest_of_found(self, created_at: datetime, applies_at: datetime) -> datetime | None:
        """Return the latest end of a key that was there before: it does not end before the policy applies."""
        latest = self.latest(created_at)
        return None if latest is None else max(latest, applies_at)

    def granted(self, expires_at: datetime | None, now: datetime) -> datetime | None:
        """Return the end of a key that is made now. Raises Invalid where it lacks one, or lasts too long."""
        latest = self.latest(now)
        if latest is None:
            return expires_at
        if expires_at is None and self.default_days is not None:
            return now + timedelta(days=self.default_days)
        if expires_at is None or expires_at > latest:
            days = f"{self.longest_days} day{'' if self.longest_days == 1 else 's'}"
            raise Invalid(f"Every key here needs an end date, at most {days} from now.", field="expires_at")
        return expires_at

    def cut(self, expires_at: datetime | None, now: datetime) -> datetime | None:
        """Return the end of a successor that is made now: its predecessor's, but no later than a new key's."""
        latest = self.latest(now)
        return min((moment for moment in (expires_at, latest) if moment), default=None)


class RotationMode(StrEnum):
    """Whether keys have to be rotated."""

    MANUAL = "manual"
    REQUIRED = "required"


class WhenOverdue(StrEnum):
    """What becomes of a key that was not rotated in time."""

    MARK = "mark"
    BLOCK = "block"


class RotationPolicy(Part, frozen=True):
    """How old a key may grow before it must be rotated, in days, and what follows.

    No key is due before `enforced_from`: the moment from which a policy holds for the keys it found.
    """

    mode: RotationMode = RotationMode.MANUAL
    every_days: Days | None = None
    grace_days: Annotated[int, Meta(ge=0, le=MOST_GRACE_DAYS)] = 0
    when_overdue: WhenOverdue = WhenOverdue.MARK
    enforced_from: Annotated[datetime, Meta(tz=True)] | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where the parts contradict each other."""
        if (self.mode is RotationMode.REQUIRED) != (self.every_days is not None):
            raise ValueError("every_days stands with the mode required, and only with it.")
        if self.enforced_from is not None and not 1970 < self.enforced_from.year < 9000:  # room to add days
            raise ValueError("enforced_from must lie between the years 1971 and 8999.")

    def due_at(self, created_at: datetime) -> datetime | None:
        """Return when a key that was made at a moment must be rotated; None for never."""
        if self.every_days is None:
            return None
        due = created_at + timedelta(days=self.every_days)
        return due if self.enforced_from is None else max(due, self.enforced_from)

    def blocks_at(self, created_at: datetime) -> datetime | None:
        """Return from when on a key that was not rotated is blocked; None for never."""
        due = self.due_at(created_at)
        return due + timedelta(days=self.grace_days) if due and self.when_overdue is WhenOverdue.BLOCK else None

    def blocks_at_ms(self, created_ms: int) -> int | None:
        """Return the same in Unix milliseconds, for the gateway."""
        if self.every_days is None or self.when_overdue is not WhenOverdue.BLOCK:
            return None
        from_ms = 0 if self.enforced_from is None else int(self.enforced_from.timestamp() * 1000)
        return max(created_ms + self.every_days * _DAY_MS, from_ms) + self.grace_days * _DAY_MS

    def is_tighter_than(self, other: "RotationPolicy") -> bool:
        """Tell whether some key would be due, or blocked, earlier under this one than under the other."""
        return _days(self.every_days) < _days(other.every_days) or self._blocks_after() < other._blocks_after()

    def _blocks_after(self) -> int:
        blocks = self.when_overdue is WhenOverdue.BLOCK and self.every_days is not None
        return _days(self.every_days) + self.grace_days if blocks else _days(None)


MANUAL = RotationPolicy()


class RevocationPolicy(Part, frozen=True):
    """For how many minutes a revoke can be taken back; 0 for not at all."""

    undo_minutes: Annotated[int, Meta(ge=0, le=MOST_UNDO_MINUTES)] = 0

    def undo_ends_at(self, revoked_at: datetime | None) -> datetime | None:
        """Return the moment from which on a revoke is final; None where there is none, or it was so at once."""
        if revoked_at is None or self.undo_minutes == 0:
            return None
        return revoked_at + timedelta(minutes=self.undo_minutes)


class AuditPolicy(Part, frozen=True):
    """For how many days decisions are kept (None: as long as the installation keeps them), and what staff see."""

    keep_days: Annotated[int, Meta(ge=7, le=MOST_DAYS)] | None = None
    staff_see_addresses: bool = True
    staff_see_user_agents: bool = True


class Policy(Part, frozen=True):
    """Everything that an app locks."""

    scope: ScopePolicy = field(default_factory=ScopePolicy)
    authority: Authority = field(default_factory=Authority)
    expiry: ExpiryPolicy = field(default_factory=ExpiryPolicy)
    rotation: RotationPolicy = field(default_factory=RotationPolicy)
    revocation: RevocationPolicy = field(default_factory=RevocationPolicy)
    audit: AuditPolicy = field(default_factory=AuditPolicy)

    def document(self) -> dict[str, Any]:
        """Return the whole document as JSON values, defaults too; moments in UTC."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        if self.rotation.enforced_from is not None:
            moment = self.rotation.enforced_from.astimezone(UTC)
            values["rotation"]["enforced_from"] = moment.isoformat().replace("+00:00", "Z")
        return values


def check_moment_kept(rotation: RotationPolicy, present: datetime | None) -> None:
    """Return if a rotation names no moment of its own but the present one. Raises Invalid."""
    if rotation.enforced_from not in (None, present):
        raise Invalid("enforced_from follows from policy_applies_at.", field="policy.rotation.enforced_from")


_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)


def read_policy(document: Any) -> Policy:
    """Return the policy that a document describes; `authority` may be the name of a preset.

    Raises Invalid that names the place, from `policy` on, of an unknown field or a value out of bounds. What it
    repeats of the document is cut, and has no character that cannot be shown.
    """
    try:
        return msgspec.convert(_with_preset(document), Policy)
    except msgspec.ValidationError as problem:
        found = _PLACE.match(str(problem))
        assert found is not None  # whatever it says matches
        place = _shown(f"policy{found['path'] or ''}")
        raise Invalid(f"{place} can't be used: {_sentence(found['what'])}", field=place) from None


def _with_preset(document: Any) -> Any:
    if not isinstance(document, Mapping):
        return document
    named = document.get("authority")
    if not isinstance(named, str):
        return dict(document)
    if named not in PRESETS:
        names = ", ".join(PRESETS)
        raise Invalid(f"policy.authority must be one of {names}, or an object.", field="policy.authority")
    return {**document, "authority": msgspec.to_builtins(PRESETS[named])}


def _sentence(what: str) -> str:
    text = _shown(what.replace("`", "").rstrip("."))
    return f"{text[:1].lower()}{text[1:]}." if text.startswith(("Expected", "Object", "Invalid")) else f"{text}."


def _shown(text: str) -> str:
    cut = text if len(text) <= _LONGEST_ECHO else f"{text[: _LONGEST_ECHO - 1]}…"
    return "".join(character if character.isprintable() else "\ufffd" for character in cut)


def _days(days: int | None) -> int:
    return MOST_DAYS + MOST_GRACE_DAYS + 1 if days is None else days
