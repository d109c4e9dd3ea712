"""The checks of `doctor`: each looks at one thing and says what it found and what to do about it."""

import math
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Count, Q, Sum

from apiauth import checks
from apiauth.audit import backlog, strays
from apiauth.audit.connection import connect
from apiauth.audit.folder import MOST_NAME_BYTES, contents
from apiauth.audit.room import SHORT_FROM, quarantined_in, used_of
from apiauth.audit.spool import host_name
from apiauth.core import clock
from apiauth.models import GatewayStatus, SpoolFile
from apiauth.services import history, mails, propagation
from apiauth.services.installation import pepper_problem, unnoted_peppers
from apiauth.verify import crowding

OLDEST_VERSION = 150_000
CLOCK_SECONDS = 2.0
LAG_SECONDS = 60
MAIL_SECONDS = 900
QUEUE_PART = 0.01
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; `advice` says what to do where it is not well."""

    name: str
    ok: bool
    detail: str
    advice: str = ""


Check = Callable[[datetime], Finding]


def examine(*, now: datetime) -> list[Finding]:
    """Run every check; those that need the database are left out where it does not answer."""
    findings = [check(now) for check in (_settings, _trust, _gateway_access, _database)]
    if findings[-1].ok:
        rest = (
            _migrations, _pepper, _history, _clock, _notifications, _spool, _quarantine, _strays, _gateways,
            _limits, _limit_slots, _mails,
        )  # fmt: skip
        findings += [_guarded(check, now) for check in rest]
    return findings


def _guarded(check: Check, now: datetime) -> Finding:
    try:
        return check(now)
    except DatabaseError as error:
        name = check.__name__.removeprefix("_")
        said = str(error).strip().splitlines() or ["no answer"]
        return Finding(name, False, said[0], "Run ./keystead migrate, then try again.")


def _settings(now: datetime) -> Finding:
    """Report unsafe values, all but the gateway's, which has a check of its own."""
    found = [message for message in checks.check_environment(None) if message.id != checks.OPEN_GATEWAY]
    if not found:
        return Finding("settings", True, f"public URL {settings.ENVIRONMENT.public_url}")
    return Finding("settings", False, " ".join(str(one.msg) for one in found), " ".join(str(one.hint) for one in found))


def _trust(now: datetime) -> Finding:
    """See that this machine can verify other machines' certificates at all."""
    count = ssl.create_default_context().cert_store_stats()["x509_ca"]
    paths = ssl.get_default_verify_paths()
    if count or (paths.capath and os.path.isdir(paths.capath) and os.listdir(paths.capath)):
        return Finding("trust", True, "certificates of trust are there")
    advice = "Install your system's CA certificates (the package is usually called ca-certificates)."
    return Finding("trust", False, "no certificates of trust were found", advice)


def _gateway_access(now: datetime) -> Finding:
    environment = settings.ENVIRONMENT
    if environment.gateway_auth == "token":
        return Finding("gateway_access", True, "token: callers send a backend key with the scope gateway:check")
    if environment.gateway_allow:
        ranges = ", ".join(str(network) for network in environment.gateway_allow)
        return Finding("gateway_access", True, f"network: callers from {ranges}")
    if checks.gateway_is_open():
        return Finding("gateway_access", False, "network: open on a public address", checks.CLOSE_GATEWAY)
    return Finding("gateway_access", True, "network: on loopback or private addresses only")


def _database(now: datetime) -> Finding:
    try:
        with connection.cursor():
            version = connection.connection.info.server_version
    except DatabaseError:
        return Finding("database", False, "does not answer", "Start the database, or correct DATABASE_URL.")
    shown = f"PostgreSQL {version // 10_000}.{version % 10_000}"
    if version < OLDEST_VERSION:
        return Finding("database", False, shown, "Upgrade the server to PostgreSQL 15 or later.")
    if settings.ENVIRONMENT.direct_database_url != settings.ENVIRONMENT.database_url:
        try:
            connect(settings.ENVIRONMENT.direct_database_url, name="keystead-doctor").close()
        except psycopg.Error:
            return Finding(
                "database", False, "does not answer past the pooler", "Correct KEYSTEAD_DIRECT_DATABASE_URL."
            )
    return Finding("database", True, shown)


