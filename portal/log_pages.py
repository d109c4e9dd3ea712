"""What the log and one decision's page show, and how their filters are read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlencode

from apiauth.audit import search
from apiauth.audit.search import DecisionFilters, DecisionRow
from apiauth.core import clock, ids
from apiauth.core.decision import Rule
from apiauth.core.errors import NotFound
from apiauth.models import Key
from portal import explain, inputs
from portal.session import PortalRequest

PAGE = 50
MOST_KEYS = 100
RANGES = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}
RANGE_LABELS = {"1h": "Last hour", "24h": "Last 24 hours", "7d": "Last 7 days", "30d": "Last 30 days"}
OUTCOMES = {"": "All", "allowed": "Allowed", "blocked": "Blocked"}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class LogFilter:
    """The filters as they stand in the address, and the sentences for those that cannot be used."""

    outcome: str = ""
    rule: str = ""
    key: str = ""
    method: str = ""
    path: str = ""
    address: str = ""
    range: str = "24h"
    problems: dict[str, str] = field(default_factory=dict)

    def as_query(self, **changes: str) -> str:
        """Return the filters as a query string, with some of them changed."""
        names = ("outcome", "rule", "key", "method", "path", "address", "range")
        values = {name: getattr(self, name) for name in names} | changes
        return urlencode({name: value for name, value in values.items() if value})

    @property
    def is_narrow(self) -> bool:
        """Tell whether anything but the range is filtered."""
        return any((self.outcome, self.rule, self.key, self.method, self.path, self.address))

    @property
    def count(self) -> int:
        """Return how many filters are set."""
        return sum(bool(value) for value in (self.rule, self.key, self.method, self.path, self.address))

    def for_search(self, start: datetime) -> DecisionFilters:
        """Return the filters as the decision log takes them."""
        return DecisionFilters(
            outcome=self.outcome or None,
            rule=self.rule or None,
            key_id=ids.parse_id(self.key) if self.key else None,
            method=self.method or None,
            path_prefix=self.path or None,
            client_ip=self.address or None,
            start=start,
        )


def read_filter(query: Mapping[str, str]) -> LogFilter:
    """Return the filters of an address; a value that is none is left out and named."""
    problems: dict[str, str] = {}

    def choice(name: str, choices: object, sentence: str) -> str:
        value = inputs.visible(query.get(name, ""), 200)
        if value and value not in choices:  # type: ignore[operator]  # any collection of texts
            problems[name] = sentence
        return value

    key = inputs.visible(query.get("key", ""))
    if key and ids.parse_id(key) is None:
        problems["key"] = "This is not the id of a key."
    address = inputs.visible(query.get("address", ""))
    if address and not _is_address(address):
        problems["address"] = "Enter an address such as 203.0.113.24."
    return LogFilter(
        outcome=choice("outcome", OUTCOMES, "Choose allowed or blocked."),
        rule=choice("rule", set(Rule), "Choose a rule from the list."),
        key=key,
        method=inputs.visible(query.get("method", ""), 20).upper(),
        path=inputs.visible(query.get("path", ""), 500),
        address=address,
        range=choice("range", RANGES, "Choose a period from the list.") or "24h",
        problems=problems,
    )


def listing(request: PortalRequest, wanted: LogFilter) -> dict[str, Any]:
    """Return the page of the log that an address asks for. Raises Invalid for a cursor that is not ours."""
    start = _start(request, wanted)
    context = {
        "wanted": wanted,
        "keys": _keys(request, wanted),
        "rules": [(rule.value, name) for rule, name in explain.LABELS.items()],
        "ranges": RANGE_LABELS.items(),
        "outcomes": [(name, text, wanted.as_query(outcome=name)) for name, text in OUTCOMES.items()],
        "methods": METHODS,
        "now": request.now,
    }
    if wanted.problems:
        return context | {"rows": [], "older": ""}
    cursor = request.GET.get("cursor") or None
    filters = wanted.for_search(start)
    page = search.decisions(app_id=request.app.pk, within=request.reach, filters=filters, cursor=cursor, limit=PAGE)
    since = str(clock.to_ms(start))
    older = wanted.as_query(cursor=page.next_cursor, since=since) if page.next_cursor else ""
    return context | {"rows": [Line(row) for row in visible_rows(request, page.rows)], "older": older}


def visible_rows(request: PortalRequest, rows: Iterable[DecisionRow]) -> list[DecisionRow]:
    """Return decisions without what the session may not see of them."""
    hidden: dict[str, Any] = {} if request.rights.see_addresses else {"client_ip": None, "peer_ip": None}
    hidden |= {} if request.rights.see_user_agents else {"user_agent": ""}
    return [replace(row, **hidden) for row in rows] if hidden else list(rows)


@dataclass(frozen=True, slots=True)
class Line:
    """One decision in the log."""

    row: DecisionRow

    @property
    def label(self) -> str:
        """Return what decided, in a word or two."""
        return explain.label(self.row.rule)

    @property
    def address(self) -> str:
        """Return where the call came from, as far as it is known."""
        return self.row.client_ip or self.row.peer_ip or ""


def decision(request: PortalRequest, request_id: str) -> dict[str, Any]:
    """Return the page of one decision. Raises NotFound where the app has none of this id."""
    found = search.find_decision(app_id=request.app.pk, within=request.reach, request_id=request_id)
    if found is None:
        raise NotFound("No call of this app has this request id. A new call can take up to 5 seconds to appear.")
    [row] = visible_rows(request, [found])
    key = Key.objects.within(request.reach).filter(pk=row.key_id).first() if row.key_id else None
    newest = None
    if key is not None and key.replaced_by_id:
        newest = Key.objects.within(request.reach).newest_of_lineage().filter(lineage_id=key.lineage_id).first()
    case = explain.Case(row=row, key=key, app=request.app, newest=newest)
    return {
        "row": row,
        "case": case,
        "title": explain.title(row),
        "words": explain.words(case),
        "steps": explain.steps(case),
        "key_id": str(key.pk) if key else "",
        "actions": key is not None and key.replaced_by_id is None and key.is_active(request.now),
        "may_rotate": key is not None and request.rights.rotate(key),
        "may_revoke": key is not None and request.rights.revoke(key),
        "milliseconds": f"{row.duration_us / 1000:.2f}",
        "age": f"{row.snapshot_age_ms / 1000:.1f}",
        "similar": LogFilter(rule=row.rule or "", key=str(row.key_id or ""), range="7d").as_query(),
    }


def _start(request: PortalRequest, wanted: LogFilter) -> datetime:
    """Return where the period begins: with a cursor, where the first page's period began."""
    since = request.GET.get("since", "")
    longest = RANGES.get(wanted.range, RANGES["24h"])
    if request.GET.get("cursor") and since.isascii() and since.isdecimal() and len(since) < 15:
        return clock.from_ms(int(since))
    return clock.from_ms(clock.to_ms(request.now - longest))


def _keys(request: PortalRequest, wanted: LogFilter) -> list[tuple[str, str]]:
    newest = Key.objects.within(request.reach).newest_first().only("pk", "name", "key_suffix")
    listed = list(newest[:MOST_KEYS])
    chosen = ids.parse_id(wanted.key) if wanted.key else None
    if chosen is not None and all(key.pk != chosen for key in listed):
        listed += list(newest.filter(pk=chosen))
    return [(str(key.pk), f"{key.name} (…{key.key_suffix})") for key in listed]


def _is_address(text: str) -> bool:
    try:
        return "%" not in str(ip_address(text))
    except ValueError:
        return False
