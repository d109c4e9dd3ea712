"""What a ticket lets its session do at most, whatever the app itself allows."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from apiauth.core.errors import Invalid, NotAllowed


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The bounds of one session; None means that the ticket set none."""

    permissions: frozenset[str] | None = None
    longest_expiry_days: int | None = None
    key_cap: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def check_permissions(self, permissions: list[str]) -> None:
        """Return if the session may hand out these permissions; raise NotAllowed that names one it may not."""
        beyond = sorted(set(permissions) - self.permissions) if self.permissions is not None else []
        if beyond:
            raise NotAllowed(f"Your access doesn't reach the permission {beyond[0]}.", field="permissions")

    def check_expiry(self, expires_at: datetime | None, now: datetime) -> None:
        """Return if a key may last that long; raise Invalid that says how long it may."""
        if self.longest_expiry_days is None:
            return
        if expires_at is None or expires_at > now + timedelta(days=self.longest_expiry_days):
            raise Invalid(
                f"Keys made with your access can last at most {self.longest_expiry_days} days.", field="expires_at"
            )

    def within_expiry(self, expires_at: datetime | None, now: datetime) -> datetime | None:
        """Return when a successor ends: as its predecessor would, but no later than the session may grant."""
        if self.longest_expiry_days is None:
            return expires_at
        latest = now + timedelta(days=self.longest_expiry_days)
        return latest if expires_at is None else min(expires_at, latest)

    def check_count(self, active: int) -> None:
        """Return if one more key fits; raise NotAllowed that says how many there may be."""
        if self.key_cap is not None and active >= self.key_cap:
            keys = "1 active key" if self.key_cap == 1 else f"{self.key_cap} active keys"
            raise NotAllowed(f"You've reached your limit of {keys}. Revoke one to make room.")


UNBOUNDED = Ceiling()
