"""The OpenAPI documents say what the code does: every route, every field, every example."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from django.test import Client
from django.urls import URLPattern
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from apiauth.http import urls
from apiauth.http.openapi.documents import DOCUMENTS, as_text
from apiauth.http.openapi.words import FIELDS
from tests.support.gateways import GatewayInProcess

KEPT = Path(__file__).resolve().parents[2] / "docs" / "reference" / "openapi"
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
Document = dict[str, Any]

each_document = pytest.mark.parametrize("name", DOCUMENTS)


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def validator(document: Document, schema: Document) -> Any:
    """Return a validator of a schema whose references lead into the document."""
    return jsonschema_rs.Draft202012Validator({**schema, "components": document["components"]}, validate_formats=True)


@each_document
def test_the_kept_copy_is_what_the_code_says(name: str) -> None:
    assert (KEPT / f"{name}.json").read_text() == as_text(DOCUMENTS[name]()), "run ./keystead openapi --write"


@each_document
def test_a_document_is_valid_openapi(name: str) -> None:
    document = DOCUMENTS[name]()

    assert [error.message for error in OPENAPI_31_VALIDATOR.iter_errors(document)] == []
    for schema in document["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


@each_document
def test_every_reference_leads_somewhere(name: str) -> None:
    document = DOCUMENTS[name]()

    for reference in set(re.findall(r'"#/([^"]+)"', as_text(document))):
        part: Any = document
        for step in reference.split("/"):
            part = part[step]


@each_document
def test_every_operation_has_a_name_a_heading_and_words(name: str) -> None:
    document = DOCUMENTS[name]()
    headings = {tag["name"] for tag in document["tags"]}
    names = [operation["operationId"] for _, _, operation in operations(document)]

    assert len(names) == len(set(names))
    for _, _, operation in operations(document):
        assert operation["summary"]
        assert operation["description"]
        assert set(operation["tags"]) <= headings
        assert "security" in operation


def test_every_address_and_method_is_described_and_no_other(db: None) -> None:
    described = {
        (path, method.upper())
        for document in (DOCUMENTS["backend"](), DOCUMENTS["session"]())
        for path, method, _ in operations(document)
    }

    assert described == set(answered())


def answered() -> Iterator[tuple[str, str]]:
    """Yield what the web process answers, as it says itself when it is asked with a method that nothing takes."""
    for pattern in urls.urlpatterns:
        assert isinstance(pattern, URLPattern)
        path = "/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(pattern.pattern))
        if path.startswith("/docs") or path == "/metrics":
            continue  # pages, and text for a monitor: not the API
        allow = Client().generic("BREW", re.sub(r"\{\w+\}", "1", path))["Allow"]
        for method in allow.split(", "):
            if method != "HEAD":
                yield path.replace("{name}", "{document}"), method


def test_the_gateway_answers_what_is_described_and_nothing_else(transactional_db: None, tmp_path: Path) -> None:
    gateway = GatewayInProcess(tmp_path)
    for path, method, _ in operations(DOCUMENTS["gateway"]()):
        status, headers, _ = gateway.call(b"", path=path, method="BREW")
        assert status == 405
        assert method.upper() in headers["Allow"].split(", ")
    assert gateway.call(b"", path="/v1/other", method="POST")[0] == 404
    gateway.close()


def fields(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Yield every field of every named schema: where it stands, its name, its schema."""
    for name, schema in document["components"]["schemas"].items():
        yield from fields_within(schema, name)


def fields_within(schema: Any, place: str) -> Iterator[tuple[str, str, Document]]:
    if isinstance(schema, list):
        for part in schema:
            yield from fields_within(part, place)
    if isinstance(schema, dict):
        for key, part in schema.items():
            if key != "properties":
                yield from fields_within(part, place)
        for field, part in schema.get("properties", {}).items():
            yield place, field, part
            yield from fields_within(part, f"{place}.{field}")


def parameters(document: Document) -> Iterator[tuple[str, str, Document]]:
    for _, _, operation in operations(document):
        for parameter in operation.get("parameters", []):
            if "$ref" not in parameter:
                yield operation["operationId"], parameter["name"], parameter


@each_document
def test_every_field_has_words(name: str) -> None:
    document = DOCUMENTS[name]()
    silent = [
        f"{place}.{field}"
        for place, field, part in [*fields(document), *parameters(document)]
        if not part.get("description")
    ]

    assert silent == []


def test_there_are_no_words_without_a_field() -> None:
    known = set()
    for document in (DOCUMENTS["backend"](), DOCUMENTS["session"]()):
        for place, field, _ in [*fields(document), *parameters(document)]:
            known.update({field, f"{place}.{field}"})

    assert set(FIELDS) - known == set()


def contents(document: Document) -> Iterator[tuple[str, Document]]:
    for path, method, operation in operations(document):
        answers = {**operation["responses"], "body": operation.get("requestBody", {})}
        for status, answer in answers.items():
            for content in answer.get("content", {}).values():
                yield f"{method} {path} {status}", content
    for name, answer in document["components"].get("responses", {}).items():
        for content in answer["content"].values():
            yield name, content


@each_document
def test_every_example_is_one(name: str) -> None:
    document = DOCUMENTS[name]()

    for place, content in contents(document):
        errors = [error.message for error in validator(document, content["schema"]).iter_errors(content["example"])]
        assert errors == [], place


@each_document
def test_a_document_is_served_as_it_is_kept(name: str, db: None) -> None:
    response = Client().get(f"/openapi/{name}.json")

    assert response["Content-Type"] == "application/json"
    assert response.content.decode() == (KEPT / f"{name}.json").read_text()


@each_document
def test_a_page_of_any_origin_may_read_a_document_and_none_with_a_cookie(name: str, db: None) -> None:
    response = Client().get(f"/openapi/{name}.json", headers={"Origin": "https://tools.example.com"})

    assert response["Access-Control-Allow-Origin"] == "*"
    assert not response.has_header("Access-Control-Allow-Credentials")
    assert not response.cookies


def test_404_for_a_document_that_is_not_there(db: None) -> None:
    assert Client().get("/openapi/none.json").json()["code"] == "not_found"


@each_document
def test_a_document_names_no_deployment_and_no_machine(name: str) -> None:
    text = as_text(DOCUMENTS[name]())

    assert set(re.findall(r"https?://([\w.-]+)", text)) <= {"app.example.com", "keys.example.com", "127.0.0.1"}


def test_every_backend_operation_says_which_scope_it_needs() -> None:
    scopes = {
        operation["operationId"]: operation["security"][0]["backendKey"][0]
        for path, _, operation in operations(DOCUMENTS["backend"]())
        if operation["security"]
    }

    assert scopes["listApps"] == "apps:read"
    assert scopes["issueTicket"] == "tickets:issue"
    assert set(scopes.values()) == {"apps:read", "apps:write", "keys:write", "tickets:issue"}
