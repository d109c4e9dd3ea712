"""What a client may ask of an app's decisions: which window, which key, which page."""

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated
from uuid import UUID

from ninja import Schema

from apiauth.audit.search import DecisionFilters
from apiauth.core.decision import METHODS, Rule
from apiauth.core.errors import Invalid
from apiauth.core.ids import parse_id, parse_request_id
from apiauth.http.value_types import (
    AddressText,
    DateText,
    FlagText,
    IdText,
    MethodText,
    PathText,
    RequestIdText,
    RuleText,
    ZoneText,
    clamped_number,
)
from apiauth.http.values import address, clamped, flag, moment, path_prefix, zone

LOGS_WINDOW = timedelta(days=7)
SERIES_WINDOW = timedelta(days=30)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LONGEST_CURSOR = 500


class Window(Schema):
    """The part that all audit questions share. Texts, because a query holds nothing else."""

    start_date: DateText | None = None
    end_date: DateText | None = None
    key_id: IdText | None = None

    def bounds(self, now: datetime, length: timedelta) -> tuple[datetime, datetime]:
        """Return start and end; without a start, `length` before the end, or before now if that is sooner.

        Raises Invalid.
        """
        end = moment(self.end_date, "end_date", zone_required=False) if self.end_date else now
        if not self.start_date:
            return min(end, now) - length, end
        start = moment(self.start_date, "start_date", zone_required=False)
        if self.end_date and start > end:
            raise Invalid("end_date must not lie before start_date.", field="end_date")
        return start, max(start, end)

    def key(self) -> int | None:
        """Return the key that was asked for. Raises Invalid for what is no id."""
        if not self.key_id:
            return None
        key_id = parse_id(self.key_id)
        if key_id is None:
            raise Invalid("key_id must be a key's id.", field="key_id")
        return key_id


class LogsQuery(Window):
    """A page of the decision log."""

    limit: Annotated[str, clamped_number(1, 1000, default=100)] | None = None
    offset: Annotated[str, clamped_number(0, 100_000, default=0)] | None = None
    outcome: str | None = None
    rule: RuleText | None = None
    method: MethodText | None = None
    path_prefix: PathText | None = None
    client_ip: AddressText | None = None
    request_id: RequestIdText | None = None
    cursor: str | None = None
    cursor_ts: str | None = None
    cursor_id: str | None = None

    def page(self, now: datetime) -> "LogsPage":
        """Return what to search for. Raises Invalid."""
        started, inner = _read_cursor(self.cursor) if self.cursor else (None, None)
        start, end = self.bounds(now, LOGS_WINDOW)
        start = started if started and not self.start_date else start
        decision_id = self._decision()
        return LogsPage(
            DecisionFilters(
                outcome=self.outcome if self.outcome in ("allowed", "blocked") else None,
                rule=self._rule(),
                key_id=self.key(),
                method=self._method(),
                path_prefix=path_prefix(self.path_prefix, "path_prefix"),
                client_ip=address(self.client_ip, "client_ip"),
                decision_id=decision_id,
                start=start if decision_id is None or self.start_date else None,
                end=end if self.end_date else None,
            ),
            inner,
            self._after(),
            clamped(self.limit, "limit", default=100, least=1, most=1000),
            clamped(self.offset, "offset", default=0, least=0, most=100_000),
        )

    def _rule(self) -> str | None:
        if self.rule and self.rule not in set(Rule):
            raise Invalid("rule must be one of the rules, such as key_revoked.", field="rule")
        return self.rule or None

    def _method(self) -> str | None:
        method = (self.method or "").upper()
        if method and method not in METHODS:
            raise Invalid(f"method must be one of {', '.join(sorted(METHODS))}.", field="method")
        return method or None

    def _decision(self) -> UUID | None:
        decision_id = parse_request_id(self.request_id) if self.request_id else None
        if self.request_id and decision_id is None:
            raise Invalid("request_id must be req_ and 32 hex digits.", field="request_id")
        return decision_id

    def _after(self) -> UUID | None:
        """Return the decision that `cursor_ts` and `cursor_id` name, as the last row of a page tells them.

        An id holds its moment, so the time must only be one. Raises Invalid.
        """
        if self.cursor or not (self.cursor_ts or self.cursor_id):
            return None
        if not (self.cursor_ts and self.cursor_id):
            missing = "cursor_id" if self.cursor_ts else "cursor_ts"
            raise Invalid("cursor_ts and cursor_id go together.", field=missing)
        if not (self.cursor_ts.isascii() and self.cursor_ts.isdecimal()):
            moment(self.cursor_ts, "cursor_ts", zone_required=False)
        decision_id = parse_request_id(self.cursor_id)
        if decision_id is None:
            raise Invalid("cursor_id must be a request id, such as req_ and 32 hex digits.", field="cursor_id")
        return decision_id


@dataclass(frozen=True, slots=True)
class LogsPage:
    """A search of the decision log; `cursor` is the search's own, `after` the last decision that was seen."""

    filters: DecisionFilters
    cursor: str | None
    after: UUID | None
    limit: int
    offset: int

    def wire_cursor(self, cursor: str | None) -> str | None:
        """Return a cursor for the client, with the window's start in it.

        A window that was not asked for begins some days before now, and now moves between two
        pages; the search refuses a cursor whose start was altered.
        """
        if cursor is None or self.filters.start is None:
            return None
        text = f"{(self.filters.start - _EPOCH) // _MICROSECOND}~{cursor}"
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


class AnalyticsQuery(Window):
    """Totals, with what else was asked for."""

    include_top_keys: FlagText | None = None
    include_top_paths: FlagText | None = None
    include_blocked_reasons: FlagText | None = None
    include_rate_limits: FlagText | None = None
    top_limit: Annotated[str, clamped_number(1, 50, default=10)] | None = None

    def wants(self, part: str) -> bool:
        """Tell whether a part was asked for. Raises Invalid for a flag that is none."""
        return flag(getattr(self, part), part)

    def most(self) -> int:
        """Return how many entries a list may have. Raises Invalid."""
        return clamped(self.top_limit, "top_limit", default=10, least=1, most=50)


class SeriesQuery(Window):
    """Counts over time."""

    interval: str | None = None
    tz: ZoneText | None = None
    fill: FlagText | None = None

    def zone(self) -> tzinfo:
        """Return the zone whose days, weeks and months are asked for. Raises Invalid."""
        return zone(self.tz, "tz")

    def wants_gaps(self) -> bool:
        """Tell whether steps without checks are asked for too. Raises Invalid for a flag that is none."""
        return flag(self.fill, "fill")


def _read_cursor(text: str) -> tuple[datetime, str]:
    try:
        if len(text) > _LONGEST_CURSOR:
            raise ValueError
        decoded = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        if base64.urlsafe_b64encode(decoded).decode().rstrip("=") != text:  # several spellings decode to the same
            raise ValueError
        started, separator, inner = decoded.decode("ascii").partition("~")
        if not separator or not started.removeprefix("-").isdecimal():
            raise ValueError
        return _EPOCH + timedelta(microseconds=int(started)), inner
    except (ValueError, OverflowError):
        raise Invalid("This cursor is not valid. Start again without one.", field="cursor") from None
