"""The pages of the API reference: what the documents say, for everyone, without a script."""

import html
import re
from typing import Any

import pytest
from django.test import Client

from apiauth.http.openapi.documents import DOCUMENTS
from apiauth.http.openapi.words import FIELDS

each_document = pytest.mark.parametrize("name", DOCUMENTS)


@pytest.fixture(autouse=True)
def plain_static_files(settings: Any, db: None) -> None:
    """Serve static files by their own names: no test of a page needs them collected first."""
    settings.STATIC_ROOT.mkdir(exist_ok=True)
    settings.STORAGES = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}


def text_of(response: Any) -> str:
    """Return what a reader sees, in one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", response.content.decode())).split())


@each_document
def test_every_operation_stands_on_its_page_with_examples_in_three_languages(name: str) -> None:
    page = Client().get(f"/docs/{name}").content.decode()

    for path, item in DOCUMENTS[name]()["paths"].items():
        for method, operation in item.items():
            _, _, rest = page.partition(f'id="{operation["operationId"]}"')
            part = rest.partition("<article")[0]
            shown = " ".join(html.unescape(re.sub(r"<[^>]+>", "", part)).split())
            assert f"{method.upper()} {path}" in shown
            assert "fetch(" in shown
            assert "urllib.request" in shown
            assert "curl " in shown


@each_document
def test_every_parameter_field_and_status_stands_on_the_page(name: str) -> None:
    shown = text_of(Client().get(f"/docs/{name}"))
    document = DOCUMENTS[name]()

    for item in document["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", []):
                if "$ref" not in parameter:
                    assert parameter["name"] in shown
            for status in operation["responses"]:
                assert status in shown
    for schema in document["components"]["schemas"].values():
        for field in schema.get("properties", {}):
            assert field in shown
    ids = re.findall(r' id="([^"]+)"', Client().get(f"/docs/{name}").content.decode())
    assert len(ids) == len(set(ids))


def test_a_fields_words_and_bounds_are_told_once_and_together() -> None:
    shown = text_of(Client().get("/docs/backend"))

    assert f"{FIELDS['key_cap']} 1 to 100000." in shown
    assert "1 to 500; a number outside is moved to the nearer end." in shown
    assert "One of viewer, member, admin, owner." in shown


@pytest.mark.parametrize("path", ["/docs/", *(f"/docs/{name}" for name in DOCUMENTS)])
def test_a_page_needs_no_login_no_cookie_no_script_and_no_other_host(path: str) -> None:
    response = Client().get(path)
    page = response.content.decode()

    assert response.status_code == 200
    assert not response.cookies
    assert "<script" not in page
    assert "script-src 'self'" in response["Content-Security-Policy"]
    assert set(response["Cache-Control"].split(", ")) == {"max-age=300", "public"}
    loaded = re.findall(r'<(?:link|img|script|iframe)[^>]+(?:href|src)="([^"]+)"', page)
    assert loaded
    assert all(address.startswith("/static/") for address in loaded)


def test_the_examples_call_the_address_that_this_installation_goes_by(settings: Any) -> None:
    page = Client().get("/docs/backend").content.decode()

    assert f"curl {settings.ENVIRONMENT.public_url}/session/tickets" in page


def test_the_short_address_leads_to_the_first_page() -> None:
    response = Client().get("/docs")

    assert (response.status_code, response["Location"]) == (301, "/docs/")


def test_404_for_an_unknown_api_is_a_page() -> None:
    response = Client().get("/docs/none")

    assert response.status_code == 404
    assert response["Content-Type"].startswith("text/html")
