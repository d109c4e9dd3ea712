"""One small world that all examples are from: a product, its app `aa_northwind` and one key.

Secrets are cut short, so that no example looks like one that works.
"""

from typing import Any, get_args, get_origin

from apiauth.core.policy import Policy
from apiauth.core.roles import Authority, Role, reachable
from apiauth.http.wire import EnvelopeJson

Example = dict[str, Any]

MADE = "2031-04-05T06:07:08.123456Z"
ENDS = "2032-04-05T00:00:00.000000Z"
KEY_ID = "90071992547409931"
DEPLOYMENT_ID = "90071992547400001"
REQUEST_ID = "req_01960fd0a1b27c3d8e4f5a6b7c8d9e0f"

RULE: Example = {
    "id": "9f2c4a7e1b3d5f60",
    "unit": "minute",
    "duration": 1,
    "max_requests": 60,
    "mode": "per_key",
    "priority": 0,
}
APP: Example = {
    "id": "90071992547400777",
    "deployment_id": DEPLOYMENT_ID,
    "app_slug": "aa_northwind",
    "name": "Northwind Maps",
    "key_prefix": "nw_live",
    "environment": "live",
    "description": None,
    "is_active": True,
    "permissions": ["routes:read", "routes:write"],
    "permission_details": {"routes:read": {"description": "Look routes up.", "group": "Routes"}},
    "permission_presets": {"Read only": ["routes:read"]},
    "resources": [],
    "rate_limits": [RULE],
    "rate_limit_scheme_slug": "basic",
    "default_role": "admin",
    "default_overlap_seconds": 0,
    "policy": Policy().document(),
    "return_url": "https://app.example.com/settings",
    "test_url": "",
    "docs_url": "",
    "created_at": MADE,
    "updated_at": MADE,
    "deleted_at": None,
}
KEY: Example = {
    "id": KEY_ID,
    "deployment_id": DEPLOYMENT_ID,
    "app_slug": "aa_northwind",
    "name": "Billing worker",
    "key_prefix": "nw_live",
    "key_suffix": "x9Qd",
    "permissions": ["routes:read"],
    "metadata": {"team": "blue"},
    "rate_limits": [RULE],
    "limits": [],
    "org_role_permissions": [],
    "workspace_role_permissions": [],
    "allowed_cidrs": [],
    "resources": [],
    "dropped_permissions": [],
    "dropped_resources": [],
    "user_id": "user_7",
    "organization_id": None,
    "workspace_id": None,
    "created_by": "Dana Okafor",
    "rotation_due_at": None,
    "is_rotation_overdue": False,
    "status": "active",
    "lineage_id": KEY_ID,
    "replaced_by": None,
    "overlap_ends_at": None,
    "is_active": True,
    "created_at": MADE,
    "updated_at": MADE,
    "expires_at": ENDS,
    "last_used_at": None,
    "revoked_at": None,
    "revoked_reason": None,
}
SECRET = "nw_live_…"  # noqa: S105  # cut short: nothing to keep secret
_LEFT_OUT = ("last_used_at", "revoked_at", "revoked_reason")
PAGE_KEY: Example = {name: value for name, value in KEY.items() if name not in _LEFT_OUT}
SCHEME: Example = {
    "id": "90071992547400555",
    "deployment_id": DEPLOYMENT_ID,
    "slug": "basic",
    "name": "Basic",
    "description": None,
    "rules": [RULE],
    "created_at": MADE,
    "updated_at": MADE,
}
LOG: Example = {
    "request_id": REQUEST_ID,
    "deployment_id": DEPLOYMENT_ID,
    "app_slug": "aa_northwind",
    "outcome": "allowed",
    "blocked_by_rule": None,
    "rule": None,
    "path": "GET /v2/routes",
    "user_agent": "northwind-cli/1.4",
    "required_permissions": ["routes:read"],
    "held_permissions": None,
    "presented_start": None,
    "retry_after": None,
    "timestamp": MADE,
    "key_id": KEY_ID,
    "key_name": "Billing worker",
    "client_ip": "203.0.113.9",
    "rate_limits": [{"rule": "60/60s", "remaining": 59, "limit": 60}],
}
IMPACT: Example = {
    "window_start": "2031-03-29T06:07:08.123456Z",
    "window_end": MADE,
    "complete_until": MADE,
    "calls": 1800,
    "blocked": 40,
    "last_blocked_at": "2031-04-05T06:00:00.000000Z",
    "rules": [{"rule": "rate_limited", "calls": 40}],
    "paths": [{"path": "GET /v2/routes", "calls": 40}],
    "path_count": 1,
}
POLICY_IMPACT: Example = {
    "policy_applies_at": MADE,
    "total": 1,
    "ends_given_back": 0,
    "data": [
        {
            "id": KEY_ID,
            "name": "Billing worker",
            "expires_at": "2031-07-04T06:07:08.123456Z",
            "rotation_due_at": None,
        }
    ],
    "limit": 100,
    "has_more": False,
    "next_cursor": None,
}
COUNTS: Example = {"total_requests": 9, "allowed_requests": 6, "blocked_requests": 3, "success_rate": 66.67}
PAGE_OF_LOG: Example = {"data": [LOG], "limit": 100, "has_more": False, "next_cursor": None}
SESSION: Example = {
    "session_id": "90071992547401234",
    "subject": {"id": "user_42", "name": "Dana Okafor", "email": "dana@example.com"},
    "role": "admin",
    "permissions": None,
    "permission_details": {
        "routes:read": {"description": "Look routes up.", "group": "Routes"},
        "routes:write": {"description": "", "group": ""},
    },
    "presets": [{"name": "Read only", "permissions": ["routes:read"]}],
    "key_expiry": {"mode": "mandatory", "longest_days": 365, "default_days": 90},
    "longest_expiry_days": None,
    "key_cap": None,
    "organization_id": None,
    "workspace_id": None,
    "actions": list(reachable(Authority(), Role.ADMIN)),
    "return_url": "https://app.example.com/settings",
    "theme": "",
    "locale": "",
    "ends_at": MADE,
    "api_auth_app": {
        "id": APP["id"],
        "app_slug": "aa_northwind",
        "name": "Northwind Maps",
        "key_prefix": "nw_live",
        "is_active": True,
        "permissions": ["routes:read", "routes:write"],
        "resources": [],
        "default_overlap_seconds": 0,
        "rate_limits": [RULE],
    },
}

