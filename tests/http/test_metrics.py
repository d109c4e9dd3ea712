"""Who hears the metrics, and that they count what happened."""

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.test import Client
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from apiauth.audit.drain import Drain
from apiauth.audit.lag import Lag
from apiauth.audit.partitions import ensure_partitions
from apiauth.core import clock
from apiauth.core.limits import LimitRule, Unit
from apiauth.http.gateway import Admission, Gateway, NetworkAdmission, TokenAdmission
from apiauth.http.gateway_metrics import GatewayMetrics
from apiauth.http.web_metrics import REGISTRY
from apiauth.models import Deployment
from apiauth.services import deployments
from apiauth.services.keys import IssuedKey
from apiauth.verify.limiter import STRETCHES, Claim, identity_by_address
from config import env
from tests.conftest import ACTOR
from tests.support.database import dsn
from tests.support.decisions import decision, put_on_record
from tests.support.gateways import GatewayInProcess
from tests.support.mail_queue import leave_mail

TOKEN = "an-operators-own-token"
REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "metrics.md"
Samples = dict[str, float]


def samples(text: bytes) -> Samples:
    """Return every sample as `name{label="value"}`, without the label of the process."""
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sample.labels.items() if name != "process")
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


class Scraped:
    """A gateway whose metrics can be asked for as over its listener."""

    def __init__(self, gateway: GatewayInProcess, admission: Admission | None = None) -> None:
        self.gateway = gateway
        parts: dict[str, Any] = {
            "checker": gateway.checker,
            "snapshot": gateway.snapshot,
            "admission": admission or gateway.admission,
        }
        metrics = GatewayMetrics(**parts, spool=gateway.folder / "spool", token=TOKEN)
        gateway.application = Gateway(**parts, metrics=metrics)

    def ask(self, **environ: Any) -> tuple[int, bytes]:
        status: list[str] = []
        asked = {"REQUEST_METHOD": "GET", "PATH_INFO": "/metrics", "REMOTE_ADDR": "127.0.0.1", **environ}
        body = self.gateway.application(asked, lambda line, headers: status.append(line))
        return int(status[0][:3]), b"".join(body)

    def samples(self) -> Samples:
        status, text = self.ask()
        assert status == 200
        return samples(text)


@pytest.fixture
def gateway(transactional_db: None, tmp_path: Path) -> Iterator[GatewayInProcess]:
    gateway = GatewayInProcess(tmp_path)
    yield gateway
    gateway.close()


@pytest.fixture
def secret(make_key: Callable[..., IssuedKey]) -> str:
    return make_key(permissions=["routes:read"]).secret.text


def test_a_gateway_counts_its_decisions_by_their_rule(gateway: GatewayInProcess, secret: str) -> None:
    scraped = Scraped(gateway)
    for _ in range(3):
        gateway.check(secret)
    gateway.check(secret, required_permissions=["routes:write"])
    gateway.check("no key")
    found = scraped.samples()
    assert found["keystead_checks_total{outcome=allowed,rule=}"] == 3
    assert found["keystead_checks_total{outcome=blocked,rule=permission_denied}"] == 1
    assert found["keystead_checks_total{outcome=blocked,rule=key_malformed}"] == 1
    assert found["keystead_check_duration_seconds_count{}"] == 5
    assert found["keystead_check_duration_seconds_bucket{le=+Inf}"] == 5
    assert 0 < found["keystead_check_duration_seconds_sum{}"] < 5
    assert found["keystead_gateway_keys{}"] == 1
    assert found["keystead_gateway_stale_seconds{}"] < 15
    assert found["keystead_spool_bytes{}"] > 0
    assert found["keystead_spool_quarantined{}"] == 0


def test_calls_denied_for_want_of_room_are_counted(gateway: GatewayInProcess) -> None:
    scraped = Scraped(gateway)
    assert scraped.samples()["keystead_limits_crowded_total{}"] == 0
    rule = LimitRule(id="r", unit=Unit.DAY, duration=1, max_requests=5)
    room = 4096 // STRETCHES
    for number in range(room + 3):
        gateway.limiter.take([Claim(rule, identity_by_address(rule, 1, number))], clock.now_ms())
    assert scraped.samples()["keystead_limits_crowded_total{}"] == gateway.limiter.state().crowded_denials >= 3


