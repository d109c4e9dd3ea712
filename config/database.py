"""Ask a database server of the operator's own whether Keystead can use it; say why not in one sentence.

Runs as a child of `up`, so that the supervisor needs no database driver.
"""

import os
import sys
from urllib.parse import urlsplit

import psycopg

OLDEST_VERSION = 150_000
CONNECT_SECONDS = 5


def problem_with(url: str) -> str | None:
    """Return the sentence that says why this database cannot be used, without the password."""
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_SECONDS) as connection:
            version = connection.info.server_version
    except psycopg.Error as error:
        where, why = _place(url), _reason(error, url)
        return f"The database of DATABASE_URL cannot be reached{where} ({why}): start it, or correct DATABASE_URL."
    if version < OLDEST_VERSION:
        return "The database of DATABASE_URL is older than PostgreSQL 15: upgrade the server."
    return None


def _place(url: str) -> str:
    try:
        parts = urlsplit(url)
        return f" at {parts.hostname}:{parts.port or 5432}" if parts.hostname else ""
    except ValueError:
        return ""


def _reason(error: psycopg.Error, url: str) -> str:
    """Return the driver's last words, unless they repeat the URL or what is secret in it."""
    text = " ".join(str(error).split()) or type(error).__name__
    try:
        secret = urlsplit(url).password or url
    except ValueError:
        secret = url
    return "the address is not understood" if secret in text or url in text else text[:200]


def main() -> int:
    """Check `DATABASE_URL`."""
    sentence = problem_with(os.environ["DATABASE_URL"])
    if sentence:
        print(sentence)
    return 1 if sentence else 0


if __name__ == "__main__":
    sys.exit(main())
