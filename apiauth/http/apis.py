"""The two JSON APIs out of their rooms, each room under the heading by which the description groups it."""

from apiauth.http import (
    backend_apps,
    backend_audit,
    backend_exports,
    backend_impact,
    backend_key_changes,
    backend_keys,
    backend_limits,
    backend_policy,
    backend_subjects,
    backend_tickets,
    exchange,
    session_api,
    session_audit,
    session_impact,
    session_key_changes,
)
from apiauth.http.backend_api import make_api

backend = make_api("Keystead backend API", "backend")
for heading, room in (
    ("Tickets", backend_tickets),
    ("Apps", backend_apps),
    ("Apps", backend_policy),
    ("Keys", backend_keys),
    ("Keys", backend_key_changes),
    ("Keys", backend_impact),
    ("Users", backend_subjects),
    ("Rate limits", backend_limits),
    ("Decisions", backend_audit),
    ("Exports", backend_exports),
):
    backend.add_router("", room.router, tags=[heading])

browser = make_api("Keystead browser session API", "browser")
for heading, room in (
    ("Sessions", exchange),
    ("Keys", session_api),
    ("Keys", session_key_changes),
    ("Keys", session_impact),
    ("Decisions", session_audit),
):
    browser.add_router("", room.router, tags=[heading])
