"""Where people come by https, every answer tells their browsers to stay with it: TLS may end at a proxy before us."""

from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db
STATIC_FILES = "django.contrib.staticfiles.storage.StaticFilesStorage"  # pages are rendered without collecting first
ANSWERS = [
    pytest.param("GET", "/health", id="health"),
    pytest.param("GET", "/admin/login/", id="a page"),
    pytest.param("GET", "/admin/", id="a redirect"),
    pytest.param("GET", "/portal/keys", id="a page without a session"),
    pytest.param("GET", "/api-auth/apps", id="an error as JSON"),
    pytest.param("POST", "/session/ticket/exchange", id="a refused form"),
    pytest.param("OPTIONS", "/api-auth/session", id="a preflight"),
    pytest.param("GET", "/none", id="nothing there"),
    pytest.param("GET", "/static/none.css", id="no such file"),
]


@pytest.fixture(autouse=True)
def uncollected(settings: Any) -> None:
    settings.STORAGES = {"staticfiles": {"BACKEND": STATIC_FILES}}


@pytest.mark.parametrize("is_plain_to_us", [True, False], ids=["TLS ends at a proxy", "TLS"])
@pytest.mark.parametrize(("method", "path"), ANSWERS)
def test_behind_an_https_address_every_answer_asks_for_https(
    settings: Any, method: str, path: str, is_plain_to_us: bool
) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, public_url="https://testserver")
    settings.SECURE_HSTS_SECONDS = 31_536_000

    answer = Client().generic(method, path, secure=not is_plain_to_us)

    assert answer["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"


@pytest.mark.parametrize(("method", "path"), ANSWERS)
def test_behind_a_plain_address_no_answer_asks_for_https(settings: Any, method: str, path: str) -> None:
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, public_url="http://testserver")

    for secure in (False, True):
        assert "Strict-Transport-Security" not in Client().generic(method, path, secure=secure)
