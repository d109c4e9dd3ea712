"""The examples of the API reference run as they stand, in all three languages, against a running Keystead."""

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from apiauth.http.openapi import examples
from apiauth.http.openapi.documents import DOCUMENTS
from apiauth.http.openapi.requests import example_request
from apiauth.http.openapi.snippets import LANGUAGES
from tests.support.node import npm
from tests.support.running import Running, until
from tests.support.snippets import run_node, run_python, run_shell

pytestmark = [pytest.mark.processes, pytest.mark.timeout(240)]

RUN = {"curl": run_shell, "JavaScript": run_node, "Python": run_python}
each_language = pytest.mark.parametrize("language", LANGUAGES)


class World:
    """What the examples speak of, made in a running Keystead."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.variables = {"BACKEND_KEY": running.backend_key}
        self.call("POST", "/api-auth/rate-limit-schemes", examples.BODIES["SchemeCreate"])
        self.call("POST", "/api-auth/apps", examples.BODIES["AppCreate"])
        self.key = self.make_key()

    def call(self, method: str, path: str, body: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.running.backend_key}", "Content-Type": "application/json"}
        request = Request(self.running.web_url + path, json.dumps(body).encode(), headers, method=method)
        with urlopen(request, timeout=10) as response:
            return json.load(response)

    def make_key(self) -> Any:
        return self.call("POST", "/api-auth/apps/aa_northwind/keys", examples.BODIES["KeyCreate"])

    def is_known(self, secret: str) -> bool:
        """Tell whether a gateway lets a key through; each asks the database for a key that it does not know."""
        question = {"principal": {"type": "api_key", "value": secret}, "resource": "/", "method": "GET"}
        body = json.dumps({**question, "client_ip": "203.0.113.9"}).encode()
        request = Request(f"{self.running.gateway_url}/v1/authz/check", body, method="POST")
        try:
            with urlopen(request, timeout=10) as response:
                return bool(json.load(response)["allowed"])
        except HTTPError:
            return False

    def open_session(self) -> None:
        """Exchange a fresh ticket, and keep its cookie where a reader would."""
        ticket = self.call("POST", "/session/tickets", examples.BODIES["TicketCreate"])["ticket"]
        request = Request(f"{self.running.web_url}/session/ticket/exchange?ticket={ticket}")
        request.add_header("Accept", "application/json")
        with urlopen(request, timeout=10) as response:
            self.variables["SESSION"] = response.headers["Set-Cookie"].partition("=")[2].partition(";")[0]

    def run(self, api: str, operation_id: str, language: str) -> Any:
        """Run an example with this world's names in it; return the JSON or the text that it prints."""
        document = DOCUMENTS[api]()
        path, method = next(
            (path, method)
            for path, item in document["paths"].items()
            for method, operation in item.items()
            if operation["operationId"] == operation_id
        )
        base_url = self.running.gateway_url if api == "gateway" else self.running.web_url
        code = LANGUAGES[language](example_request(document, path, method, base_url=base_url))
        code = code.replace(examples.KEY_ID, self.key["id"]).replace("nw_live_…", self.key["secret"])
        return RUN[language](code, self.variables)


@pytest.fixture(scope="module")
def world(running: Running) -> World:
    npm()
    return World(running)


READS = ("listApps", "getApp", "listKeys", "getScheme", "getLogs", "getAnalytics", "getTimeseries", "health")
CHANGES = ("issueTicket", "updateApp", "createKey", "updateScheme")


@each_language
@pytest.mark.parametrize("operation", [*READS, *CHANGES])
def test_an_example_of_the_backend_api_runs(world: World, operation: str, language: str) -> None:
    printed = world.run("backend", operation, language)

    assert "message" not in printed
    assert printed.strip().startswith("{")


@each_language
def test_an_export_is_a_file(world: World, language: str) -> None:
    printed = world.run("backend", "exportActivity", language)
    assert printed.startswith("sequence,at,event,key_id,")


@each_language
def test_a_key_is_rotated_and_revoked_by_the_examples(world: World, language: str) -> None:
    world.key = world.make_key()

    assert "secret" in world.run("backend", "rotateKey", language)
    assert world.run("backend", "revokeKey", language).strip() == "{}"


@each_language
def test_the_example_of_a_check_is_allowed(world: World, language: str) -> None:
    world.key = world.make_key()
    until(lambda: world.is_known(world.key["secret"]), 5, "every gateway knows the new key")

    printed = world.run("gateway", "check", language)

    assert "aa_northwind" in printed
    assert "permission_denied" not in printed


@pytest.mark.parametrize("language", ["curl", "Python"])
def test_an_example_of_the_session_api_runs_with_a_sessions_cookie(world: World, language: str) -> None:
    world.open_session()

    assert "aa_northwind" in world.run("session", "getSession", language)
    assert "Billing worker" in world.run("session", "listKeys", language)
