"""All keys, apps and limits in memory, so that a check asks nobody: what is in force, and how old it may be."""

import time

from apiauth.verify.entries import App
from apiauth.verify.tables import MOST_KEYS, Tables

POLL_SECONDS = 0.5
LOOKED_UP_WITHIN_SECONDS = 2.0
STALE_BOUND_SECONDS = 15.0
CLOCK_JUMP_NS = 2_000_000_000


class Snapshot:
    """The tables now in force, how old what they say may be, and what time it is."""

    def __init__(self, most_keys: int = MOST_KEYS, stale_bound_seconds: float = STALE_BOUND_SECONDS) -> None:
        self.most_keys = most_keys
        # Freshness is confirmed twice a second: a bound near that could not be told from an outage.
        self.stale_bound_seconds = max(float(stale_bound_seconds), LOOKED_UP_WITHIN_SECONDS)
        self.tables = Tables(most_keys)
        self.is_loaded = False
        self.confirmed_at = float("-inf")
        """A moment of the monotonic clock at which the tables said what the database said."""
        self.database_offset_ns = self.host_offset_ns = time.time_ns() - time.monotonic_ns()
        """What to add to the monotonic clock for the database's time, and for this host's when last confirmed."""

    def put(self, tables: Tables, confirmed_at: float) -> None:
        """Put tables in force that were read from the database no earlier than `confirmed_at`."""
        self.tables = tables
        self.confirm(confirmed_at)
        self.is_loaded = True

    def confirm(self, at: float) -> None:
        """Note that the tables in force said at this moment what the database said."""
        self.host_offset_ns = time.time_ns() - time.monotonic_ns()
        if self.tables.clock.offset_ns is not None:
            self.database_offset_ns = self.tables.clock.offset_ns
        self.confirmed_at = at

    def age_at(self, monotonic_ns: int) -> float:
        """Return how many seconds ago the tables said what the database said; infinite as this host's clock jumped.

        It was set, or the host stood still while the monotonic clock did not count: in either
        case nobody knows how old the tables are until the database has been asked again.
        """
        if abs(time.time_ns() - monotonic_ns - self.host_offset_ns) > CLOCK_JUMP_NS:
            return float("inf")
        return monotonic_ns / 1e9 - self.confirmed_at

    def app_by_prefix(self, prefix: str, deployment_id: int | None) -> App | None:
        """Return the one app that a presented prefix can mean; None where there are several, or none."""
        apps = self.tables.apps_by_prefix.get(prefix, ())
        if deployment_id is not None:
            apps = tuple(app for app in apps if app.deployment_id == deployment_id)
        return apps[0] if len(apps) == 1 else None
