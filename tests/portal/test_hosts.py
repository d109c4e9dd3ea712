"""People reach the pages by one address, so that a cookie set there comes back."""

import pytest
from django.test import Client

PUBLIC = "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    "address", ["/portal/", "/portal/logs?outcome=blocked", "/vanity/api-auth?ticket=x", "/admin/"]
)
def test_a_page_of_localhost_leads_to_the_public_address(client: Client, address: str) -> None:
    answer = client.get(address, headers={"Host": "localhost:8000"})
    assert (answer.status_code, answer["Location"]) == (302, PUBLIC + address)
    assert "no-store" in answer["Cache-Control"]
    assert answer["Referrer-Policy"] == "no-referrer"


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/health", "/api-auth/apps", "/static/none.css"])
def test_what_is_no_page_answers_on_both_names(client: Client, address: str) -> None:
    assert client.get(address, headers={"Host": "localhost:8000"}).status_code != 302


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "x/#@evil", "127.0.0.1.evil.example"])
@pytest.mark.parametrize("address", ["/portal/", "/vanity/api-auth?ticket=x", "/admin/", "/api-auth/apps"])
def test_a_stranger_host_is_refused_and_leads_nowhere(client: Client, address: str, host: str) -> None:
    answer = client.get(address, headers={"Host": host})
    assert answer.status_code == 400
    assert "Location" not in answer


@pytest.mark.django_db
@pytest.mark.parametrize("address", ["/portal/expired", "/admin/login/", "/health"])
def test_every_answer_keeps_to_its_own_origin_and_asks_for_no_device(client: Client, address: str) -> None:
    answer = client.get(address)
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in answer["Permissions-Policy"]
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_the_admin_is_found_without_its_last_slash(client: Client) -> None:
    answer = client.get("/admin")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/")