ANSWERS: dict[str, Any] = {
    "AppJson": APP,
    "NewAppJson": APP,
    "ChangedAppJson": APP,
    "AppListJson": {"data": [APP], "apps": [APP], "has_more": False, "limit": 50, "offset": 0, "total": 1},
    "PolicyImpactJson": POLICY_IMPACT,
    "ChangedKeyJson": KEY,
    "ImpactJson": {**IMPACT, "addresses": [{"client_ip": "203.0.113.9", "calls": 40}], "address_count": 1},
    "BrowserImpactJson": IMPACT,
    "KeyListJson": {"keys": [KEY]},
    "NewKeyJson": {**KEY, "key": KEY, "secret": SECRET},
    "RotatedKeyJson": {**KEY, "key": KEY, "secret": SECRET},
    "PropagatedJson": {},
    "EmptyJson": {},
    "SchemeJson": SCHEME,
    "NewSchemeJson": SCHEME,
    "ChangedSchemeJson": SCHEME,
    "SchemeListJson": {"schemes": [SCHEME], "total": 1},
    "RemovedSubjectJson": {"subject_id": "user_42", "sessions_ended": 1, "keys_revoked": 2, "keys_left": 0},
    "NewTicketJson": {
        "ticket": "kst_…",
        "expires_at": 1933132088,
        "url": "https://keys.example.com/vanity/api-auth?ticket=kst_…",
    },
    "LogPageJson": PAGE_OF_LOG,
    "AnalyticsJson": {**COUNTS, "keys_used_24h": 1},
    "SeriesJson": {"data": [{"timestamp": "2031-04-05T06:00:00.000000Z", **COUNTS}], "interval": "hour"},
    "BrowserLogPageJson": {
        **PAGE_OF_LOG,
        "data": [{**LOG, "rate_limits": '[{"rule": "60/60s", "remaining": 59, "limit": 60}]'}],
    },
    "BrowserKeyJson": PAGE_KEY,
    "ChangedBrowserKeyJson": PAGE_KEY,
    "NewBrowserKeyJson": {**PAGE_KEY, "key": PAGE_KEY, "secret": SECRET},
    "DoneJson": {"success": True},
    "RevokedJson": {"success": True},
    "SessionJson": SESSION,
    "OpenedSessionJson": {"success": True, "message": "The session is open.", **SESSION},
    "InstallationJson": {
        "mode": "production",
        "backend_host": "https://keys.example.com",
        "frontend_host": "keys.example.com",
        "publishable_key": "pk_live_aHR0cHM6Ly9rZXlzLmV4YW1wbGUuY29t",
        "maintenance_mode": False,
        "ui_settings": {"theme_tokens": {}},
        "auth_settings": {},
        "b2b_settings": {},
        "restrictions": {},
        "social_connections": [],
    },
}

