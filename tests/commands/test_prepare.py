"""The first run: once whatever happens, with its secrets in files that their owner alone can read."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import connection

from apiauth.core import clock
from apiauth.management import static_files
from apiauth.models import App, Deployment, Key, PepperCheck
from apiauth.services import deployments
from config import env, first_secrets
from tests.commands.conftest import Ran

Run = Callable[..., Ran]
ROOT = Path(__file__).resolve().parents[2]
PRODUCT = "http://127.0.0.1:9000"


@pytest.fixture(autouse=True)
def secrets_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Static files take seconds and have a test of their own; the demo's files do not outlive a test."""
    monkeypatch.setattr(static_files, "collect", lambda: False)
    folder = Path(settings.ENVIRONMENT.data_dir) / "secrets"
    yield folder
    for name in ("backend_key", "demo_traffic"):
        (folder / name).unlink(missing_ok=True)


def prepare(run: Run, *arguments: str, product: str = PRODUCT) -> Ran:
    return run("prepare", "--json", "--product-url", product, *arguments)


def test_the_first_run_makes_something_to_look_at(run: Run, secrets_folder: Path) -> None:
    found = prepare(run).json
    assert found.keys() == {"deployment_id", "backend_key_file", "app_slug", "admin_user", "first_run"}
    assert (found["app_slug"], found["admin_user"], found["first_run"]) == ("aa_demo", "admin", True)
    app = App.objects.get()
    assert (app.return_url, app.test_url) == (f"{PRODUCT}/settings", f"{PRODUCT}/v2/routes")
    keys = {key.name: key for key in Key.objects.all()}
    assert keys.keys() == {"Production API", "Billing worker", "Old importer"}
    assert keys["Old importer"].revoked_at is not None
    assert (keys["Billing worker"].expires_at or clock.now()) > clock.now()


def test_its_secrets_are_in_files_of_their_owners_alone_and_not_on_any_output(run: Run, secrets_folder: Path) -> None:
    ran = prepare(run)
    backend_key = Path(ran.json["backend_key_file"])
    traffic = secrets_folder / "demo_traffic"
    assert [path.stat().st_mode & 0o777 for path in (backend_key, traffic)] == [0o600, 0o600]
    handed = [key["secret"] for key in json.loads(traffic.read_text())["keys"]]
    assert len(handed) == 3
    secrets = [*handed, backend_key.read_text().strip(), env.secret("ADMIN_PASSWORD")]
    assert not any(secret in ran.out + ran.err for secret in secrets)
    row = deployments.authenticate_backend_key(backend_key.read_text().strip(), now=clock.now())
    assert str(row.deployment_id) == ran.json["deployment_id"]


def test_a_second_run_makes_nothing_twice_and_no_new_traffic(run: Run, secrets_folder: Path) -> None:
    first = prepare(run).json
    (secrets_folder / "demo_traffic").unlink()
    second = prepare(run).json
    assert second == {**first, "first_run": False}
    assert (Deployment.objects.count(), Key.objects.count(), User.objects.count()) == (1, 3, 1)
    assert not (secrets_folder / "demo_traffic").exists()


def test_the_demo_follows_its_product_to_another_port_and_keeps_other_origins(run: Run) -> None:
    prepare(run)
    row = Deployment.objects.get()
    row.allowed_origins.append("https://mine.example")
    row.save(update_fields=["allowed_origins"])
    prepare(run, product="http://127.0.0.1:9001")
    row.refresh_from_db()
    assert set(row.allowed_origins) == {"http://127.0.0.1:9001", "https://mine.example"}
    assert App.objects.get().return_url == "http://127.0.0.1:9001/settings"


def test_a_lost_backend_key_gets_a_successor(run: Run) -> None:
    path = Path(prepare(run).json["backend_key_file"])
    path.write_text("not a key")
    prepare(run)
    assert deployments.authenticate_backend_key(path.read_text().strip(), now=clock.now())


def test_no_demo_makes_the_administrator_and_the_groups_alone(run: Run) -> None:
    found = prepare(run, "--no-demo").json
    assert (found["deployment_id"], found["backend_key_file"], found["app_slug"]) == (None, None, None)
    assert not Deployment.objects.exists()
    assert User.objects.get().check_password(env.secret("ADMIN_PASSWORD"))
    assert {group.name for group in Group.objects.all()} == {"Support viewer", "Support agent", "Security"}


def test_a_changed_password_and_changed_groups_stay(run: Run) -> None:
    prepare(run, "--no-demo")
    user = User.objects.get()
    user.set_password("another long password")
    user.save()
    Group.objects.get(name="Security").permissions.clear()
    prepare(run, "--no-demo")
    user.refresh_from_db()
    assert user.check_password("another long password")
    assert not Group.objects.get(name="Security").permissions.exists()


def test_a_wrong_pepper_stops_the_start(run: Run) -> None:
    prepare(run, "--no-demo")
    PepperCheck.objects.update(fingerprint=b"another pepper's".ljust(32))
    ran = prepare(run, "--no-demo")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("Pepper 1 is not the one")


def test_a_pepper_that_keys_still_need_cannot_be_dropped(run: Run) -> None:
    prepare(run)
    PepperCheck.objects.create(version=7, fingerprint=bytes(32), first_seen_at=clock.now())
    assert prepare(run).code == 0
    Key.objects.filter(name="Production API").update(pepper_version=7)
    ran = prepare(run)
    assert ran.code == 1
    assert "Pepper 7 is missing, and live keys still need it (1)" in ran.err


def test_static_files_are_fingerprinted_by_their_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("a {}")
    monkeypatch.setattr(settings, "STATICFILES_DIRS", [tmp_path])
    static_files.get_finders.__globals__["get_finder"].cache_clear()
    before = static_files.fingerprint()
    assert static_files.fingerprint() == before
    (tmp_path / "a.css").write_text("a { color: red }")
    assert static_files.fingerprint() != before
    monkeypatch.undo()
    static_files.get_finders.__globals__["get_finder"].cache_clear()


def test_two_first_runs_at_once_take_turns(tmp_path: Path, transactional_db: None) -> None:
    """Over one database and one data folder, both end well and only one of them was the first."""
    first_secrets.make(tmp_path / "secrets")
    variables = {**os.environ, "KEYSTEAD_DATA_DIR": str(tmp_path), "DATABASE_URL": _url_of_test_database()}
    command = [sys.executable, "manage.py", "prepare", "--json", "--product-url", PRODUCT]
    running = [
        subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [process.communicate() for process in running]
    assert [process.returncode for process in running] == [0, 0], told
    assert sorted(json.loads(out)["first_run"] for out, _ in told) == [False, True]
    assert Deployment.objects.count() == 1


def _url_of_test_database() -> str:
    url = urlsplit(settings.ENVIRONMENT.database_url)
    return url._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
