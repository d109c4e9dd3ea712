"""What the backend API does with a body that is not what it should be."""

import gzip
import json
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from apiauth.models import ActivityEntry, App, Key, RateLimitScheme, Ticket

JSON = "application/json"
GOOD = b'{"app_slug":"aa_7","name":"Orbit","key_prefix":"orb_live"}'

BAD_BODIES: dict[str, tuple[bytes, str | None]] = {
    "empty": (b"", None),
    "null": (b"null", None),
    "list": (b"[]", None),
    "text": (b'""', None),
    "number": (b"7", None),
    "cut short": (GOOD[:-1], None),
    "two objects": (GOOD + GOOD, None),
    "trailing comma": (b'{"app_slug":"a",}', None),
    "duplicate field": (b'{"name":"a","name":"b","app_slug":"aa_7","key_prefix":"orb_live"}', "name"),
    "duplicate field within": (b'{"metadata":{"a":1,"a":2}}', "a"),
    "NaN": (b'{"user_id":NaN}', None),
    "Infinity": (b'{"user_id":-Infinity}', None),
    "1e400": (b'{"user_id":1e400}', None),
    "5000 digits": (b'{"user_id":' + b"9" * 5000 + b"}", None),
    "20 digits": (b'{"user_id":99999999999999999999}', None),
    "30000 brackets": (b'{"name":' + b"[" * 30_000 + b"}", None),
    "30000 closed brackets": (b'{"name":' + b"[" * 30_000 + b"]" * 30_000 + b"}", None),
    "40 levels": (b'{"name":' + b"[" * 40 + b"]" * 40 + b"}", None),
    "UTF-16": (GOOD.decode().encode("utf-16"), None),
    "UTF-16 without mark": (GOOD.decode().encode("utf-16-le"), None),
    "invalid UTF-8": (b'{"name":"\xff"}', None),
    "byte order mark": (b"\xef\xbb\xbf" + GOOD, None),
    "gzip": (gzip.compress(GOOD), None),
    "NUL in a text": (GOOD.replace(b"Orbit", b"Or\\u0000bit"), "name"),
    "NUL in an ignored field": (GOOD.replace(b"{", b'{"x":"\\u0000",', 1), "x"),
    "half a surrogate": (GOOD.replace(b"Orbit", b"\\ud800"), "name"),
    "half a surrogate as a name": (b'{"\\ud800":1}', None),
    "single quotes": (b"{'name':'a'}", None),
}


@pytest.mark.parametrize(("body", "field"), BAD_BODIES.values(), ids=BAD_BODIES)
def test_400_and_nothing_is_made(backend: Client, body: bytes, field: str | None) -> None:
    response = backend.generic("POST", "/api-auth/apps", body, content_type=JSON)
    assert response.status_code == 400, response.content
    problem = response.json()
    assert problem["message"]
    if field:
        assert problem["errors"][0]["field"] == field
    assert not App.objects.exists()


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-7",
        "application/json; charset=utf-16",
        "text/json",
        "application/xml",
        "application/jsonp",
    ],
)
def test_415_for_another_media_type(backend: Client, kind: str) -> None:
    response = backend.generic("POST", "/api-auth/apps", GOOD, content_type=kind)
    assert response.status_code == 415
    assert not App.objects.exists()


def test_415_for_a_compressed_body(backend: Client) -> None:
    compressed = gzip.compress(GOOD)
    response = backend.generic(
        "POST", "/api-auth/apps", compressed, content_type=JSON, headers={"Content-Encoding": "gzip"}
    )
    assert response.status_code == 415


@pytest.mark.parametrize("kind", [JSON, "application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'])
def test_200_for_json_in_utf8(backend: Client, kind: str) -> None:
    assert backend.generic("POST", "/api-auth/apps", GOOD, content_type=kind).status_code == 200


def test_a_whole_number_may_be_written_with_a_point(backend: Client) -> None:
    body = GOOD.replace(b"{", b'{"default_overlap_seconds":60.0,', 1)
    assert backend.generic("POST", "/api-auth/apps", body, content_type=JSON).json()["default_overlap_seconds"] == 60


def test_unknown_fields_are_ignored(backend: Client) -> None:
    body = {**json.loads(GOOD), "options": {"apiKey": "x", "nested": [1, {"a": None}]}, "is_admin": True}
    assert backend.post("/api-auth/apps", body, content_type=JSON).status_code == 200


TARGETS = (
    ("POST", "/api-auth/apps"),
    ("PATCH", "/api-auth/apps/aa_1"),
    ("POST", "/api-auth/apps/aa_1/keys"),
    ("POST", "/api-auth/apps/aa_1/keys/{key}/rotate"),
    ("POST", "/api-auth/apps/aa_1/keys/{key}/revoke"),
    ("POST", "/api-auth/rate-limit-schemes"),
    ("POST", "/session/tickets"),
)
FIELDS = (
    "app_slug",
    "name",
    "key_prefix",
    "description",
    "is_active",
    "permissions",
    "resources",
    "user_id",
    "organization_id",
    "rate_limit_scheme_slug",
    "default_overlap_seconds",
    "return_url",
    "metadata",
    "expires_at",
    "allowed_cidrs",
    "note",
    "overlap_seconds",
    "reason",
    "slug",
    "rules",
    "ticket_type",
    "api_auth_app_slug",
    "expires_in",
    "subject",
    "role",
    "longest_expiry_days",
    "key_cap",
    "theme",
    "code_challenge",
)
texts = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["aa_1", "api_auth_access", "\x00", "\ud800", "\u202e", "2031-04-05T06:07:08Z", "http://[", "1/2"]),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda parts: st.one_of(st.lists(parts, max_size=3), st.dictionaries(texts, parts, max_size=3)),
    max_leaves=6,
)
bodies = st.one_of(values, st.dictionaries(st.sampled_from(FIELDS), values, max_size=8))


def rows() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (App, Key, RateLimitScheme, Ticket, ActivityEntry))


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(target=st.sampled_from(TARGETS), body=bodies)
@example(target=("POST", "/session/tickets"), body={"ticket_type": "api_auth_access", "api_auth_app_slug": "\ud800"})
@example(target=("PATCH", "/api-auth/apps/aa_1"), body={"return_url": "http://["})
@example(target=("PATCH", "/api-auth/apps/aa_1"), body={"default_overlap_seconds": 2**62})
def test_no_body_whatever_its_types_is_a_500_or_half_done(
    backend: Client, app: App, make_key: Any, target: tuple[str, str], body: object
) -> None:
    key = Key.objects.first() or make_key("ci").key
    before = rows()
    method, path = target
    response = backend.generic(method, path.format(key=key.id), json.dumps(body), content_type=JSON)
    assert response.status_code < 500
    if response.status_code >= 400:
        assert response.json()["message"]
        assert rows() == before