BODIES: dict[str, Example] = {
    "AppCreate": {
        "app_slug": "aa_northwind",
        "name": "Northwind Maps",
        "key_prefix": "nw_live",
        "permissions": ["routes:read", "routes:write"],
    },
    "AppUpdate": {"description": "Maps and routes for Northwind", "default_overlap_seconds": 3600},
    "PolicyProposal": {"policy": {"expiry": {"mode": "mandatory", "longest_days": 90}}},
    "KeyCreate": {"name": "Billing worker", "permissions": ["routes:read"], "metadata": {"team": "blue"}},
    "KeyRotate": {"overlap_seconds": 3600},
    "KeyUpdate": {"note": "Moved to the new cluster", "allowed_cidrs": ["203.0.113.0/24"]},
    "LogsExport": {"form": "jsonl", "start_date": "2031-04-01", "outcome": "blocked"},
    "ActivityExport": {"form": "csv", "start_date": "2031-04-01"},
    "KeySwitch": {"reason": "Seen in a build log"},
    "KeyProposal": {"limits": [{"unit": "minute", "duration": 1, "max_requests": 30}]},
    "KeyOverlap": {"overlap_ends_at": ENDS},
    "KeyRevoke": {"reason": "Pasted into a public channel"},
    "SchemeCreate": {
        "slug": "basic",
        "name": "Basic",
        "rules": [{"unit": "minute", "duration": 1, "max_requests": 60, "mode": "per_key"}],
    },
    "SchemeUpdate": {"rules": [{"unit": "second", "duration": 10, "max_requests": 100}]},
    "TicketCreate": {
        "ticket_type": "api_auth_access",
        "api_auth_app_slug": "aa_northwind",
        "subject": {"id": "user_42", "name": "Dana Okafor", "email": "dana@example.com"},
        "role": "admin",
    },
    "KeyForm": {"name": "Billing worker"},
    "RotateForm": {"overlap_seconds": 3600},
    "RevokeForm": {"reason": "Pasted into a public channel"},
    "EditForm": {"name": "Billing worker"},
    "ImpactForm": {"action": "revoke"},
    "SwitchForm": {"reason": "Seen in a build log"},
    "OverlapForm": {"overlap_ends_at": ENDS},
    "NoForm": {},
    "ExchangeForm": {"ticket": "kst_…"},
}

PARAMETERS: dict[str, Any] = {
    "app_slug": "aa_northwind",
    "slug": "basic",
    "key_id": KEY_ID,
    "subject_id": "user_42",
    "ticket": "kst_…",
}


LOG_FILES = {
    "text/csv": "request_id,timestamp,outcome,rule,…\r\nreq_0190…,2031-04-05T06:07:08.123Z,blocked,key_revoked,…\r\n",
    "application/jsonl": '{"request_id":"req_0190…","timestamp":"2031-04-05T06:07:08.123Z","outcome":"blocked",…}\n',
}
ACTIVITY_FILES = {
    "text/csv": "sequence,at,event,key_id,…\r\n41,2031-04-05T06:07:08.123Z,key.revoked,90071992547409931,…\r\n",
    "application/jsonl": '{"sequence":41,"at":"2031-04-05T06:07:08.123Z","event":"key.revoked",…}\n',
}


def of(shape: Any) -> Any:
    """Return the example of an answer's type, wrapped where the type is an envelope."""
    if get_origin(shape) is EnvelopeJson:
        return {"status": 200, "message": "", "data": of(get_args(shape)[0]), "session": None, "errors": None}
    if get_origin(shape) is list:
        return [of(get_args(shape)[0])]
    return ANSWERS[shape.__name__]
