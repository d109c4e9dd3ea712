"""The part of the backend's document that is about views without ninja, by hand."""

from typing import Any

from apiauth.http.openapi import components
from apiauth.http.openapi.schemas import Schemas
from apiauth.http.wire import HealthJson

Part = dict[str, Any]
JSON = "application/json"
HEADING = "Service"


def paths(schemas: Schemas) -> Part:
    """Return what tells whether the process serves, and the documents themselves."""
    health = schemas.of(HealthJson)
    document = {"type": "object", "required": ["openapi", "info", "paths"], "description": "An OpenAPI 3.1 document."}
    name = {
        "name": "document",
        "in": "path",
        "description": "Which API: `backend`, `session` or `gateway`.",
        "required": True,
        "schema": {"type": "string", "enum": ["backend", "session", "gateway"]},
        "example": "backend",
    }
    return {
        "/health": _get("health", "Live", "Answer as long as the process lives.", health, {"status": "ok"}),
        "/ready": _get(
            "ready",
            "Ready",
            "Answer once the database does, and has every migration of this release.",
            health,
            {"status": "ready"},
            503,
        ),
        "/openapi/{document}.json": _get(
            "getDocument",
            "Get document",
            "Return an API's OpenAPI document.",
            document,
            {"openapi": "3.1.0", "info": {"title": "Keystead backend API", "version": "1"}, "paths": {}},
            404,
            parameters=[name],
        ),
    }


def _get(name: str, summary: str, sentence: str, schema: Part, example: Part, *refusals: int, **more: Any) -> Part:
    answer = {
        "description": "It does." if schema.get("$ref") else "The document.",
        "headers": components.header_references(["X-Request-Id"]),
        "content": {JSON: {"schema": schema, "example": example}},
    }
    refused = {
        str(status): {"$ref": f"#/components/responses/{components.name_of(status)}"} for status in (400, *refusals)
    }
    operation = {
        "tags": [HEADING],
        "summary": summary,
        "description": sentence,
        "operationId": name,
        "security": [],
        **more,
        "responses": {"200": answer, **refused},
    }
    return {"get": operation}
