"""Deployments, backend keys, tickets and the activity log from the command line."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection

from apiauth.core import clock
from apiauth.models import ActivityEntry, App, Deployment
from apiauth.services import deployments, sessions
from tests.commands.conftest import Ran

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., Ran]


def test_deployment_create_prints_an_id_and_a_backend_key_that_works(run: Run) -> None:
    ran = run("deployment", "create", "--name", "Acme", "--origin", "https://a.example", "--json")
    assert set(ran.json) == {"deployment_id", "backend_key"}
    row = deployments.authenticate_backend_key(ran.json["backend_key"], now=clock.now())
    assert str(row.deployment_id) == ran.json["deployment_id"]
    assert row.deployment.allowed_origins == ["https://a.example"]


def test_a_refusal_is_a_sentence_on_stderr_and_leaves_nothing(run: Run) -> None:
    ran = run("deployment", "create", "--name", "Acme", "--origin", "nowhere", "--json")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("An origin looks like")
    assert not Deployment.objects.exists()


def test_a_backend_key_is_made_listed_and_revoked(run: Run, deployment: Deployment) -> None:
    place = ("--deployment", str(deployment.id), "--json")
    made = run("backend_key", "create", "--name", "Next", "--scope", "tickets:issue", *place).json
    assert deployments.authenticate_backend_key(made["backend_key"], now=clock.now()).scopes == ["tickets:issue"]
    listed = run("backend_key", "list", *place)
    assert made["backend_key"] not in listed.out
    assert [row["status"] for row in listed.json["backend_keys"]] == ["active"]
    assert run("backend_key", "revoke", "--id", made["id"], *place).json["status"] == "revoked"
    again = run("backend_key", "revoke", "--id", made["id"], *place)
    assert (again.code, again.err.strip()) == (1, "This backend key is already revoked.")


def test_a_strangers_backend_key_cannot_be_revoked(
    run: Run, make_deployment: Callable[..., Deployment], backend_key: deployments.IssuedBackendKey
) -> None:
    other = make_deployment("Other")
    assert run("backend_key", "revoke", "--deployment", str(other.id), "--id", str(backend_key.row.id)).code == 1


def test_a_ticket_opens_a_session_and_is_recorded(run: Run, app: App) -> None:
    arguments = ("--deployment", str(app.deployment_id), "--app", app.slug, "--subject", "u1", "--role", "viewer")
    found = run("ticket", *arguments, "--json").json
    assert set(found) == {"ticket", "url", "expires_at"}
    assert found["ticket"] in found["url"]
    opened = sessions.exchange_ticket(found["ticket"], client_ip=None, user_agent="", now=clock.now(), via="portal")
    assert (opened.session.role, opened.session.subject_id) == ("viewer", "u1")
    assert ActivityEntry.objects.get(event="ticket.issued").via == "command"


def test_a_ticket_for_no_app_is_refused(run: Run, deployment: Deployment) -> None:
    ran = run("ticket", "--deployment", str(deployment.id), "--app", "nope", "--subject", "u1", "--json")
    assert (ran.code, ran.out) == (1, "")


def test_a_whole_activity_log_is_verified(run: Run, app: App) -> None:
    found = run("activity", "verify", "--json").json
    assert (found["ok"], found["broken"]) == (True, [])
    assert found["entries"] == ActivityEntry.objects.count()


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        ('UPDATE apiauth_activityentry SET details = \'{"slug": "other"}\' WHERE app_id = %s', "the entry was altered"),
        ("DELETE FROM apiauth_activityentry WHERE app_id = %s", "entries are missing at the end"),
    ],
    ids=["edited", "deleted"],
)
def test_an_edit_past_the_triggers_is_named(run: Run, app: App, edit: str, problem: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # or the table has events pending
        cursor.execute("ALTER TABLE apiauth_activityentry DISABLE TRIGGER USER")
        cursor.execute(edit, [app.pk])
        cursor.execute("ALTER TABLE apiauth_activityentry ENABLE TRIGGER USER")
    ran = run("activity", "verify", "--json")
    assert ran.code == 1
    assert ran.json["broken"] == [{"chain": f"app:{app.pk}", "sequence": 1, "problem": problem}]


@pytest.mark.parametrize(
    "arguments",
    [
        ["deployment"],
        ["deployment", "create"],
        ["backend-key", "list", "--deployment", "x"],
        ["backend-key", "revoke", "--deployment", "1"],
        ["ticket", "--deployment", "1", "--app", "a", "--subject", "s", "--role", "king"],
        ["ticket", "--deployment", "٣", "--app", "a", "--subject", "s"],
        ["activity", "erase"],
        ["doctor", "--loud"],
        ["prepare", "--product-url", "javascript:x"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2_and_no_traceback(arguments: list[str]) -> None:
    variables = {**os.environ, "PYTHONWARNINGS": ""}
    command = [sys.executable, "manage.py", *arguments]
    ran = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "usage:" in ran.stderr
    assert "Traceback" not in ran.stderr
