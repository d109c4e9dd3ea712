"""The documents of the two JSON APIs as schemathesis reads them, with what every run has in common."""

import copy
from typing import Any

import schemathesis
from django.core.wsgi import get_wsgi_application
from schemathesis.config import SchemathesisConfig

from apiauth.http.openapi.documents import DOCUMENTS

CONFIG: dict[str, Any] = {
    "generation": {
        "deterministic": True,
        "database": "none",
        "with-security-parameters": False,  # the real ones are sent; that others are refused is a check's own business
        "allow-extra-parameters": False,  # in a query; they are ignored, here as nearly everywhere
        "allow-x00": False,  # no text may hold NUL, also in a field that is ignored; tests/http/test_bodies.py has it
    },
    "checks": {
        # No generated If-Match is the version of anything: 412 is the right answer to it.
        "positive_data_acceptance": {"expected-statuses": ["2xx", 401, 403, 404, 409, 412, 429]},
        "negative_data_rejection": {"expected-statuses": ["4xx"]},
    },
}


def load(name: str, **generation: Any) -> Any:
    """Return an API as schemathesis reads it, to be tried on the application in this process."""
    config = {**CONFIG, "generation": {**CONFIG["generation"], **generation}}
    schema = schemathesis.openapi.from_dict(closed(DOCUMENTS[name]()), config=SchemathesisConfig.from_dict(config))
    schema.app = get_wsgi_application()
    return schema


def closed(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document whose answers may hold no field but the described ones: more tightly than clients should."""
    tight = copy.deepcopy(document)
    bodies = _names_within(
        [operation.get("requestBody") for item in tight["paths"].values() for operation in item.values()]
    )
    for name, schema in tight["components"]["schemas"].items():
        if name not in bodies:
            _close(schema)
    return tight


def _names_within(part: Any) -> set[str]:
    if isinstance(part, list):
        return set().union(*(_names_within(entry) for entry in part))
    if isinstance(part, dict):
        own = {part["$ref"].rpartition("/")[2]} if isinstance(part.get("$ref"), str) else set()
        return own | _names_within(list(part.values()))
    return set()


def _close(schema: Any) -> None:
    if isinstance(schema, list):
        for part in schema:
            _close(part)
    if isinstance(schema, dict):
        if schema.get("properties"):
            schema.setdefault("additionalProperties", False)
        for part in schema.values():
            _close(part)
