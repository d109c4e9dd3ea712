"""What the backend API's bodies may hold, by type; what the values must be is the services' business.

Types are strict: a number is not taken for a text, nor "60" for a number. Other fields are
ignored, because a client's bound method sends its whole self along.
"""

from typing import Any

from pydantic import BaseModel, ConfigDict

WireId = str | int


class Body(BaseModel):
    """A JSON body whose fields are read as the types they are sent in."""

    model_config = ConfigDict(strict=True, extra="ignore")

    def sent(self) -> dict[str, Any]:
        """Return the fields that were sent, null ones too: absent is not null."""
        return {name: getattr(self, name) for name in self.model_fields_set}

    def given(self) -> dict[str, Any]:
        """Return the fields that were sent with a value."""
        return {name: value for name, value in self.sent().items() if value is not None}


class AppCreate(Body):
    """A new app."""

    app_slug: str
    name: str
    key_prefix: str
    description: str | None = None
    rate_limit_scheme_slug: str | None = None
    permissions: list[str] | None = None
    resources: list[str] | None = None
    user_id: WireId | None = None
    organization_id: WireId | None = None
    workspace_id: WireId | None = None
    default_role: str | None = None
    default_overlap_seconds: int | None = None
    return_url: str | None = None
    test_url: str | None = None


class AppUpdate(Body):
    """Changes to an app; null clears what can be empty."""

    name: str | None = None
    key_prefix: str | None = None
    description: str | None = None
    is_active: bool | None = None
    rate_limit_scheme_slug: str | None = None
    permissions: list[str] | None = None
    resources: list[str] | None = None
    organization_id: WireId | None = None
    workspace_id: WireId | None = None
    default_role: str | None = None
    default_overlap_seconds: int | None = None
    return_url: str | None = None
    test_url: str | None = None


class KeyCreate(Body):
    """A new key."""

    name: str
    permissions: list[str] | None = None
    metadata: dict[str, Any] | None = None
    expires_at: str | None = None
    allowed_cidrs: list[str] | None = None
    note: str | None = None


class KeyRotate(Body):
    """How long the old key works on; the app's default unless sent."""

    overlap_seconds: int | None = None


class KeyRevoke(Body):
    """Why a key ends."""

    reason: str | None = None


class SchemeCreate(Body):
    """A new rate-limit scheme."""

    slug: str
    name: str
    description: str | None = None
    rules: list[Any]


class SchemeUpdate(Body):
    """Changes to a rate-limit scheme; `rules` replaces all of them."""

    name: str | None = None
    description: str | None = None
    rules: list[Any] | None = None


class Subject(Body):
    """The product's own user on whose behalf the session acts."""

    id: WireId | None = None
    name: str | None = None
    email: str | None = None


class TicketCreate(Body):
    """A ticket for one app and one subject, with what its session may do at most."""

    ticket_type: str
    api_auth_app_slug: str
    expires_in: int | None = None
    subject: Subject | None = None
    role: str | None = None
    permissions: list[str] | None = None
    longest_expiry_days: int | None = None
    key_cap: int | None = None
    metadata: dict[str, Any] | None = None
    return_url: str | None = None
    theme: str | None = None
    locale: str | None = None
    code_challenge: str | None = None