def test_damage_that_was_put_aside_is_counted_in_metrics_and_health(gateway: GatewayInProcess) -> None:
    scraped = Scraped(gateway)
    aside = gateway.folder / "spool" / "quarantine"
    aside.mkdir()
    (aside / "a.spool.0.bad").write_bytes(b"x")
    assert scraped.samples()["keystead_spool_quarantined{}"] == 1
    assert gateway.call(b"", path="/health", method="GET")[2]["spool"]["quarantined"] == 1


def test_503_on_the_log_where_the_spool_cannot_be_measured(gateway: GatewayInProcess) -> None:
    scraped = Scraped(gateway)
    (gateway.folder / "spool" / "quarantine").symlink_to("quarantine")
    with capture_logs() as lines:
        status, body = scraped.ask()
    assert (status, json.loads(body)["code"]) == (503, "unavailable")
    assert [line["event"] for line in lines] == ["gateway.failed"]


def test_a_batch_counts_each_of_its_checks_and_its_size(gateway: GatewayInProcess) -> None:
    scraped = Scraped(gateway)
    check = b'{"principal":{"type":"api_key","value":"x"},"resource":"/a","method":"GET"}'
    gateway.call(b'{"checks":[%b,%b,%b]}' % (check, check, check), path="/v1/authz/check-batch")
    found = scraped.samples()
    assert found["keystead_checks_total{outcome=blocked,rule=key_malformed}"] == 3
    assert found["keystead_check_batch_size_bucket{le=2}"] == 0
    assert found["keystead_check_batch_size_bucket{le=5}"] == 1


def test_what_is_refused_undecided_is_counted_by_its_code(gateway: GatewayInProcess) -> None:
    scraped = Scraped(gateway)
    gateway.call(b"{")
    gateway.call(b"{}", peer="8.8.8.8")
    found = scraped.samples()
    assert found["keystead_gateway_refusals_total{code=caller_not_allowed}"] == 1
    assert sum(count for name, count in found.items() if name.startswith("keystead_checks_total")) == 0


def test_one_gateway_answers_for_all_that_share_its_spool(gateway: GatewayInProcess, tmp_path: Path) -> None:
    first = Scraped(gateway)
    folder = gateway.folder / "spool" / "metrics"
    first.samples()
    (own,) = folder.glob("gateway-*.json")
    (folder / "gateway-1.json").write_bytes(own.read_bytes())
    _, text = first.ask()
    assert text.count(b"\nkeystead_gateway_keys{process=") == 2


def test_a_worker_says_how_far_behind_it_is(gateway: GatewayInProcess) -> None:
    scraped = Scraped(gateway)
    gateway.check("no key")
    spool = gateway.folder / "spool"
    with psycopg.connect(dsn(), autocommit=True) as connection:
        ensure_partitions(connection)
        Lag(connection, spool).note(0)
        behind = scraped.samples()
        Lag(connection, spool).note(Drain(connection, spool).drain())
    level = scraped.samples()
    assert behind["keystead_worker_lag_bytes{}"] > 0
    assert (level["keystead_worker_lag_bytes{}"], level["keystead_worker_decisions_total{}"]) == (0, 1)


def test_without_a_worker_nothing_is_said_of_one(gateway: GatewayInProcess) -> None:
    assert not [name for name in Scraped(gateway).samples() if name.startswith("keystead_worker")]


def test_callers_from_elsewhere_hear_no_metrics_but_with_the_token(gateway: GatewayInProcess) -> None:
    scraped = Scraped(gateway, NetworkAdmission())
    assert scraped.ask(REMOTE_ADDR="8.8.8.8")[0] == 403
    assert scraped.ask(REMOTE_ADDR="8.8.8.8", HTTP_AUTHORIZATION="Bearer wrong")[0] == 403
    assert scraped.ask(REMOTE_ADDR="8.8.8.8", HTTP_AUTHORIZATION=f"Bearer {TOKEN}")[0] == 200
    assert scraped.ask(REQUEST_METHOD="POST")[0] == 405


