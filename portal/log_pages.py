"""What the log and one decision's page show, and how their filters are read."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlencode

from apiauth.audit import search
from apiauth.audit.search import DecisionFilters, DecisionRow
from apiauth.core import clock, ids
from apiauth.core.decision import METHODS, Rule
from apiauth.core.errors import Invalid, NotFound
from apiauth.core.redaction import without_secrets
from apiauth.models import Key
from apiauth.services import exports
from apiauth.services.exports import Form, Sight
from portal import explain, inputs
from portal.remedies import remedies
from portal.session import PortalRequest

PAGE = 50
MOST_KEYS = 100
RANGES = {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}
RANGE_LABELS = {"1h": "Last hour", "24h": "Last 24 hours", "7d": "Last 7 days", "30d": "Last 30 days"}
OUTCOMES = {"": "All", "allowed": "Allowed", "blocked": "Blocked"}


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
        values = self.fields | changes
        return urlencode({name: value for name, value in values.items() if value})

    @property
    def fields(self) -> dict[str, str]:
        """Return the filters that are set, by the names of their fields."""
        names = ("outcome", "rule", "key", "method", "path", "address", "range")
        return {name: value for name in names if (value := getattr(self, name))}

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
        "rights": request.rights,
        "session_id": request.session_id,
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
    return sight_of(request).of(rows)


def sight_of(request: PortalRequest) -> Sight:
    """Return what the session may see of decisions besides the decision itself."""
    return Sight(addresses=request.rights.see_addresses, user_agents=request.rights.see_user_agents)


def export(request: PortalRequest, wanted: LogFilter, form: Form) -> Iterator[str]:
    """Return all that the filters find, as lines of a file. Raises Invalid for a filter that cannot be used."""
    for name, sentence in wanted.problems.items():
        raise Invalid(sentence, field=name)
    return exports.export_decisions(
        app=request.app,
        within=request.reach,
        filters=wanted.for_search(_start(request, wanted)),
        sight=sight_of(request),
        form=form,
        asked=_on_record(wanted),
        actor=request.actor,
        now=request.now,
    )


def _on_record(wanted: LogFilter) -> dict[str, str]:
    """Return the filters as the activity log keeps them for ever: no address, and nothing that looks like a secret."""
    kept = {name: without_secrets(value) for name, value in wanted.fields.items()}
    return kept | ({"address": "given"} if wanted.address else {})


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
    key = next(iter(Key.objects.within(request.reach).filter(pk=row.key_id)), None) if row.key_id else None
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
        "remedies": remedies(request, row, key),
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
    newest = Key.objects.within(request.reach).newest_first().values_list("pk", "name", "key_suffix")
    listed = list(newest[:MOST_KEYS])
    chosen = ids.parse_id(wanted.key) if wanted.key else None
    if chosen is not None and all(key_id != chosen for key_id, *_ in listed):
        listed += list(newest.filter(pk=chosen))
    return [(str(key_id), f"{name} (…{suffix})") for key_id, name, suffix in listed]


def _is_address(text: str) -> bool:
    try:
        return "%" not in str(ip_address(text))
    except ValueError:
        return False
