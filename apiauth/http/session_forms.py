"""What the forms of the session API may hold, by type; what the values must be is the services' business."""

from typing import Annotated

from pydantic import BaseModel, WithJsonSchema

from apiauth.http.bodies import UNSENT
from apiauth.http.value_types import (
    AddressRanges,
    DeedName,
    KeyRulesText,
    Moment,
    Name,
    Note,
    Overlap,
    Permissions,
    Resources,
)

KEY_LISTS = ("permissions", "allowed_cidrs", "resources")  # of a page's form about a key: once for every entry


class KeyForm(BaseModel):
    """A new key, as a page's form sends it."""

    name: Name
    permissions: Permissions = []
    expires_at: Moment = ""
    allowed_cidrs: AddressRanges = []
    resources: Resources = []
    limits: KeyRulesText = ""
    note: Note = ""


class RotateForm(BaseModel):
    """How long the old key works on, as a page's form sends it."""

    overlap_seconds: Overlap = 0


class RevokeForm(BaseModel):
    """Why a key ends, as a page's form sends it."""

    reason: Note = ""


class EditForm(BaseModel):
    """Changes to a key, as a page's form sends them; an empty field clears."""

    name: Name = UNSENT
    note: Note = UNSENT
    permissions: Permissions = UNSENT
    allowed_cidrs: AddressRanges = UNSENT
    resources: Resources = UNSENT
    limits: KeyRulesText = UNSENT
    expires_at: Moment = UNSENT


class ImpactForm(BaseModel):
    """What one would do to a key, as a page's form sends it; an empty field would clear."""

    action: DeedName = UNSENT
    permissions: Permissions = UNSENT
    allowed_cidrs: AddressRanges = UNSENT
    resources: Resources = UNSENT
    limits: KeyRulesText = UNSENT


class SwitchForm(BaseModel):
    """Why a key is switched off or on, as a page's form sends it."""

    reason: Note = ""


class OverlapForm(BaseModel):
    """Until when the old secret of a rotated key works, as a page's form sends it."""

    overlap_ends_at: Moment


class NoForm(BaseModel):
    """Nothing: the address says it all."""


class ExchangeForm(BaseModel):
    """A ticket to use up, as a page's form sends it."""

    ticket: Annotated[str, WithJsonSchema({"type": "string", "minLength": 1})]
    code_verifier: str = ""
