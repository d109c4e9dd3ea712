"""The gateway process: wires the snapshot, the limits and the spool, and begins to listen. No Django."""

from apiauth.audit.direct import Direct
from apiauth.audit.spool import Spool
from apiauth.http.gateway import Admission, Gateway, NetworkAdmission, TokenAdmission, read_body
from apiauth.http.gateway_metrics import GatewayMetrics
from apiauth.http.slow_bodies import SlowBodies
from apiauth.verify.check import Checker
from apiauth.verify.lease_store import LeaseStore
from apiauth.verify.leases import LeasedLimiter
from apiauth.verify.limiter import Limiter
from apiauth.verify.listener import Listener
from apiauth.verify.snapshot import Snapshot
from config import env, logs, processes
from config.graceful_stop import at_end


def build(environment: env.Environment) -> Gateway:
    """Return a gateway that loads its snapshot in the background; it answers 503 until that is done."""
    snapshot = Snapshot(environment.snapshot_keys, environment.stale_bound_seconds)
    direct = Direct(environment.direct_database_url)
    spool = Spool(
        environment.spool_dir,
        environment.spool_sync,
        reserve_bytes=environment.spool_reserve_bytes,
        second_sink=direct,
    )
    listener = Listener(environment.direct_database_url, snapshot, environment.peppers, environment.limits)
    limiter = _limiter(environment)
    checker = Checker(
        snapshot=snapshot,
        limiter=limiter,
        spool=spool,
        peppers=environment.peppers,
        listener=listener,
    )
    listener.start()
    SlowBodies(read_body, processes.GATEWAY_THREADS, processes.BODY_SECONDS).start()
    at_end(direct.close)
    at_end(spool.close)
    at_end(listener.stop)
    admission = _admission(environment, snapshot)
    metrics = GatewayMetrics(
        checker=checker,
        snapshot=snapshot,
        admission=admission,
        spool=environment.spool_dir,
        token=environment.metrics_token,
    )
    metrics.start()
    at_end(metrics.stop)
    return Gateway(checker=checker, snapshot=snapshot, admission=admission, metrics=metrics)


def _limiter(environment: env.Environment) -> Limiter:
    if environment.limits == "host":
        return Limiter(environment.limits_dir, environment.limit_slots)
    store = LeaseStore(environment.direct_database_url)
    at_end(store.stop)
    return LeasedLimiter(environment.limits_dir, store, environment.limit_slots)


def _admission(environment: env.Environment, snapshot: Snapshot) -> Admission:
    if environment.gateway_auth == "token":
        return TokenAdmission(snapshot, environment.peppers)
    return NetworkAdmission(environment.gateway_allow)


logs.configure()
application = build(env.load())