def _migrations(now: datetime) -> Finding:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        return Finding("migrations", False, f"{len(missing)} not applied", "Run ./keystead migrate.")
    return Finding("migrations", True, "all applied")


def _pepper(now: datetime) -> Finding:
    problem = pepper_problem()
    versions = ", ".join(str(version) for version in settings.ENVIRONMENT.peppers.versions)
    if problem:
        return Finding("pepper", False, problem.partition(":")[0], problem.partition(": ")[2].capitalize())
    if unnoted := unnoted_peppers():
        detail = f"version {unnoted[0]} is not noted: a wrong one would go unnoticed"
        return Finding("pepper", False, detail, "Run ./keystead migrate.")
    return Finding("pepper", True, f"version {versions}")


def _history(now: datetime) -> Finding:
    """Say whether the database was restored, and from when its data is: changes after that are not in it."""
    found = history.current()
    reaches = f"{found.reaches:%Y-%m-%d %H:%M:%S} UTC" if found.reaches else "none"
    if not found.is_noted:
        detail = f"restored or failed over; the newest action in it: {reaches}"
        return Finding("history", False, detail, "Run ./keystead migrate: it notes that, and gateways read all anew.")
    if found.is_first:
        return Finding("history", True, "never restored or failed over")
    began = f"{found.since:%Y-%m-%d %H:%M:%S} UTC"
    return Finding("history", True, f"restored, failed over or emptied at {began}; the newest action before: {reaches}")


def _clock(now: datetime) -> Finding:
    """Compare with the database's clock, which decides what has expired."""
    before = clock.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        theirs: datetime = cursor.fetchone()[0]
    ours = before + (clock.now() - before) / 2
    apart = abs((theirs - ours).total_seconds())
    detail = f"{apart:.3f} s from the database's"
    if apart > CLOCK_SECONDS:
        return Finding("clock", False, detail, "Keep both machines' clocks by NTP.")
    return Finding("clock", True, detail)


def _notifications(now: datetime) -> Finding:
    """See that no client holds the notification queue: when it is full no change of a key can be committed."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notification_queue_usage()")
        used: float = cursor.fetchone()[0]
    detail = f"{used:.2%} of the database's queue is taken"
    if used > QUEUE_PART:
        advice = "End the session that listens and stays idle in its transaction: see state in pg_stat_activity."
        return Finding("notifications", False, detail, advice)
    return Finding("notifications", True, detail)


def _spool(now: datetime) -> Finding:
    folder: Path = settings.ENVIRONMENT.spool_dir
    if not (folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)):
        return Finding("spool", False, f"{folder} cannot be written", "Make the folder, or set KEYSTEAD_SPOOL_DIR.")
    drained = SpoolFile.objects.filter(host=host_name()).values_list("name", "drained_bytes")
    waiting = backlog.measure(folder, dict(drained), now)
    foreign = contents(folder).foreign
    detail = f"{waiting.bytes} bytes wait to be drained, the oldest for {waiting.seconds:.0f} s{_named(foreign)}"
    if waiting.seconds > LAG_SECONDS:
        return Finding("spool", False, detail, "Start ./keystead worker on this host, or see its log.")
    room = used_of(folder)
    if room >= SHORT_FROM:
        advice = "Make room on the disk: gateways of this host say that they are not ready."
        return Finding("spool", False, f"{detail}; {room:.0%} of its room is used", advice)
    if foreign:
        advice = f"Move them out of {folder}: only files with names of at most {MOST_NAME_BYTES} bytes are drained."
        return Finding("spool", False, detail, advice)
    return Finding("spool", True, detail)


def _named(foreign: list[str]) -> str:
    """Name what lies in the spool folder and is never drained, the first few of many."""
    if not foreign:
        return ""
    more = f" and {len(foreign) - MOST_NAMED} more" if len(foreign) > MOST_NAMED else ""
    return f"; no spool files: {', '.join(foreign[:MOST_NAMED])}{more}"


def _quarantine(now: datetime) -> Finding:
    """Report damage that was put aside: decisions may be missing from the log."""
    found = SpoolFile.objects.aggregate(pieces=Sum("quarantined"), files=Count("name", filter=Q(quarantined__gt=0)))
    kept = quarantined_in(settings.ENVIRONMENT.spool_dir)
    detail = f"{found['pieces'] or 0} damaged pieces of {found['files']} files in 30 days; {kept} kept on this host"
    if kept:
        return Finding(
            "quarantine", False, detail, "Look at quarantine/ in the spool folder, then move its files away."
        )
    return Finding("quarantine", True, detail)


def _strays(now: datetime) -> Finding:
    """Report decisions without a partition of their day: none is lost, but a clock was far off or no worker ran."""
    found = strays.find()
    if not found.count:
        return Finding("strays", True, "every decision lies in the partition of its day")
    count = f"at least {found.count}" if found.count >= strays.MOST_COUNTED else str(found.count)
    detail = f"{count} decisions of {found.first_day} to {found.last_day} lie in no partition of their day"
    make = f"SELECT keystead_ensure_decision_partitions('{found.first_day}', '{found.first_day}')"
    advice = (
        "Keep the clock of every host by NTP, and a worker running: it makes the partitions of a week ahead. "
        f"Make the others in psql, a day at a time: {make}."
    )
    return Finding("strays", False, detail, advice)


def _gateways(now: datetime) -> Finding:
    """See that some gateway has lately heard of every change; a dead one's row stays for a day."""
    live = _live_gateways(now)
    if not live:
        return Finding("gateways", False, "none has confirmed lately", "Start ./keystead gateway, or see its log.")
    silent = max((now - gateway.confirmed_at).total_seconds() for gateway in live)
    return Finding("gateways", True, f"{len(live)} may answer, all heard within {max(1, math.ceil(silent))} s")


