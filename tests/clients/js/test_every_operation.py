"""The client against the documents: it can ask whatever the session API can be asked, and types all of its answers."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from config.env import REPOSITORY
from tests.support import node

pytestmark = pytest.mark.contract

FOLDER = REPOSITORY / "docs" / "reference" / "openapi"
DOCUMENT = json.loads((FOLDER / "session.json").read_text())
_FOR_SERVERS = "a page must never hold a backend key: servers have clients/python, and @wacht/backend"
DOCUMENTS_LEFT_OUT = {"backend": _FOR_SERVERS, "gateway": _FOR_SERVERS}
LEFT_OUT = {
    "exchange": "a ticket in an address can be seen in histories and logs: exchangeByPost takes it in a form",
    "getDeployment": "it is for the published client's provider, which has to ask what this one is told",
}
_CURSOR = "pages are walked by `cursor`"
FIELDS_LEFT_OUT = {
    ("listKeys", "include_inactive"): "status=all says the same",
    ("previewImpact", "action"): "an action stands alone: a body with one and new values is refused",
    ("getLogs", "offset"): _CURSOR,
    ("getLogs", "cursor_ts"): _CURSOR,
    ("getLogs", "cursor_id"): _CURSOR,
}
BY_THE_BROWSER = {"Origin"}
TYPES = {
    "Action": "Action",
    "ApiAuthAppSessionData": "Session",
    "ApiAuthAppInfo": "SessionApp",
    "RateLimit": "LimitRule",
    "ApiKey": "BrowserKey",
    "ApiKeyWithSecret": "NewBrowserKey",
    "ChangedApiKey": "ChangedBrowserKey",
    "RevokedApiKey": "Revoked",
    'ApiKey["status"]': "KeyStatus",
    "ApiKeyImpact": "BrowserImpact",
    "ApiAuditLog": "BrowserLog",
    "ApiAuditLogsPage": "BrowserLogPage",
    "ApiAuditAnalytics": "Analytics",
    "ApiAuditTimeseries": "Series",
    "ApiAuditTimeseriesPoint": "Point",
}


@pytest.fixture(scope="module")
def asked(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    script = tmp_path_factory.mktemp("calls") / "calls.mjs"
    node.run(installed, "node_modules/.bin/esbuild", "every_call.ts", "--bundle", "--format=esm", f"--outfile={script}")
    found: dict[str, Any] = json.loads(node.run(installed, "node", str(script)))
    return found


def operations() -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Return every operation of the document with its method and path."""
    return {
        operation["operationId"]: (method.upper(), path, operation)
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
    }


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """Return a part of the document, or what it refers to."""
    if "$ref" not in part:
        return part
    kind, name = part["$ref"].split("/")[-2:]
    found: dict[str, Any] = DOCUMENT["components"][kind][name]
    return found


def documented(operation: dict[str, Any]) -> set[str]:
    """Return the names of what an operation can be told: query, headers and form."""
    parameters = [resolved(each) for each in operation.get("parameters", [])]
    content = operation.get("requestBody", {}).get("content", {}).values()
    forms = [resolved(each["schema"]).get("properties", {}) for each in content]
    return {each["name"] for each in parameters if each["in"] != "path"}.union(*forms)


def test_each_document_has_a_client_or_a_reason() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == {"session"} | DOCUMENTS_LEFT_OUT.keys()


def test_each_operation_has_a_method_or_a_reason(asked: dict[str, Any]) -> None:
    assert operations().keys() == asked.keys() | LEFT_OUT.keys()
    assert not asked.keys() & LEFT_OUT.keys()


@pytest.mark.parametrize("name", sorted(operations().keys() - LEFT_OUT.keys()))
def test_a_method_asks_its_operation_and_can_tell_it_all_that_it_reads(name: str, asked: dict[str, Any]) -> None:
    method, path, operation = operations()[name]

    assert asked[name]["method"] == method
    assert re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), asked[name]["path"])
    left_out = BY_THE_BROWSER | {field for each, field in FIELDS_LEFT_OUT if each == name}
    assert set(asked[name]["told"]) == documented(operation) - left_out


def test_the_calls_fit_the_types_and_the_types_name_all_of_each_answer(installed: Path) -> None:
    names = ", ".join(sorted({name.partition("[")[0] for name in TYPES}))
    lines = [f'import type {{ {names} }} from "@keystead/client";']
    lines.append("type Same<A, B> = [A, B] extends [B, A] ? true : never;")
    for index, (name, schema) in enumerate(TYPES.items()):
        described = DOCUMENT["components"]["schemas"][schema]
        texts = " | ".join(json.dumps(each) for each in described.get("enum") or described["properties"])
        kind = name if "enum" in described else f"keyof {name}"
        lines.append(f"export const answer{index}: Same<{kind}, {texts}> = true; // {schema}")
    (installed / "node_modules" / "answers.ts").write_text("\n".join(lines) + "\n")

    node.run(installed, "node_modules/.bin/tsc", "-p", "tsconfig.calls.json")
