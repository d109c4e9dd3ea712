"""Every error on a JSON path is the one error object, whatever layer it comes from."""

import json
import logging
from collections.abc import Callable

import pytest
from django.conf import settings
from django.db import OperationalError
from django.test import Client, override_settings

from apiauth.http import auth
from apiauth.models import App, Deployment
from apiauth.services.sessions import OpenedSession

JSON = "application/json"


def assert_error_object(response: object, status: int) -> dict[str, object]:
    assert response.status_code == status, response.content
    assert response["Content-Type"].startswith(JSON)
    body = response.json()
    assert {"message", "code", "details", "errors", "request_id"} <= set(body)
    assert body["message"]
    assert isinstance(body["code"], str)
    assert body["errors"][0]["message"]
    assert body["request_id"] == response["X-Request-Id"]
    return body


@pytest.mark.django_db
@pytest.mark.parametrize(
    "path",
    [
        "/v1/none",
        "/api-auth/none",
        "/session/none",
        "/none",
        "/health/",
        "/api-auth/apps/",
        "/portalx",
        "/api-auth/apps/%00",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_404_for_an_unknown_address_without_a_redirect(path: str, method: str) -> None:
    assert_error_object(Client().generic(method, path), 404)


def test_413_before_the_body_is_read(backend: Client) -> None:
    body = json.dumps({"app_slug": "aa_1", "name": "x" * 70_000, "key_prefix": "aa"})
    assert_error_object(backend.post("/api-auth/apps", body, content_type=JSON), 413)


def test_413_for_a_gigabyte_that_never_comes(backend: Client) -> None:
    assert_error_object(backend.generic("POST", "/api-auth/apps", "", CONTENT_LENGTH=str(2**30)), 413)


def test_411_for_a_body_of_unknown_length(backend: Client) -> None:
    headers = {"Transfer-Encoding": "chunked"}
    assert_error_object(backend.generic("POST", "/api-auth/apps", "", headers=headers), 411)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1@evil.example", "x/#@evil", "a b"])
def test_400_for_a_host_that_is_not_ours(backend: Client, host: str) -> None:
    assert_error_object(backend.get("/api-auth/apps", headers={"Host": host}), 400)


def test_a_failing_forgery_check_is_no_page_on_a_json_path(app: App, db: None) -> None:
    client = Client(enforce_csrf_checks=True)
    assert_error_object(client.post("/api-auth/keys", "name=x", content_type="application/x-www-form-urlencoded"), 401)
    assert_error_object(client.post("/session/tickets", {}, content_type=JSON), 401)


CANARY = "SELECT secret_column FROM hidden_table"


def test_500_says_nothing_of_what_happened_and_the_log_has_the_traceback(
    backend: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr(auth.deployments, "authenticate_backend_key", fail)
    backend.raise_request_exception = False
    with caplog.at_level(logging.ERROR):
        response = backend.get("/api-auth/apps")
    body = assert_error_object(response, 500)
    assert CANARY not in response.content.decode()
    assert "RuntimeError" not in response.content.decode()
    assert body["code"] == "error"
    assert any("Traceback" in str(record.msg) and CANARY in str(record.msg) for record in caplog.records)


def test_503_while_the_database_does_not_answer(backend: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OperationalError(CANARY)

    monkeypatch.setattr(auth.deployments, "authenticate_backend_key", fail)
    response = backend.get("/api-auth/apps")
    assert_error_object(response, 503)
    assert response["Retry-After"] == "1"
    assert CANARY not in response.content.decode()


def test_codes_are_numbers_for_backends_and_words_for_browsers(backend: Client, app: App) -> None:
    assert backend.get("/api-auth/apps/none").json()["errors"][0]["code"] == 404
    assert Client().get("/api-auth/session").json()["errors"][0]["code"] == "not_authenticated"


def test_401_says_which_credential_is_wanted(db: None) -> None:
    response = Client().get("/api-auth/apps")
    assert_error_object(response, 401)
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("given", "kept"),
    [("abc-1.2_3", True), ("a" * 128, True), ("a" * 129, False), ("", False), ("a b", False), ("é", False)],
)
def test_a_request_id_is_kept_where_it_is_plain_and_made_otherwise(given: str, kept: bool) -> None:
    answered = Client().get("/health", headers={"X-Request-Id": given})["X-Request-Id"]
    assert (answered == given) is kept
    assert len(answered) >= 1


def test_the_log_line_has_neither_query_nor_header_nor_body(
    backend: Client, session_for: Callable[..., OpenedSession], caplog: pytest.LogCaptureFixture
) -> None:
    backend.cookies["ks_session"] = session_for().token
    with caplog.at_level(logging.INFO):
        backend.post("/session/tickets?ticket=kst_query", {"name": "in the body"}, content_type=JSON)
        Client().get("/session/ticket/exchange?ticket=kst_secret", headers={"X-Odd": "in a header"})
    lines = [str(record.msg) for record in caplog.records if record.name == "keystead.web"]
    assert len(lines) == 2
    assert "/session/tickets" in lines[0]
    written = "\n".join(f"{record.msg} {record.args}" for record in caplog.records)
    for hidden in ("kst_query", "kst_secret", "in the body", "in a header", "Bearer", "kss_"):
        assert hidden not in written


@pytest.mark.parametrize("path", ["/health", "/ready"])
@pytest.mark.django_db
def test_health_answers_without_a_credential(path: str) -> None:
    response = Client().get(path)
    assert (response.status_code, response["Content-Type"]) == (200, JSON)
    assert Client().head(path).status_code == 200


def test_not_ready_while_a_migration_is_missing(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from apiauth.http import health

    monkeypatch.setattr(health, "_newest_migrations", lambda: frozenset({("apiauth", "9999_of_the_next_release")}))
    assert_error_object(Client().get("/ready"), 503)
    assert Client().get("/health").status_code == 200


def test_every_json_answer_is_kept_out_of_caches(backend: Client, app: App) -> None:
    for path in ("/api-auth/apps", "/api-auth/apps/none", "/api-auth/session", "/deployment", "/health"):
        assert backend.get(path)["Cache-Control"] == "no-store, private"


@override_settings(ALLOWED_HOSTS=["keys.example"])
def test_absolute_addresses_come_from_settings_never_from_the_request(backend: Client, deployment: Deployment) -> None:
    data = backend.get("/deployment", headers={"Host": "keys.example"}).json()["data"]
    assert data["backend_host"] == settings.ENVIRONMENT.public_url
