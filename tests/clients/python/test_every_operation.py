"""The client against the documents: it can ask and read whatever the API can be asked and answers with."""

import json
import re
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import keystead_client as client
import pytest
from keystead_client import Keystead, NotFound, Question, Rule
from keystead_client.decisions import Identity

from config.env import REPOSITORY
from tests.clients.python.conftest import BACKEND_KEY, KEY, PATIENT, UNUSED, Asked, Peer

DOCUMENTS = {
    name: json.loads((REPOSITORY / f"docs/reference/openapi/{name}.json").read_text())
    for name in ("backend", "gateway")
}
NOW = datetime(2026, 11, 23, 14, tzinfo=UTC)
RULE = Rule("minute", 1, 60, mode="per_key", endpoints=("/a",), id="7")
APP: Any = {
    "description": "Routes",
    "rate_limit_scheme_slug": "basic",
    "permissions": ["routes:read"],
    "permission_details": {},
    "permission_presets": {},
    "resources": ["site/1"],
    "default_role": "admin",
    "default_overlap_seconds": 0,
    "policy": {},
    "return_url": "",
    "test_url": "",
    "docs_url": "",
    "organization_id": "o1",
    "workspace_id": "w1",
}
LIMITED: Any = {"permissions": ["a"], "allowed_cidrs": ["::1"], "resources": ["site/1"], "limits": [RULE]}
KEY_PARTS: Any = {**LIMITED, "metadata": {}, "expires_at": NOW, "note": "n"}
OWNER: Any = {"user_id": "u1", "organization_id": "o1", "workspace_id": "w1"}
WINDOW: Any = {"start_date": NOW, "end_date": NOW, "key_id": "90"}
WHERE = ("aa_1", "90")
WAIT: Any = {"wait_seconds": 5}
TICKET: Any = {
    "expires_in": 60,
    "organization_id": "o1",
    "workspace_id": "w1",
    "permissions": ["a"],
    "longest_expiry_days": 9,
    "key_cap": 9,
    "metadata": {},
    "return_url": "https://x.example",
    "theme": "dark",
    "locale": "en",
    "code_challenge": "c" * 43,
}
FILTERS: Any = {
    "outcome": "blocked",
    "rule": "key_revoked",
    "method": "GET",
    "path_prefix": "/a",
    "client_ip": "::1",
    "request_id": "req_1",
    "limit": 9,
}
QUESTION = Question(KEY, "GET", "/a", ["a"], "::1", "x/1")
CALLS: dict[str, Callable[[Keystead], object]] = {
    "issueTicket": lambda k: k.issue_ticket("aa_1", subject={"id": "u", "name": "n", "email": "e"}, role="a", **TICKET),
    "listApps": lambda k: k.list_apps(include_inactive=True, search="a"),
    "createApp": lambda k: k.create_app("aa_1", name="n", key_prefix="a", user_id="u1", **APP),
    "getApp": lambda k: k.get_app("aa_1"),
    "updateApp": lambda k: k.update_app(
        "aa_1", if_match='"1"', name="n", key_prefix="a", is_active=True, policy_applies_at=NOW, **APP, **WAIT
    ),
    "previewPolicy": lambda k: k.preview_policy("aa_1", policy={}, policy_applies_at=NOW, cursor="c"),
    "deleteApp": lambda k: k.delete_app("aa_1", **WAIT),
    "listKeys": lambda k: k.list_keys("aa_1", include_inactive=True),
    "createKey": lambda k: k.create_key("aa_1", name="ci", **KEY_PARTS, **OWNER, **WAIT),
    "rotateKey": lambda k: k.rotate_key(*WHERE, overlap_seconds=60, **WAIT),
    "revokeKey": lambda k: k.revoke_key(*WHERE, reason="leaked", **WAIT),
    "updateKey": lambda k: k.update_key(*WHERE, if_match='"1"', name="ci", **KEY_PARTS, **WAIT),
    "disableKey": lambda k: k.disable_key(*WHERE, reason="leaked", **WAIT),
    "enableKey": lambda k: k.enable_key(*WHERE, reason="found", **WAIT),
    "undoRevoke": lambda k: k.undo_revoke(*WHERE, **WAIT),
    "changeOverlap": lambda k: k.change_overlap(*WHERE, overlap_ends_at=NOW, **WAIT),
    "endOverlap": lambda k: k.end_overlap(*WHERE, **WAIT),
    "previewImpact": lambda k: k.preview_impact(*WHERE, action="revoke", **LIMITED),
    "removeSubject": lambda k: k.remove_subject("aa_1", "dana@example.com", **WAIT),
    "listSchemes": lambda k: k.list_schemes(),
    "createScheme": lambda k: k.create_scheme("basic", name="n", description="d", rules=[RULE]),
    "getScheme": lambda k: k.get_scheme("basic"),
    "updateScheme": lambda k: k.update_scheme("basic", if_match='"1"', name="n", description="d", rules=[RULE], **WAIT),
    "deleteScheme": lambda k: k.delete_scheme("basic"),
    "getLogs": lambda k: k.list_logs("aa_1", cursor="c", **FILTERS, **WINDOW),
    "getAnalytics": lambda k: k.analytics(
        "aa_1",
        include_top_keys=True,
        include_top_paths=True,
        include_blocked_reasons=True,
        include_rate_limits=True,
        **WINDOW,
    ),
    "getTimeseries": lambda k: k.timeseries("aa_1", tz="Europe/Berlin", fill=True, **WINDOW),
    "check": lambda k: k.check(
        KEY, method="GET", resource="/a", required_permissions=["a"], client_ip="::1", user_agent="x/1"
    ),
    "checkBatch": lambda k: k.check_batch([QUESTION]),
}
_FILE = "a file of any size, which this client would hold as a whole: fetch it with what writes files"
LEFT_OUT = {
    "exportLogs": f"{_FILE}; iterate_logs walks the same log",
    "exportActivity": _FILE,
    "health": "a monitor asks it, not a product",
    "ready": "a monitor asks it, not a product",
    "getDocument": "for those who generate a client of their own",
}
_CURSOR = "pages are walked by `cursor`"
FIELDS_LEFT_OUT = {
    ("issueTicket", "Idempotency-Key"): "a ticket that nobody got opens nothing and ends in a minute",
    ("getLogs", "offset"): _CURSOR,
    ("getLogs", "cursor_ts"): _CURSOR,
    ("getLogs", "cursor_id"): _CURSOR,
}