def test_a_tenants_backend_key_opens_no_metrics(gateway: GatewayInProcess, deployment: Deployment) -> None:
    scraped = Scraped(gateway, TokenAdmission(gateway.snapshot, gateway.peppers))
    key = deployments.issue_backend_key(deployment_id=deployment.id, name="x", actor=ACTOR, now=clock.now())
    assert scraped.ask()[0] == 401
    gateway.listener.look_up()
    status, text = scraped.ask(HTTP_AUTHORIZATION=f"Bearer {key.secret.text}")
    assert status == 403
    assert b"metrics_not_for_tenants" in text
    assert scraped.ask(HTTP_AUTHORIZATION=f"bearer {TOKEN}")[0] == 200


@pytest.fixture
def operators_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ENVIRONMENT", dataclasses.replace(settings.ENVIRONMENT, metrics_token=TOKEN))


@pytest.mark.django_db
def test_the_web_counts_requests_by_route_for_who_has_the_token(client: Client, operators_token: None) -> None:
    def asked() -> Samples:
        answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200
        return samples(answer.content)

    name = "keystead_http_requests_total{method=GET,route=http:health,status=200}"
    before = asked().get(name, 0)
    client.get("/health")
    client.get("/no/such/address")
    found = asked()
    assert found[name] == before + 1
    assert found["keystead_http_requests_total{method=GET,route=,status=404}"] >= 1
    assert found["keystead_http_request_duration_seconds_count{route=http:health}"] >= 1


@pytest.mark.django_db
def test_the_web_tells_of_mails_that_wait(
    client: Client, operators_token: None, make_key: Callable[..., IssuedKey]
) -> None:
    def asked() -> Samples:
        return samples(client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).content)

    assert (asked()["keystead_mails_unsent{}"], asked()["keystead_mails_unsent_seconds{}"]) == (0, 0)
    leave_mail(make_key().key, clock.now() - timedelta(minutes=9))
    found = asked()
    assert found["keystead_mails_unsent{}"] == 1
    assert 540 <= found["keystead_mails_unsent_seconds{}"] < 600


@pytest.mark.django_db
def test_the_web_tells_of_decisions_without_a_partition_of_their_day(client: Client, operators_token: None) -> None:
    def stray() -> float:
        answer = client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        return samples(answer.content)["keystead_decisions_stray{}"]

    put_on_record([decision(clock.now())])
    assert stray() == 0
    put_on_record([decision(clock.now() + timedelta(days=40))])
    assert stray() == 1


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}])
@pytest.mark.django_db
def test_the_web_has_no_metrics_without_the_token(
    client: Client, operators_token: None, headers: dict[str, str]
) -> None:
    assert client.get("/metrics", headers=headers).status_code == 404


@pytest.mark.django_db
def test_the_web_has_no_metrics_where_no_token_is_set(client: Client) -> None:
    assert settings.ENVIRONMENT.metrics_token is None
    assert client.get("/metrics", headers={"Authorization": "Bearer None"}).status_code == 404
    assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404


def test_the_token_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    named = {"KEYSTEAD_METRICS_TOKEN_FILE": str(tmp_path / "token"), "KEYSTEAD_DATA_DIR": str(tmp_path)}
    assert env.optional_secret("METRICS_TOKEN", named) == TOKEN
    assert env.optional_secret("METRICS_TOKEN", {"KEYSTEAD_DATA_DIR": str(tmp_path)}) is None
    with pytest.raises(env.EnvironmentProblem, match="METRICS_TOKEN"):
        env.optional_secret("METRICS_TOKEN", {"KEYSTEAD_METRICS_TOKEN_FILE": str(tmp_path / "gone")})


def test_the_reference_lists_the_metrics_that_there_are(gateway: GatewayInProcess) -> None:
    scraped = Scraped(gateway)
    with psycopg.connect(dsn(), autocommit=True) as connection:
        Lag(connection, gateway.folder / "spool").note(0)
    text = scraped.ask()[1] + generate_latest(REGISTRY)
    families = text_string_to_metric_families(text.decode())
    there_are = {
        (f"{family.name}_total" if family.type == "counter" else family.name, family.type) for family in families
    }
    listed = re.findall(r"^\| `(keystead_[a-z_]+)` \| (\w+) \|", REFERENCE.read_text(), re.MULTILINE)
    assert set(listed) == there_are
    assert len(listed) == len(there_are)
