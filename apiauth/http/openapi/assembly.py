"""Puts one API's document together: what ninja knows of its operations, and what their decorators tell."""

import json
from typing import Any, get_args, get_origin

from ninja import NinjaAPI

from apiauth.core.roles import Authority
from apiauth.http.auth import BackendAccess, SessionAccess
from apiauth.http.openapi import components, examples, plain_views
from apiauth.http.openapi.describe import MARK, Described
from apiauth.http.openapi.prose import Words
from apiauth.http.openapi.schemas import Schemas, tidy
from apiauth.http.wire import BrowserErrorJson, EnvelopeJson, ErrorJson

Part = dict[str, Any]
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


class Assembly:
    """One document in the making; keeps count of the shared parts that its operations use."""

    def __init__(self, api: NinjaAPI, words: Words, *, is_frontend: bool) -> None:
        self._found = api.get_openapi_schema(path_prefix="")
        self._words = words
        self._is_frontend = is_frontend
        self._schemas = Schemas()
        self._headers: set[str] = set()
        self._answer_headers = {"X-Request-Id", "Retry-After"} | (set() if is_frontend else {"WWW-Authenticate"})
        self._refusals: set[int] = set()

    def document(self) -> Part:
        """Return the document, of plain JSON values alone."""
        self._schemas.add(self._found["components"]["schemas"])
        paths = {path: self._path(methods) for path, methods in self._found["paths"].items()}
        if not self._is_frontend:
            paths.update(plain_views.paths(self._schemas))
        error = self._schemas.of(BrowserErrorJson if self._is_frontend else ErrorJson)["$ref"].rpartition("/")[2]
        document = {
            "openapi": "3.1.0",
            "info": self._words.info(),
            "servers": [{"url": "/"}],
            "tags": self._words.tags(),
            "paths": paths,
            "components": {
                "schemas": self._schemas.reached_from(paths, error),
                "parameters": components.request_headers(self._headers),
                "headers": {name: components.ANSWER_HEADERS[name] for name in sorted(self._answer_headers)},
                "responses": components.refusals(self._refusals, shape=error, is_frontend=self._is_frontend),
                "securitySchemes": SESSION_SCHEMES if self._is_frontend else BACKEND_SCHEMES,
            },
        }
        plain: Part = json.loads(json.dumps(document))
        return plain

    def _path(self, methods: Part) -> Part:
        first = {found["summary"]: method for method, found in reversed(methods.items())}
        return {
            method: self._operation(method, found, is_first=first[found["summary"]] == method)
            for method, found in methods.items()
        }

    def _operation(self, method: str, found: Part, *, is_first: bool) -> Part:
        described: Described = found[MARK]
        name = _camel(found["summary"])
        operation = {
            "tags": found["tags"],
            "summary": found["summary"].capitalize(),
            "description": f"{found['description']}{_needed(described.access)}",
            "operationId": name + ("" if is_first else f"By{method.capitalize()}"),
            "security": _security(described.access),
            "parameters": self._parameters(method, found, described, name),
            "requestBody": self._body(method, found, described),
            "responses": self._answers(found, described, has_body=method != "get"),
        }
        return {name: value for name, value in operation.items() if value or name == "security"}

    def _parameters(self, method: str, found: Part, described: Described, name: str) -> list[Part]:
        self._headers.update(described.headers)
        listed = found["parameters"]
        if described.form is not None and method == "get":
            form = described.form.model_json_schema()
            listed = [
                {"name": field, "in": "query", "schema": schema, "required": field in form["required"]}
                for field, schema in form["properties"].items()
            ]
        parameters = [_parameter(entry, name) for entry in listed]
        return parameters + [{"$ref": f"#/components/parameters/{header}"} for header in described.headers]

    def _body(self, method: str, found: Part, described: Described) -> Part:
        if "requestBody" in found:
            schema = found["requestBody"]["content"][JSON]["schema"]
            name = schema.get("allOf", [schema])[0]["$ref"].rpartition("/")[2]  # of an optional body, in a list of one
            content = {"schema": {"$ref": f"#/components/schemas/{name}"}, "example": examples.BODIES[name]}
            return {"content": {JSON: content}, "required": found["requestBody"]["required"]}
        if described.form is None or method == "get":
            return {}
        schema = self._schemas.of(described.form)
        content = {"schema": schema, "example": examples.BODIES[described.form.__name__]}
        required = any(field.is_required() for field in described.form.model_fields.values())
        return {"content": {FORM: content}, "required": required}

    def _answers(self, found: Part, described: Described, *, has_body: bool) -> Part:
        statuses = {*components.ALWAYS, *described.refusals}
        if _security(described.access):
            statuses.update(components.WITH_ACCESS)
        if "requestBody" in found or (described.form and has_body):
            statuses.update(components.WITH_BODY)
        self._refusals.update(statuses)
        refused = {str(status): _shared(status) for status in sorted(statuses)}
        return {str(described.status): self._answer(described), **refused}

    def _answer(self, described: Described) -> Part:
        limits = components.LIMIT_FIELDS if _security(described.access) else ()
        self._answer_headers.update(described.answer_headers, limits)
        headers = components.header_references(["X-Request-Id", *described.answer_headers, *limits])
        if described.files:
            content = {kind: {"schema": {"type": "string"}, "example": text} for kind, text in described.files.items()}
            return {"description": described.meaning, "headers": headers, "content": content}
        if described.shape is None:
            return {"description": "Done; there is nothing more to say.", "headers": headers}
        schema = self._schemas.of(described.shape)
        answer = {
            "description": _meaning(described.shape),
            "headers": headers,
            "content": {JSON: {"schema": schema, "example": examples.of(described.shape)}},
        }
        return {**answer, "links": described.links} if described.links else answer


