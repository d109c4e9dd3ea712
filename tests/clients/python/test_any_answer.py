"""Whatever comes back, the client says yes to nothing but a clear yes, and raises nothing but its own errors."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from keystead_client import Decision, KeysteadError
from keystead_client.admission import Incoming, admit
from keystead_client.checks import check
from keystead_client.settings import Settings
from keystead_client.wire import Answer, Operation, Request

from tests.clients.python.conftest import ALLOWED, KEY

SETTINGS = Settings(gateway_url="http://127.0.0.1:9", app_slug="aa_1", on_unavailable="deny")
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner))
NEARLY = st.dictionaries(st.sampled_from(sorted(ALLOWED)), JSON, max_size=4).map(lambda some: {**ALLOWED, **some})
CONTENTS = st.binary(max_size=200) | (JSON | NEARLY).map(lambda value: json.dumps(value).encode())
STATUSES = st.sampled_from([200, 401]) | st.integers(100, 599)


def after(operation: Operation[Any], answer: Answer) -> Any:
    """Return what an operation makes of one answer."""
    conversation = operation.converse(SETTINGS)
    assert isinstance(next(conversation), Request)
    try:
        conversation.send(answer)
    except StopIteration as end:
        return end.value
    raise AssertionError("a check that was answered is asked again")


def is_a_clear_yes(answer: Answer) -> bool:
    body = json.loads(answer.content)
    return answer.status == 200 and body["allowed"] is True and body["identity"]["app_slug"] == "aa_1"


@given(status=STATUSES, content=CONTENTS)
def test_a_check(status: int, content: bytes) -> None:
    answer = Answer(status, {}, content)
    try:
        decision = after(check(KEY, method="GET", resource="/"), answer)
    except KeysteadError:
        return
    assert isinstance(decision, Decision)
    assert decision.recorded
    if decision.allowed:
        assert is_a_clear_yes(answer)


@given(status=STATUSES, content=CONTENTS)
def test_an_admission(status: int, content: bytes) -> None:
    answer = Answer(status, {}, content)

    admission = after(admit(Incoming([f"Bearer {KEY}"], [], "GET", "/")), answer)

    if admission.refusal is None:
        assert is_a_clear_yes(answer)
    else:
        assert admission.refusal.status in (400, 401, 403, 429, 503)
    for name, value in admission.headers.items():
        assert name.isascii()
        assert value.isprintable()
