"""One example request of an operation, made from the document's own example values."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

Part = dict[str, Any]
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class FromEnvironment:
    """A value that the reader keeps in an environment variable: `before` and `after` it stands plain text."""

    variable: str
    before: str = ""
    after: str = ""


Value = str | FromEnvironment


@dataclass(frozen=True, slots=True)
class ExampleRequest:
    """What an example sends; `is_of_a_page` where a browser would add cookie and origin by itself."""

    method: str
    url: str
    headers: dict[str, Value]
    json: Any = None
    form: dict[str, str] | None = None
    has_answer: bool = True
    is_answered_by_file: bool = False
    is_of_a_page: bool = False


def example_request(
    document: Part, path: str, method: str, *, base_url: str, cookie_name: str = "ks_session"
) -> ExampleRequest:
    """Return an example of an operation: what it requires, with the examples that stand in the document."""
    operation = document["paths"][path][method]
    parameters = [_resolved(document, parameter) for parameter in operation.get("parameters", [])]
    schemes = [name for need in operation["security"] for name in need]
    headers: dict[str, Value] = {}
    if "backendKey" in schemes and {} not in operation["security"]:
        headers["Authorization"] = FromEnvironment("BACKEND_KEY", "Bearer ")
    if "session" in schemes:
        headers["Cookie"] = FromEnvironment("SESSION", f"{cookie_name}=")
    if "session" in document["components"]["securitySchemes"]:
        headers["Accept"] = JSON
    headers.update(_wanted(parameters, "header"))
    kind, example = _body(operation)
    if kind == JSON:
        headers["Content-Type"] = JSON
    query = urlencode(_wanted(parameters, "query"))
    return ExampleRequest(
        method=method.upper(),
        url=f"{base_url}{_filled(path, parameters)}{'?' if query else ''}{query}",
        headers=headers,
        json=example if kind == JSON else None,
        form={name: str(value) for name, value in example.items()} if kind == FORM else None,
        is_answered_by_file=_is_file(operation),
        has_answer="204" not in operation["responses"],
        is_of_a_page="session" in document["components"]["securitySchemes"],
    )


def _is_file(operation: Part) -> bool:
    answer = operation["responses"].get("200", {})
    return bool(answer.get("content")) and JSON not in answer["content"]


def _resolved(document: Part, part: Part) -> Part:
    if "$ref" not in part:
        return part
    found: Part = document["components"]["parameters"][part["$ref"].rpartition("/")[2]]
    return found


def _wanted(parameters: list[Part], place: str) -> dict[str, str]:
    return {entry["name"]: str(entry["example"]) for entry in parameters if entry["in"] == place and _is_wanted(entry)}


def _is_wanted(parameter: Part) -> bool:
    return bool(parameter.get("required"))


def _filled(path: str, parameters: list[Part]) -> str:
    for entry in parameters:
        if entry["in"] == "path":
            path = path.replace(f"{{{entry['name']}}}", quote(str(entry["example"]), safe=""))
    return path


def _body(operation: Part) -> tuple[str, Any]:
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        return kind, content["example"]
    return "", {}
