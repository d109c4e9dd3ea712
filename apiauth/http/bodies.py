"""What bodies may hold, by type; what the values must be is the services' business.

Types are strict: a number is not taken for a text, nor "60" for a number. Other fields are
ignored, because a client's bound method sends its whole self along.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, WithJsonSchema

from apiauth.http.value_types import (
    AddressRanges,
    AddressText,
    Challenge,
    DateText,
    DeedName,
    Description,
    Email,
    FormName,
    IdText,
    KeyPrefix,
    KeyRules,
    Link,
    Locale,
    Metadata,
    MethodText,
    Moment,
    Name,
    Note,
    OutcomeName,
    Overlap,
    OwnerId,
    PathText,
    PermissionDetails,
    PermissionPresets,
    Permissions,
    PolicyDocument,
    RequestIdText,
    Resources,
    RoleName,
    Rules,
    RuleText,
    ShortText,
    Slug,
    whole_number,
)
from apiauth.services.exports import MOST_LINES
from apiauth.services.tickets import THEMES

TICKET_TYPE = "api_auth_access"
UNSENT: Any = None  # of a field that may be left out, and that null would not clear


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

    app_slug: Slug
    name: Name
    key_prefix: KeyPrefix
    description: Description | None = None
    rate_limit_scheme_slug: Slug | None = None
    permissions: Permissions | None = None
    permission_details: PermissionDetails | None = None
    permission_presets: PermissionPresets | None = None
    resources: Resources | None = None
    user_id: OwnerId | None = None
    organization_id: OwnerId | None = None
    workspace_id: OwnerId | None = None
    default_role: RoleName | None = None
    default_overlap_seconds: Overlap | None = None
    policy: PolicyDocument | None = None
    return_url: Link | None = None
    test_url: Link | None = None
    docs_url: Link | None = None


class AppUpdate(Body):
    """Changes to an app; null clears what can be empty."""

    name: Name = UNSENT
    key_prefix: KeyPrefix = UNSENT
    description: Description | None = None
    is_active: bool = UNSENT
    rate_limit_scheme_slug: Slug | None = None
    permissions: Permissions = UNSENT
    permission_details: PermissionDetails = UNSENT
    permission_presets: PermissionPresets = UNSENT
    resources: Resources = UNSENT
    organization_id: OwnerId | None = None
    workspace_id: OwnerId | None = None
    default_role: RoleName = UNSENT
    default_overlap_seconds: Overlap = UNSENT
    policy: PolicyDocument | None = None
    policy_applies_at: Moment | None = None
    return_url: Link | None = None
    test_url: Link | None = None
    docs_url: Link | None = None


class PolicyProposal(Body):
    """A policy to try on the keys that are there."""

    policy: PolicyDocument
    policy_applies_at: Moment | None = None


class KeyCreate(Body):
    """A new key."""

    name: Name
    permissions: Permissions | None = None
    metadata: Metadata | None = None
    expires_at: Moment | None = None
    allowed_cidrs: AddressRanges | None = None
    resources: Resources | None = None
    limits: KeyRules | None = None
    note: Note | None = None
    user_id: OwnerId | None = None
    organization_id: OwnerId | None = None
    workspace_id: OwnerId | None = None


class KeyRotate(Body):
    """How long the old key works on; the app's default unless sent."""

    overlap_seconds: Overlap | None = None


class KeyRevoke(Body):
    """Why a key ends."""

    reason: Note | None = None


class KeyUpdate(Body):
    """Changes to a key; null clears what can be empty."""

    name: Name = UNSENT
    note: Note = UNSENT
    permissions: Permissions = UNSENT
    allowed_cidrs: AddressRanges = UNSENT
    resources: Resources = UNSENT
    limits: KeyRules = UNSENT
    metadata: Metadata = UNSENT
    expires_at: Moment | None = None


class KeySwitch(Body):
    """Why a key is switched off or on."""

    reason: Note | None = None


class KeyOverlap(Body):
    """Until when the old secret of a rotated key works."""

    overlap_ends_at: Moment


class KeyProposal(Body):
    """What one would do to a key: an action, or a change of one or more of the others."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["action"]},
                {"anyOf": [{"required": [name]} for name in ("permissions", "allowed_cidrs", "resources", "limits")]},
            ]
        }
    )

    action: DeedName = UNSENT
    permissions: Permissions = UNSENT
    allowed_cidrs: AddressRanges = UNSENT
    resources: Resources = UNSENT
    limits: KeyRules = UNSENT


class Export(Body):
    """What to hand out as a file, and how it is written; without a word, the last 7 days as CSV."""

    form: FormName | None = None
    start_date: DateText | None = None
    end_date: DateText | None = None
    limit: Annotated[int, whole_number(1, MOST_LINES, default=MOST_LINES)] | None = None


class LogsExport(Export):
    """Which decisions to hand out."""

    key_id: IdText | int | None = None
    outcome: OutcomeName | None = None
    rule: RuleText | None = None
    method: MethodText | None = None
    path_prefix: PathText | None = None
    client_ip: AddressText | None = None
    after_request_id: RequestIdText | None = None


class ActivityExport(Export):
    """Which of the activity to hand out."""

    after_sequence: Annotated[int, whole_number(1, 2**63 - 1)] | None = None


class SchemeCreate(Body):
    """A new rate-limit scheme."""

    slug: Slug
    name: Name
    description: str | None = None
    rules: Rules


class SchemeUpdate(Body):
    """Changes to a rate-limit scheme; `rules` replaces all of them."""

    name: Name = UNSENT
    description: str | None = None
    rules: Rules = UNSENT


class Subject(Body):
    """The product's own user on whose behalf the session acts."""

    id: OwnerId | None = None
    name: ShortText | None = None
    email: Email | None = None


class TicketCreate(Body):
    """A ticket for one app and one subject, with what its session may do at most."""

    ticket_type: Annotated[str, WithJsonSchema({"type": "string", "const": TICKET_TYPE})]
    api_auth_app_slug: Slug
    expires_in: Annotated[int, whole_number(1, 300, default=60)] | None = None
    subject: Subject | None = None
    organization_id: OwnerId | None = None
    workspace_id: OwnerId | None = None
    role: RoleName | None = None
    permissions: Permissions | None = None
    longest_expiry_days: Annotated[int, whole_number(1, 36_500)] | None = None
    key_cap: Annotated[int, whole_number(1, 100_000)] | None = None
    metadata: Metadata | None = None
    return_url: Link | None = None
    theme: Annotated[str, WithJsonSchema({"type": "string", "enum": list(THEMES)})] | None = None
    locale: Locale | None = None
    code_challenge: Challenge | None = None