BACKEND_SCHEMES: Part = {
    "backendKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "A backend key of the deployment, `ksb_…`. What it may do are its scopes.",
    }
}
SESSION_SCHEMES: Part = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-ks_session",
        "description": "The session's cookie, which browsers send by themselves. The roles, from least to most: "
        "viewer, member, admin, owner.",
    },
    "sessionOverHttp": {
        "type": "apiKey",
        "in": "cookie",
        "name": "ks_session",
        "description": "The same cookie where Keystead is reached by plain http, as on a laptop.",
    },
}


def _security(access: Any) -> list[Part]:
    if isinstance(access, BackendAccess):
        return [{"backendKey": [access.scope]}]
    if isinstance(access, SessionAccess):
        return [{"session": [access.action]}, {"sessionOverHttp": [access.action]}]
    return []


def _needed(access: Any) -> str:
    if isinstance(access, BackendAccess):
        return f"\n\nNeeds a backend key with the scope `{access.scope}`."
    if isinstance(access, SessionAccess):
        role = Authority().least_role(access.action)
        return (
            f"\n\nNeeds a session that may `{access.action}`: one with the role `{role}` or a higher one, "
            "unless the app's policy says otherwise."
        )
    return ""


def _camel(summary: str) -> str:
    first, *others = summary.split()
    return first.lower() + "".join(word.capitalize() for word in others)


def _parameter(entry: Part, operation_id: str) -> Part:
    name, place = entry["name"], entry["in"]
    raw = {**entry["schema"], **components.PATH_VALUES.get((place, name), {})}
    shape = tidy({"properties": {name: raw}}, operation_id)["properties"][name]
    if isinstance(shape.get("type"), list):  # absent is the query's null
        shape["type"] = shape["type"][0]
    if {"type": "null"} in shape.get("anyOf", []):
        words = shape["description"]
        shape = {**next(choice for choice in shape["anyOf"] if choice != {"type": "null"}), "description": words}
    parameter = {"name": name, "in": place, "description": shape.pop("description", ""), "required": entry["required"]}
    example = examples.PARAMETERS.get(name)
    return {**parameter, "schema": shape, **({} if example is None else {"example": example})}


def _shared(status: int) -> Part:
    return {"$ref": f"#/components/responses/{components.name_of(status)}"}


def _meaning(shape: Any) -> str:
    """Return the sentence of an answer's type, of what an envelope holds."""
    if get_origin(shape) is EnvelopeJson:
        return _meaning(get_args(shape)[0])
    if get_origin(shape) is list:
        return "A list, newest first."
    return str(shape.__doc__)
