"""Production as the guide to it says: commands alone over an empty database, with secrets in files."""

import base64
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from config.env import REPOSITORY
from config.postgres import EmbeddedPostgres
from tests.support.processes import free_port, ready

pytestmark = [pytest.mark.processes, pytest.mark.timeout(180)]

PASSWORD = "a long password of an operator"  # of a database that ends with the test


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """What an operator sets: an empty database, files with secrets, and a data folder in which nothing is yet."""
    monkeypatch.delenv("KEYSTEAD_POSTGRES_PASSWORD", raising=False)
    with tempfile.TemporaryDirectory(prefix="keystead-production-") as folder:
        Path(folder).chmod(0o755)
        server = EmbeddedPostgres(Path(folder) / "data", durable=False)
        server.start()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KEYSTEAD_")}
        values = {
            "DJANGO_KEY": secrets.token_urlsafe(50),
            "PEPPERS": "1:" + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "ACTIVITY_KEY": secrets.token_urlsafe(50),
            "ADMIN_PASSWORD": PASSWORD,
        }
        for name, value in values.items():
            (tmp_path / name.lower()).write_text(value)
            kept[f"KEYSTEAD_{name}_FILE"] = str(tmp_path / name.lower())
        yield {**kept, "DATABASE_URL": server.database_url, "KEYSTEAD_DATA_DIR": str(tmp_path / "keystead")}
        server.remove()


def keystead(environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, str(REPOSITORY / "manage.py"), *arguments]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def serving(environment: dict[str, str], stack: ExitStack, *arguments: str) -> None:
    process = subprocess.Popen([sys.executable, str(REPOSITORY / "manage.py"), *arguments], env=environment)
    stack.callback(process.wait)
    stack.callback(process.terminate)


def styled(client: httpx.Client, path: str) -> httpx.Response:
    """Return a page that answers, whose style sheets are there too."""
    page = client.get(path, follow_redirects=True)
    assert page.status_code == 200
    sheets = re.findall(r'<link[^>]+rel="stylesheet"[^>]+href="([^"]+)"', page.text)
    sheets += re.findall(r'<link[^>]+href="([^"]+\.css)"', page.text)
    assert sheets
    assert {client.get(sheet).status_code for sheet in sheets} == {200}
    return page


def test_migrate_and_three_processes_are_a_whole_installation(environment: dict[str, str]) -> None:
    web, gateway = free_port(), free_port()
    environment["KEYSTEAD_PUBLIC_URL"] = f"http://127.0.0.1:{web}"
    environment["KEYSTEAD_GATEWAY_URL"] = f"http://127.0.0.1:{gateway}"
    assert "Made the first administrator, admin." in keystead(environment, "migrate")
    assert PASSWORD not in keystead(environment, "migrate"), "it may be repeated"

    with ExitStack() as stack:
        serving(environment, stack, "serve", "--port", str(web))
        serving(environment, stack, "gateway", "--port", str(gateway))
        serving(environment, stack, "worker")
        ready(web)
        ready(gateway)
        made = json.loads(keystead(environment, "deployment", "create", "--name", "Acme", "--json"))
        with httpx.Client(base_url=environment["KEYSTEAD_PUBLIC_URL"]) as client:
            key = {"Authorization": f"Bearer {made['backend_key']}"}
            app: dict[str, Any] = {"app_slug": "aa_1", "name": "Maps", "key_prefix": "acme"}
            assert client.post("/api-auth/apps", json=app, headers=key).status_code in (200, 201)
            place = ("--deployment", made["deployment_id"], "--app", "aa_1", "--subject", "u1")
            link = json.loads(keystead(environment, "ticket", *place, "--json"))["url"]
            assert "Maps" in styled(client, link).text
            login = styled(client, "/admin/login/")
            token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', login.text)
            assert token is not None
            form = {"username": "admin", "password": PASSWORD, "csrfmiddlewaretoken": token[1], "next": "/admin/"}
            inside = client.post("/admin/login/", data=form, headers={"Referer": str(login.url)})
            assert (inside.status_code, inside.headers["location"]) == (302, "/admin/")
        assert json.loads(keystead(environment, "doctor", "--json"))["ok"]

    with psycopg.connect(environment["DATABASE_URL"]) as database:
        groups = database.execute("SELECT name FROM auth_group ORDER BY name").fetchall()
    assert [name for (name,) in groups] == ["Security", "Support agent", "Support viewer"]


def test_the_tables_stand_in_the_schema_that_the_databases_url_names(environment: dict[str, str]) -> None:
    with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as database:
        database.execute("CREATE SCHEMA other")
        environment["DATABASE_URL"] += "&options=-csearch_path%3Dother"
        keystead(environment, "migrate")
        tables = database.execute(
            "SELECT DISTINCT table_schema FROM information_schema.tables "
            "WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
        ).fetchall()
    assert tables == [("other",)]
