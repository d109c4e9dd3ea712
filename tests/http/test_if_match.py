"""`If-Match`: a change never overwrites another that its caller has not seen."""

import pytest
from django.test import Client

from apiauth.models import App

JSON = "application/json"
APP = "/api-auth/apps/aa_1"
SCHEME = "/api-auth/rate-limit-schemes/basic"


@pytest.fixture(params=[APP, SCHEME])
def address(request: pytest.FixtureRequest, backend: Client, app: App) -> str:
    rules = [{"unit": "minute", "duration": 1, "max_requests": 60}]
    body = {"slug": "basic", "name": "Basic", "rules": rules}
    assert backend.post("/api-auth/rate-limit-schemes", body, content_type=JSON).status_code == 200
    return str(request.param)


def rename(backend: Client, address: str, name: str, tag: str | None = None) -> tuple[int, str]:
    headers = {} if tag is None else {"If-Match": tag}
    response = backend.patch(address, {"name": name}, content_type=JSON, headers=headers)
    return response.status_code, response.get("ETag", "")


@pytest.mark.parametrize("form", ["{0}", "W/{0}", '"other", {0}', "*"])
def test_200_and_a_new_etag_for_the_one_that_was_read(backend: Client, address: str, form: str) -> None:
    read = backend.get(address)["ETag"]
    status, changed = rename(backend, address, "Second", form.format(read))

    assert status == 200
    assert changed not in ("", read)
    assert backend.get(address)["ETag"] == changed


@pytest.mark.parametrize("tag", ["", "x", '"x"', '"', '"2031-04-05T06:07:08Z"', '"\x00"', '"caf\u00e9"'])
def test_412_for_another_etag(backend: Client, address: str, tag: str) -> None:
    before = backend.get(address).json()
    response = backend.patch(address, {"name": "Second"}, content_type=JSON, headers={"If-Match": tag})

    assert (response.status_code, response.json()["code"]) == (412, "changed_meanwhile")
    assert response.json()["errors"][0]["field"] == "If-Match"
    assert backend.get(address).json() == before


def test_412_for_the_second_of_two_who_read_the_same(backend: Client, address: str) -> None:
    read = backend.get(address)["ETag"]

    assert rename(backend, address, "Mine", read)[0] == 200
    assert rename(backend, address, "Yours", read)[0] == 412
    assert backend.get(address).json()["name"] == "Mine"


def test_without_the_header_the_last_change_stands(backend: Client, address: str) -> None:
    assert rename(backend, address, "Mine")[0] == rename(backend, address, "Yours")[0] == 200
    assert backend.get(address).json()["name"] == "Yours"