def _limits(now: datetime) -> Finding:
    """See that gateways of several hosts share their limits: else each host admits a limit's number."""
    modes = dict(sorted(((one.host, one.limits) for one in _live_gateways(now)), reverse=True))  # of both, `host`
    alone = sorted(host for host, limits in modes.items() if limits == "host")
    if alone and len(modes) > 1:
        detail = f"{len(modes)} hosts have gateways, and {', '.join(alone)} counts for itself"
        advice = "Set KEYSTEAD_LIMITS=shared for every gateway: as it is, a limit holds for each host."
        return Finding("limits", False, detail, advice)
    return Finding("limits", True, "counted on one host" if alone or not modes else "shared by all hosts")


def _limit_slots(now: datetime) -> Finding:
    """See that this host has room for its counts: where it has none, calls are denied that no limit forbids."""
    crowded = crowding.latest_in(settings.ENVIRONMENT.limits_dir)
    if crowded.since is None:
        return Finding("limit_slots", True, "room for every count within the last hour")
    detail = f"no room for every count since {crowded.since:%Y-%m-%d %H:%M:%S} UTC; {crowded.denials} calls were denied"
    advice = "See limits.crowded in the gateway's log for the limit, and raise KEYSTEAD_LIMIT_SLOTS."
    return Finding("limit_slots", False, detail, advice)


def _mails(now: datetime) -> Finding:
    """See that a mail server takes the warnings of keys that end: who is not written to finds out by a blocked call."""
    waiting = mails.unsent(now=now)
    detail = f"{waiting.count} wait to be sent, the oldest for {waiting.seconds:.0f} s"
    if waiting.count and settings.ENVIRONMENT.email is None:
        return Finding("mails", False, detail, "Set KEYSTEAD_EMAIL_URL for the workers: no mail server is named.")
    if waiting.seconds > MAIL_SECONDS:
        return Finding("mails", False, detail, "See mail.not_sent in the worker's log, and the mail server's own.")
    return Finding("mails", True, detail if waiting.count else "none waits to be sent")


def _live_gateways(now: datetime) -> list[GatewayStatus]:
    return [gateway for gateway in GatewayStatus.objects.all() if propagation.may_answer(gateway, now)]
