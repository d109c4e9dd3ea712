"""The metrics of all gateways that share a spool, and of their worker, in the text that Prometheus reads."""

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from apiauth.audit.folder import spool_files
from apiauth.audit.lag import KIND as WORKER
from apiauth.audit.lag import WorkerReport
from apiauth.audit.reports import EVERY_SECONDS, Reports
from apiauth.audit.room import quarantined_in, used_of
from apiauth.core.errors import KeysteadError, NotAllowed
from apiauth.http.check_answer import plain_refusal
from apiauth.http.gateway import Admission, Environ, Headers, admit, headers_of
from apiauth.http.metrics import CONTENT_TYPE, shows_token
from apiauth.verify.check import Checker
from apiauth.verify.measures import BATCHES, DURATIONS, Spread, Totals
from apiauth.verify.snapshot import Snapshot

GATEWAY = "gateway"
PROCESS = "process"


class GatewayReport(msgspec.Struct):
    """What one gateway process says of itself."""

    totals: Totals
    stale_ms: int | None
    generation: int
    keys: int
    is_degraded: bool


class MetricsNotForTenants(NotAllowed):
    """Metrics count the checks of every deployment: send KEYSTEAD_METRICS_TOKEN as a bearer token."""

    code = "metrics_not_for_tenants"


class GatewayMetrics(Collector):
    """Reports about this process once a second, and answers for all of its host when asked."""

    def __init__(
        self, *, checker: Checker, snapshot: Snapshot, admission: Admission, spool: Path, token: str | None
    ) -> None:
        """Tell those whom `admission` lets speak for every deployment, and who shows the token where there is one."""
        self._admission = admission
        self._token = token
        self._checker = checker
        self._snapshot = snapshot
        self._spool = spool
        self._reports = Reports(spool, GATEWAY)
        self._workers = Reports(spool, WORKER)
        self._stopping = threading.Event()
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def start(self) -> None:
        """Report in the background for as long as the process lives."""
        threading.Thread(target=self._run, name="metrics", daemon=True).start()

    def stop(self) -> None:
        """Report no more."""
        self._stopping.set()
        self._reports.remove()

    def answer(self, environ: Environ) -> tuple[int, Headers, bytes]:
        """Return status, headers and body of one request."""
        try:
            self._admit(environ)
        except KeysteadError as error:
            return error.status, headers_of(error), plain_refusal(error)
        self._report()
        return 200, [("Content-Type", CONTENT_TYPE)], generate_latest(self._registry)

    def _admit(self, environ: Environ) -> None:
        if shows_token(str(environ.get("HTTP_AUTHORIZATION", "")), self._token):
            return
        _, deployment_id = admit(self._admission, environ)
        if deployment_id is not None:
            raise MetricsNotForTenants

    def describe(self) -> list[Metric]:
        """Say nothing at registration: what there is depends on who lives."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of the host, of each of its gateways, and of its worker."""
        gateways = self._reports.read(GatewayReport)
        yield from _of_checks(gateways)
        yield from _of_states(gateways)
        yield CounterMetricFamily(
            "keystead_limits_crowded",
            "Calls denied on this host as there was no room for another count.",
            self._checker.limits().crowded_denials,
        )
        yield from _of_spool(self._spool)
        yield from _of_workers(self._workers.read(WorkerReport))

    def _run(self) -> None:
        while not self._stopping.wait(EVERY_SECONDS):
            self._report()

    def _report(self) -> None:
        tables = self._snapshot.tables
        stale_ms = self._checker.freshness().stale_ms
        report = GatewayReport(
            self._checker.measures.totals(),
            stale_ms,
            tables.horizon,
            len(tables.keys),
            self._checker.limits().degraded_since is not None,
        )
        self._reports.write(report)


Gateways = dict[str, GatewayReport]


def _of_checks(gateways: Gateways) -> Iterator[Metric]:
    checks = CounterMetricFamily("keystead_checks", "Decisions on record.", labels=[PROCESS, "outcome", "rule"])
    refusals = CounterMetricFamily(
        "keystead_gateway_refusals", "Requests that were refused undecided.", labels=[PROCESS, "code"]
    )
    took = HistogramMetricFamily(
        "keystead_check_duration_seconds", "From a check that was read to its decision on record.", labels=[PROCESS]
    )
    sizes = HistogramMetricFamily("keystead_check_batch_size", "Checks in one call of a batch.", labels=[PROCESS])
    for process, report in gateways.items():
        for rule, count in report.totals.decisions.items():
            checks.add_metric([process, "blocked" if rule else "allowed", rule], count)
        for code, count in report.totals.refusals.items():
            refusals.add_metric([process, code], count)
        took.add_metric([process], *_buckets(report.totals.durations, [bound / 1e9 for bound in DURATIONS], 1e9))
        sizes.add_metric([process], *_buckets(report.totals.batches, list(BATCHES), 1))
    yield from (checks, refusals, took, sizes)


def _buckets(spread: Spread, bounds: list[float], unit: float) -> tuple[list[tuple[str, float]], float]:
    within: list[tuple[str, float]] = [
        (f"{bound:g}", count) for bound, count in zip(bounds, spread.within, strict=True)
    ]
    return [*within, ("+Inf", spread.count)], spread.sum / unit


def _of_states(gateways: Gateways) -> Iterator[Metric]:
    stale = _per_process("keystead_gateway_stale_seconds", "How old a gateway's knowledge of keys is.")
    generation = _per_process("keystead_gateway_generation", "How far a gateway has read the changes of keys.")
    keys = _per_process("keystead_gateway_keys", "How many keys a gateway has in memory.")
    degraded = _per_process("keystead_gateway_limits_degraded", "Whether limits are held back, 1 or 0.")
    for process, report in gateways.items():
        if report.stale_ms is not None:
            stale.add_metric([process], report.stale_ms / 1000)
        generation.add_metric([process], report.generation)
        keys.add_metric([process], report.keys)
        degraded.add_metric([process], report.is_degraded)
    yield from (stale, generation, keys, degraded)


def _of_spool(folder: Path) -> Iterator[Metric]:
    size = sum(_size(path) for path in spool_files(folder))
    yield GaugeMetricFamily("keystead_spool_bytes", "Bytes of decisions on disk, drained in part or not.", size)
    yield GaugeMetricFamily("keystead_spool_used_ratio", "What of its room the spool has used.", used_of(folder))
    yield GaugeMetricFamily("keystead_spool_quarantined", "Damaged pieces that were put aside.", quarantined_in(folder))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # drained and deleted since the listing
        return 0


def _of_workers(workers: dict[str, WorkerReport]) -> Iterator[Metric]:
    lag_bytes = _per_process("keystead_worker_lag_bytes", "Bytes of decisions that are not in the tables yet.")
    lag_seconds = _per_process("keystead_worker_lag_seconds", "For how long the oldest of them has waited.")
    drained = CounterMetricFamily("keystead_worker_decisions", "Decisions moved into the tables.", labels=[PROCESS])
    for process, report in workers.items():
        lag_bytes.add_metric([process], report.lag_bytes)
        lag_seconds.add_metric([process], report.lag_seconds)
        drained.add_metric([process], report.drained)
    yield from (lag_bytes, lag_seconds, drained)


def _per_process(name: str, meaning: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, meaning, labels=[PROCESS])
