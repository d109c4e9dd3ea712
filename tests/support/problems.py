"""What every refusal of a JSON door looks like, whatever layer it comes from."""

import json
from typing import Any

from tests.support.routes import Operation

MEMBERS = {"message", "code", "details", "errors", "request_id"}
WRAPPED = MEMBERS | {"status", "data", "session"}


def problem_of(answer: tuple[int, bytes], operation: Operation) -> dict[str, Any]:
    """Return the error object of an answer, once it is a 4xx in the form that the operation's clients read."""
    status, content = answer
    assert 400 <= status < 500, f"{status}: {content[:300]!r}"
    body: dict[str, Any] = json.loads(content)
    assert set(body) == (WRAPPED if operation.is_frontend else MEMBERS)
    assert body["message"]
    assert isinstance(body["code"], str)
    assert body["details"] is None or isinstance(body["details"], dict)
    assert body["request_id"] == "same"
    for entry in body["errors"]:
        assert entry["message"]
        assert entry["code"] == (body["code"] if operation.is_frontend else status)
    assert body["errors"][0]["message"] == body["message"]
    if operation.is_frontend:
        assert (body["status"], body["data"], body["session"]) == (status, None, None)
    return body


def fields_of(body: dict[str, Any]) -> list[str]:
    """Return the fields that an error object names."""
    return [entry["field"] for entry in body["errors"] if "field" in entry]