def operations() -> dict[str, tuple[str, str, dict[str, Any], dict[str, Any]]]:
    """Return every operation of the documents with its method, path and document."""
    found = {}
    for document in DOCUMENTS.values():
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if method != "parameters":
                    found[operation["operationId"]] = (method.upper(), path, operation, document)
    return found


def resolved(part: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Return a part of a document, or what it refers to."""
    if "$ref" not in part:
        return part
    kind, name = part["$ref"].split("/")[-2:]
    found: dict[str, Any] = document["components"][kind][name]
    return found


def documented(name: str) -> set[str]:
    """Return the names of what an operation can be told: query, headers and body."""
    _, _, operation, document = operations()[name]
    parameters = [resolved(each, document) for each in operation.get("parameters", [])]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    told = {each["name"] for each in parameters if each["in"] != "path"}
    return told | set(resolved(body, document).get("properties", {}))


def told(asked: Asked) -> set[str]:
    """Return the names of what a request told."""
    headers = {"If-Match", "Prefer", "Idempotency-Key"}
    query = parse_qs(urlsplit(asked.path).query, keep_blank_values=True)
    return {*query, *(asked.body or {}), *(name for name in headers if name.lower() in asked.headers)}


def test_each_operation_has_a_method_or_a_reason() -> None:
    assert operations().keys() == CALLS.keys() | LEFT_OUT.keys()
    assert not CALLS.keys() & LEFT_OUT.keys()


@pytest.mark.parametrize("name", sorted(CALLS))
def test_a_method_asks_its_operation_and_can_tell_it_all_that_it_reads(name: str, peer: Peer) -> None:
    peer.always = (404, {"message": "There is no such thing here."})
    options: Any = {"gateway_url": peer.url, "check_timeout_seconds": PATIENT, "verify": UNUSED}
    with Keystead(peer.url, BACKEND_KEY, **options) as keystead, pytest.raises(NotFound):
        CALLS[name](keystead)

    (asked,) = peer.asked
    method, path, _, _ = operations()[name]
    assert asked.method == method
    assert re.fullmatch(re.sub(r"\{\w+\}", "[^/?]+", path), asked.path.partition("?")[0])
    assert told(asked) == documented(name) - {field for each, field in FIELDS_LEFT_OUT if each == name}


_BY_ROLE = dict.fromkeys(("org_role_permissions", "workspace_role_permissions"), "always empty")
_OF_THE_PAGE = "the caller knows which page it asked for"
ANSWERS = [
    (client.App, "backend", "ChangedApp", {"deleted_at": "a deleted app is shown nowhere"}),
    (client.AppPage, "backend", "AppList", {"data": "the same as apps", "limit": _OF_THE_PAGE, "offset": _OF_THE_PAGE}),
    (
        client.Key,
        "backend",
        "ChangedKey",
        _BY_ROLE,
    ),
    (client.Propagated, "backend", "Propagated", {}),
    (client.Gateways, "backend", "Gateways", {}),
    (client.RemovedSubject, "backend", "RemovedSubject", {}),
    (client.Impact, "backend", "Impact", {}),
    (client.PolicyImpact, "backend", "PolicyImpact", {"limit": _OF_THE_PAGE}),
    (client.AffectedKey, "backend", "AffectedKey", {}),
    (client.BlockedByRule, "backend", "BlockedByRule", {}),
    (client.BlockedPath, "backend", "BlockedPath", {}),
    (client.BlockedAddress, "backend", "BlockedAddress", {}),
    (client.RateLimitScheme, "backend", "ChangedScheme", {}),
    (client.Rule, "backend", "LimitRule", {}),
    (client.Ticket, "backend", "NewTicket", {"replayed": "tickets are asked for without an Idempotency-Key"}),
    (client.LogEntry, "backend", "Log", {}),
    (client.LogPage, "backend", "LogPage", {"limit": _OF_THE_PAGE}),
    (client.Limit, "backend", "LimitState", {}),
    (client.Analytics, "backend", "Analytics", {}),
    (client.LimitStats, "backend", "LimitStats", {}),
    (client.LimitHits, "backend", "LimitHits", {}),
    (client.Series, "backend", "Series", {}),
    (client.Point, "backend", "Point", {}),
    (client.Decision, "gateway", "Decision", {}),
]


@pytest.mark.parametrize(
    ("kind", "document", "schema", "left_out"), ANSWERS, ids=lambda value: getattr(value, "__name__", None)
)
def test_an_answer_is_read_whole(kind: Any, document: str, schema: str, left_out: dict[str, str]) -> None:
    described = set(DOCUMENTS[document]["components"]["schemas"][schema]["properties"])

    assert left_out.keys() <= described
    assert described - {each.name for each in fields(kind)} == left_out.keys()


def test_the_identity_of_a_decision_is_read_whole() -> None:
    described = DOCUMENTS["gateway"]["components"]["schemas"]["Decision"]["properties"]["identity"]["properties"]
    unused = {"organization_membership_id", "workspace_membership_id"}  # always null: Keystead has no memberships

    assert described.keys() - {each.name for each in fields(Identity)} == unused
