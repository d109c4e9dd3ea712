"""What compares records and counts after a kill sees one that is missing, in whichever count."""

import psycopg
import pytest

from tests.db.test_drain import record, write
from tests.support.database import DECISION_TABLES, dsn
from tests.support.oracle import judge

pytestmark = pytest.mark.django_db(transaction=True)

ROLLUPS = [name for name in DECISION_TABLES.split(", ") if name.endswith("rollup")]


@pytest.mark.parametrize("rollup", ROLLUPS)
def test_a_count_that_lacks_rows_is_miscounted(tmp_path, rollup):
    write(tmp_path, [record(), record(key_id=None, rule="key_unknown"), record(app_id=None, key_id=None)])
    assert judge([], tmp_path, address=dsn()).miscounted == []
    with psycopg.connect(dsn(), autocommit=True) as connection:
        connection.execute(f"DELETE FROM {rollup}")
    assert [counts.rpartition(" ")[2] for counts, _, _ in judge([], address=dsn()).miscounted] == [rollup]
