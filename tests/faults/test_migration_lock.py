"""A migration that cannot have its lock gives up soon, and those who wait behind it go on."""

import threading

import psycopg
import pytest
from django.db import OperationalError, connection

from tests.support.database import dsn
from tests.support.running import until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(60)]


def test_a_lock_that_is_not_to_be_had_is_given_up_and_nothing_is_changed(app):
    """A change of a table waits for every reader, and every reader that comes later waits behind it."""
    with psycopg.connect(dsn()) as reader, psycopg.connect(dsn(), autocommit=True) as later:
        reader.execute("SELECT count(*) FROM apiauth_app")  # its transaction stays open
        refused = []

        def migrate():
            with connection.cursor() as cursor:
                try:
                    cursor.execute("ALTER TABLE apiauth_app ADD COLUMN of_a_later_release integer")
                except OperationalError as error:
                    refused.append(error.__cause__)
            connection.close()

        thread = threading.Thread(target=migrate)
        thread.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'apiauth_app'::regclass"
        until(lambda: reader.execute(waiting).fetchone() == (1,), 10, "the migration waits")
        assert later.execute("SELECT count(*) FROM apiauth_app").fetchone() == (1,)
        thread.join()
        assert [type(error) for error in refused] == [psycopg.errors.LockNotAvailable]
        columns = later.execute("SELECT * FROM apiauth_app LIMIT 0").description
        assert "of_a_later_release" not in [column.name for column in columns]
