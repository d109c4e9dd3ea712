"""Gives a test run its own data folder, secrets and database; loaded before Django reads its settings.

The server is the embedded one, thrown away at the end, unless DATABASE_URL names another.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from config import first_secrets
from config.postgres import EmbeddedPostgres


def _prepare() -> None:
    folder = Path(tempfile.mkdtemp(prefix="keystead-test-"))
    os.environ["KEYSTEAD_DATA_DIR"] = str(folder)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("KEYSTEAD_CALLS_PER_MINUTE", "1000000")  # a test may send thousands of odd bodies
    first_secrets.make(folder / "secrets")
    (folder / "static").mkdir()
    if not os.environ.get("DATABASE_URL"):
        server = EmbeddedPostgres(folder, durable=False)
        os.environ["DATABASE_URL"] = server.start()
        atexit.register(server.stop)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


if "KEYSTEAD_TEST_RUN" not in os.environ:
    os.environ["KEYSTEAD_TEST_RUN"] = "1"
    _prepare()
