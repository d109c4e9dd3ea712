"""The backend API beside the same routes as bare Django views, in one run: list, create, issue a ticket.

    python -m bench.management [--smoke] [--save]

Both are served by the same server with the same threads over the same database. CPU per call is
that of the server's processes; calls per second and latency are context, since the clients share
the machine. Every figure is the median of the repeats, which take turns.
"""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace

from bench.callers import CLIENTS, THREADS, Call, Figures, measure
from bench.check import prepared
from bench.report import Options, Row, ratios, row, run
from bench.seeding import new_app, new_deployment, new_keys

KEYS = 10_000
LIST, CREATE, TICKET = "list of 10 k keys", "create a key", "issue a ticket"
APPLICATIONS = {"Keystead": "config.wsgi:application", "bare views": "bench.bare_wsgi:application"}


CALLS = {
    LIST: Call("GET", "/api-auth/apps/aa_list/keys"),
    CREATE: Call("POST", "/api-auth/apps/aa_1/keys", b'{"name": "bench", "permissions": ["read:x"]}'),
    TICKET: Call(
        "POST", "/session/tickets", b'{"ticket_type": "api_auth_access", "api_auth_app_slug": "aa_1", "role": "admin"}'
    ),
}


def seed() -> str:
    """Make an app to list and one to write to; return a backend key."""
    deployment_id = new_deployment()
    from apiauth.core import clock
    from apiauth.core.actor import SYSTEM
    from apiauth.services import deployments

    new_app(deployment_id, "aa_1")
    new_keys(new_app(deployment_id, "aa_list"), KEYS)
    issued = deployments.issue_backend_key(deployment_id=deployment_id, name="bench", actor=SYSTEM, now=clock.now())
    return issued.secret.text


def calls_of(backend_key: str) -> dict[str, Call]:
    """Return the routes as a product's backend calls them."""
    headers = {"Authorization": f"Bearer {backend_key}", "Content-Type": "application/json"}
    return {name: replace(call, headers=headers) for name, call in CALLS.items()}


def rows_of(found: dict[str, list[dict[str, Figures]]]) -> Iterator[Row]:
    """Yield the table: context first, then each route's ratio."""
    for route in CALLS:
        cpu = {}
        for name, repeats in found.items():
            figures = [repeat[route] for repeat in repeats]
            cpu[name] = [figure.cpu for figure in figures]
            yield row(f"{route}, {name}: CPU ms a call", cpu[name])
            yield row(f"{route}, {name}: calls a second", [figure.rate for figure in figures])
            yield row(f"{route}, {name}: p99 ms", [figure.p99 for figure in figures])
        times_bare = ratios(cpu["Keystead"], cpu["bare views"])
        yield row(f"P16 {route}: Keystead / bare views, CPU", times_bare, at_most=1.5, sane=5)


def table(options: Options) -> Iterable[Row]:
    """Let both applications take turns."""
    seconds, repeats = options.pick(0.5, 4.0), options.pick(1, 3, 5)
    found: dict[str, list[dict[str, Figures]]] = {name: [] for name in APPLICATIONS}
    with prepared():
        os.environ["KEYSTEAD_CALLS_PER_MINUTE"] = "1000000"  # it is the cost that is measured, not the limit
        calls = calls_of(seed())
        for _ in range(repeats):
            for name, target in APPLICATIONS.items():
                found[name].append(measure(target, calls, seconds))
    return rows_of(found)


if __name__ == "__main__":
    run("management", table, __doc__, clients=CLIENTS, threads=THREADS, keys=KEYS)
