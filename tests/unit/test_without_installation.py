"""What reads the code alone works in a checkout in which nothing was ever started."""

import os
import subprocess
import sys

from config.env import REPOSITORY


def test_migrations_are_checked_without_a_database_or_a_secret() -> None:
    command = [sys.executable, str(REPOSITORY / "manage.py"), "makemigrations", "--check", "--dry-run"]
    own = ("KEYSTEAD_", "DATABASE_", "DJANGO_")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    ran = subprocess.run(command, env=variables, capture_output=True, check=False, text=True, timeout=60)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "No changes detected\n", "")
