"""The portal's pages: what many keys add to the list, and what a page costs beside its own HTML rendered from memory.

    python -m bench.portal [--smoke] [--save]

The pages are asked for with a session's cookie from a web process as it is, and show what those of an app in use do:
a week of calls, what was done, keys that end soon. The bare view renders the same templates from what a page's view
had put together once: without middleware, session, policy or database. CPU per page is that of the server's
processes; the contestants take turns.
"""

import os
from collections.abc import Iterable, Iterator

from django.core.management import call_command

from bench.callers import CLIENTS, THREADS, Call, Figures, measure
from bench.check import prepared
from bench.portal_life import live
from bench.report import Options, Row, ratios, row, run
from bench.seeding import new_app, new_deployment, new_keys

MANY, FEW = 10_000, 50
PAGES = {
    "overview": "/portal/",
    "list of keys": "/portal/keys",
    "page of a key": "/portal/keys/{key_id}",
    "log": "/portal/logs",
    "page of a call": "/portal/logs/{request_id}",
    "activity": "/portal/activity",
    "compliance": "/portal/compliance",
}
PORTAL, BARE = "config.wsgi:application", "bench.bare_portal_wsgi:application"


def seed(slug: str, keys: int, deployment_id: int) -> dict[str, Call]:
    """Make an app with so many keys, and return its pages as a browser asks for them in a session."""
    from apiauth.audit import search
    from apiauth.core import clock
    from apiauth.core.actor import SYSTEM
    from apiauth.models import Key
    from apiauth.services import sessions, tickets

    app = new_app(deployment_id, slug)
    new_keys(app, keys)
    now = clock.now()
    newest = list(Key.objects.in_app(app.id).newest_first()[:FEW])
    live(app, newest, now)
    request = tickets.TicketRequest(app_slug=slug, subject_id="bench", subject_name="Bench", role="admin")
    issued = tickets.issue_ticket(deployment_id=deployment_id, request=request, actor=SYSTEM, now=now)
    opened = sessions.exchange_ticket(issued.text, client_ip="127.0.0.1", user_agent="bench", now=now, via="portal")
    headers = {"Cookie": f"ks_session={opened.token}", "Accept": "text/html", "Host": "127.0.0.1:8000"}
    [call] = search.decisions(app_id=app.id, limit=1).rows
    ids = {"key_id": newest[0].pk, "request_id": call.request_id}
    return {name: Call("GET", path.format(**ids), headers=headers) for name, path in PAGES.items()}


def rows_of(found: dict[str, list[dict[str, Figures]]]) -> Iterator[Row]:
    """Yield the cost of each page, and the ratios."""
    cpu = {
        (name, page): [repeat[page].cpu for repeat in repeats] for name, repeats in found.items() for page in repeats[0]
    }
    for (name, page), figures in cpu.items():
        yield row(f"{page}, {name}: CPU ms a page", figures)
    listed = "list of keys"
    many_to_few = ratios(cpu["of many", listed], cpu["of few", listed])
    yield row(f"P14 {FEW} of {MANY // 1_000} k keys / {FEW} of {FEW}, CPU", many_to_few, at_most=1.3, sane=3)
    for page in PAGES:
        times_bare = ratios(cpu["of many", page], cpu["from memory", page])
        yield row(f"P15 {page} / the same HTML from memory, CPU", times_bare, at_most=3, sane=9)


def table(options: Options) -> Iterable[Row]:
    """Let the pages of many keys, of few, and those from memory take turns."""
    seconds, repeats = options.pick(0.5, 4.0), options.pick(1, 3, 5)
    found: dict[str, list[dict[str, Figures]]] = {"of many": [], "of few": [], "from memory": []}
    with prepared():
        deployment_id = new_deployment()
        call_command("collectstatic", interactive=False, verbosity=0)
        many, few = (seed(f"aa_{count}", count, deployment_id) for count in (MANY, FEW))
        os.environ["BENCH_COOKIE"] = many["overview"].headers["Cookie"]
        os.environ["BENCH_PATHS"] = " ".join(call.path for call in many.values())
        for _ in range(repeats):
            found["of many"].append(measure(PORTAL, many, seconds))
            found["of few"].append(measure(PORTAL, few, seconds))
            found["from memory"].append(measure(BARE, many, seconds))
    return rows_of(found)


if __name__ == "__main__":
    run("portal", table, __doc__, clients=CLIENTS, threads=THREADS, keys=MANY)
