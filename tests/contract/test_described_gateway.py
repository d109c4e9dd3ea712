"""schemathesis reads the gateway's document and tries it, with all its checks, on a gateway with a real database."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation

from apiauth.core.errors import Invalid
from apiauth.core.permissions import requirement
from apiauth.core.resource import normal_form
from apiauth.http.openapi.documents import DOCUMENTS
from apiauth.services.keys import IssuedKey
from apiauth.verify.addresses import parse_address
from tests.support.gateways import GatewayInProcess

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(180)]

EXAMPLES = settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
CONFIG: dict[str, Any] = {
    "generation": {
        "deterministic": True,
        "database": "none",
        "with-security-parameters": False,  # this gateway admits by network
        "allow-extra-parameters": False,  # in a query, which the gateway does not read
        "allow-x00": False,  # no text of a check may hold NUL; tests/http/test_gateway.py has it
    },
    "checks": {
        # Keys are made up but for one in two: 401 is the right answer to them.
        "positive_data_acceptance": {"expected-statuses": ["2xx", 401]},
        "negative_data_rejection": {"expected-statuses": ["4xx"]},
    },
}
GATEWAY = schemathesis.openapi.from_dict(DOCUMENTS["gateway"](), config=SchemathesisConfig.from_dict(CONFIG))


@pytest.fixture
def gateway(
    transactional_db: None, make_key: Callable[..., IssuedKey], tmp_path: Path
) -> Iterator[tuple[GatewayInProcess, str]]:
    secret = make_key(permissions=["routes:read"], metadata={"team": "blue"}).secret.text
    gateway = GatewayInProcess(tmp_path)
    yield gateway, secret
    gateway.close()


@GATEWAY.parametrize()
@EXAMPLES
def test_the_gateway_is_as_described(case: Any, gateway: tuple[GatewayInProcess, str]) -> None:
    gateway_in_process, secret = gateway
    keep_to_the_words(case, secret)
    case.call_and_validate(app=from_loopback(gateway_in_process.application))


def from_loopback(application: Callable[..., Any]) -> Callable[..., Any]:
    """Return an application whose every caller has an address, as over a network."""
    return lambda environ, start_response: application({**environ, "REMOTE_ADDR": "127.0.0.1"}, start_response)


def keep_to_the_words(case: Any, secret: str) -> None:
    """Ask about a known key half of the time, and keep to the rules that are told in words."""
    body = case.meta.components.get(ParameterLocation.BODY)
    if body is None or not body.mode.is_positive or not isinstance(case.body, dict):
        return
    asked = json.loads(json.dumps(case.body))
    for check in asked.get("checks", [asked]):
        keep_check_to_the_words(check, secret)
    case.body = asked


def keep_check_to_the_words(asked: dict[str, Any], secret: str) -> None:
    if len(asked["principal"]["value"]) % 2:
        asked["principal"]["value"] = secret
    asked["resource"] = kept(normal_form, asked["resource"], "/v1/a")
    if asked.get("client_ip") is not None:
        asked["client_ip"] = kept(parse_address, asked["client_ip"], "203.0.113.9")
    if asked.get("required_permissions") is not None:
        required = asked["required_permissions"]
        asked["required_permissions"] = [kept(requirement, text, "routes:read") for text in required]


def kept(check: Callable[[str], object], text: str, replacement: str) -> str:
    """Return a text, or the replacement for one that breaks a rule told in words."""
    try:
        check(text)
    except Invalid:
        return replacement
    return text
