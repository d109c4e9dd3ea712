"""What policy costs: the preview of a change beside a plain count of the same decisions.

    python -m bench.policy [--smoke] [--save]

The preview reads a key's newest 100,000 calls and decides each once more; every figure is the median
wall time of a warm call.
"""

import argparse
import os
import tempfile
from datetime import datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import psycopg

from bench import decisions
from bench.check import prepared
from bench.reading import milliseconds
from bench.report import Row, print_rows, save

CALLS, FEW_CALLS = 100_000, 2_000
MOST_MS = 1_000
COUNT = "SELECT count(*) FROM apiauth_decision WHERE key_id = %s AND app_id = %s AND allowed AND decided_at >= %s"


def previews(connection: psycopg.Connection[Any], calls: int, now: datetime) -> list[Row]:
    """Fill the log with calls of one key; return what the previews of changes to it take."""
    from apiauth.core.limits import LimitRule, Mode, Unit
    from apiauth.models import Key
    from apiauth.services import impact
    from apiauth.verify.replay import Proposal

    with tempfile.TemporaryDirectory() as folder:
        decisions.fill_key(connection, Path(folder), calls, now)
    key = Key(id=decisions.hot_key(), app_id=decisions.APP)
    proposals = {
        "revoke": Proposal(revoked=True),
        "addresses and permissions": Proposal(
            permissions=frozenset({"routes:read"}), networks=(ip_network("203.0.113.0/24"),)
        ),
        "a limit": Proposal(limits=(LimitRule("l", Unit.MINUTE, 1, 10, Mode.PER_KEY_AND_IP),)),
    }
    start = now - timedelta(days=7)
    plain = milliseconds(lambda: connection.execute(COUNT, [key.pk, key.app_id, start]).fetchone())
    rows = [Row(f"count of {calls:,} decisions: ms", plain)]
    for name, proposal in proposals.items():
        found = impact.preview(key=key, proposal=proposal, now=now)
        assert found is not None
        assert found.impact.calls == calls
        taken = milliseconds(lambda proposal=proposal: impact.preview(key=key, proposal=proposal, now=now), 9)  # type: ignore[misc]
        rows.append(Row(f"preview of {name}, {calls:,} decisions: ms", taken, f"<= {MOST_MS}", taken <= MOST_MS))
        rows.append(Row(f"preview of {name} / count", taken / plain))
    return rows


def main() -> None:
    """Measure, print, and save where asked to."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--smoke", action="store_true", help="few decisions: does it run?")
    arguments.add_argument("--save", action="store_true", help="write bench/results/policy.json")
    options = arguments.parse_args()
    with prepared():
        import django

        django.setup()
        from django.core.management import call_command

        from apiauth.core import clock

        call_command("migrate", verbosity=0)
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            rows = previews(connection, FEW_CALLS if options.smoke else CALLS, clock.now())
    print_rows(rows)
    if options.save:
        save("policy", rows)


if __name__ == "__main__":
    main()
