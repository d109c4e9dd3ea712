"""The clock of a gateway's host is set an hour back and forth while it runs: no wrong answer, no second window."""

import itertools
from collections import Counter
from datetime import timedelta

import pytest

from apiauth.core import clock
from apiauth.services import apps, limits
from apiauth.verify.listener import POLL_SECONDS
from tests.conftest import ACTOR
from tests.support.gateway_process import GatewayProcess
from tests.support.oracle import calling
from tests.support.processes import GATEWAY
from tests.support.running import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.processes, pytest.mark.timeout(120)]

HOUR_MS = 3_600_000
ADMITTED = 1000
# As a host whose clock can be set: what a file says is added to it. The monotonic clock is another and goes on.
MOVABLE_CLOCK = """
import os, pathlib, time
moved = pathlib.Path(os.environ["MOVED_CLOCK"])
true_time, true_time_ns = time.time, time.time_ns
time.time = lambda: true_time() + int(moved.read_text())
time.time_ns = lambda: true_time_ns() + int(moved.read_text()) * 1_000_000_000
"""


@pytest.fixture
def move(tmp_path):
    """Set the clock of the gateway's host so many seconds ahead of the true one."""

    def move(seconds):
        draft = tmp_path / "moved.draft"
        draft.write_text(str(seconds))
        draft.replace(tmp_path / "moved")

    move(0)
    return move


@pytest.fixture
def gateway(move, tmp_path, transactional_db):
    gateway = GatewayProcess(tmp_path, code=MOVABLE_CLOCK + GATEWAY, MOVED_CLOCK=str(tmp_path / "moved"))
    yield gateway
    gateway.kill()


def limited(app):
    """Let the keys of an app be used so often in an hour, all together."""
    owner = {"deployment_id": app.deployment_id, "actor": ACTOR, "now": clock.now()}
    rule = {"unit": "hour", "duration": 1, "max_requests": ADMITTED}
    limits.create_scheme(slug="hourly", name="Hourly", rules=[rule], **owner)
    apps.update_app(slug=app.slug, changes={"rate_limit_scheme_slug": "hourly"}, **owner)


def test_every_answer_is_stale_or_right_and_it_recovers_by_the_next_poll(app, make_key, gateway, move):
    limited(app)
    now, half = clock.now(), timedelta(minutes=30)
    secret = make_key("used").secret.text
    ended = make_key("ended", expires_at=now - half, now=now - 4 * half).secret.text
    ending = make_key("ending", expires_at=now + half).secret.text
    gateway.until(ending, 200)
    with calling(gateway.port, secret=secret) as callers:
        for seconds in itertools.cycle((3600, 0, -3600, 0)):
            callers.wait_for(100)
            move(seconds)
            require_right(gateway, ended, ending)
            until(lambda: gateway.check(ending).status == 200, 3 * POLL_SECONDS, "it has asked the database again")
            require_right(gateway, ended, ending)
            if callers.heard(200) > ADMITTED + 200 and seconds == 0:
                break
    assert callers.statuses == {200, 503}, "it was noticed"
    gateway.until(ending, 200)
    verdict = gateway.judged(callers)
    verdict.require_whole()
    admitted = Counter(at_ms(name) // HOUR_MS for name, allowed in verdict.recorded.items() if allowed)
    assert max(admitted.values()) <= ADMITTED, "no window was opened twice"
    assert sum(admitted.values()) >= ADMITTED, "and none was closed before its end"
    ends = clock.to_ms(clock.now())
    assert all(clock.to_ms(now) - 1000 < at_ms(name) < ends + 1000 for name in verdict.recorded), (
        "by the database's clock"
    )


def require_right(gateway, ended, ending):
    """Fail where a key that has ended, or one that has not, is answered wrong; to answer nothing is right."""
    answers = [gateway.check(ended), gateway.check(ending)]
    told = [(answer.status, answer.body.get("rule") or answer.body.get("code")) for answer in answers]
    assert told[0] in {(401, "key_expired"), (503, "stale")}
    assert told[1] in {(200, None), (200, "rate_limited"), (503, "stale")}


def at_ms(request_id):
    """Return the moment that a decision's id tells."""
    return int(request_id.removeprefix("req_")[:12], 16)
