"""One call to the backend API: what is sent, how its answer is read, and whether it may be sent again."""

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from keystead_client.errors import Invalid
from keystead_client.reading import read_as, without_absent
from keystead_client.results import Rule
from keystead_client.retries import exchange
from keystead_client.settings import Settings, headers
from keystead_client.wire import Answer, Conversation, Request, encode, error_of, json_object

T = TypeVar("T")
MOST_BYTES = 32 * 1024 * 1024
Query = list[tuple[str, str]]
_SEGMENT = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call. It is sent again only if that can do no harm."""

    method: str
    path: str
    read: Callable[[Answer], T]
    query: Query = field(default_factory=list)
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    may_repeat: bool = False
    wait_seconds: int | None = None  # for every gateway to have the change

    def converse(self, settings: Settings) -> Conversation[T]:
        """Send, send again where that is safe, and read the answer."""
        answer = yield from exchange(self._request(settings), retries=settings.retries, may_repeat=self.may_repeat)
        if not 200 <= answer.status < 300:
            raise error_of(answer)
        return self.read(answer)

    def _request(self, settings: Settings) -> Request:
        content = encode(self.body) if self.body is not None else None
        sent = [*headers(settings.backend_key), *self.headers.items()]
        if content is not None:
            sent.append(("Content-Type", "application/json"))
        if self.wait_seconds is not None:
            sent.append(("Prefer", f"wait={self.wait_seconds}"))
        url = settings.management_url(self.path, self.query)
        timeout_seconds = settings.management_timeout_seconds + (self.wait_seconds or 0)
        return Request(self.method, url, sent, content, timeout_seconds, MOST_BYTES)


def creating(
    path: str,
    body: Mapping[str, Any],
    read: Callable[[Answer], T],
    idempotency_key: str | None,
    wait_seconds: int | None = None,
) -> Call[T]:
    """Return a call that makes something, once: it carries the given Idempotency-Key, or a new one."""
    headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
    return Call("POST", path, read, body=body, headers=headers, may_repeat=True, wait_seconds=wait_seconds)


def segment(text: str, field: str) -> str:
    """Return a slug or an id as part of a path. Raises Invalid for what could be another path."""
    if not _SEGMENT.fullmatch(text):
        raise Invalid(f"{field} must be letters, digits, `_` and `-`.", field=field)
    return text


def quoted(text: str, field: str) -> str:
    """Return any text as one part of a path. Raises Invalid for none, and for a step to another path."""
    if text in ("", ".", ".."):
        raise Invalid(f"{field} must be an id.", field=field)
    return quote(text, safe="")


def app_path(app_slug: str) -> str:
    """Return the path of an app. Raises Invalid."""
    return f"/api-auth/apps/{segment(app_slug, 'app_slug')}"


def query_of(**values: Any) -> Query:
    """Return the parameters that were given; an aware datetime is RFC 3339."""
    return [(name, _query_text(value)) for name, value in values.items() if value is not None and value is not False]


def _query_text(value: Any) -> str:
    if isinstance(value, datetime):
        return moment_text(value) or ""
    return "true" if value is True else str(value)


def moment_text(moment: datetime | None) -> str | None:
    """Return a moment as RFC 3339. Raises ValueError where it has no time zone."""
    if moment is not None and moment.tzinfo is None:
        raise ValueError("This moment has no time zone.")
    return moment.isoformat() if moment is not None else None


def listed(texts: Sequence[str] | None) -> list[str] | None:
    """Return texts as a list; one text alone is a list of one, not its letters."""
    if texts is None:
        return None
    return [texts] if isinstance(texts, str) else list(texts)


def rules_json(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """Return rate limits as JSON; one that is there already is sent with its id, and goes on counting."""
    names = ("id", "unit", "duration", "max_requests", "mode", "priority")
    return [
        without_absent({name: getattr(rule, name) for name in names} | {"endpoints": listed(rule.endpoints)})
        for rule in rules
    ]


def if_match_header(etag: str | None) -> dict[str, str]:
    """Return the condition of a change that must not overwrite another."""
    return {"If-Match": etag} if etag is not None else {}


def reader(kind: type[T]) -> Callable[[Answer], T]:
    """Return what reads an answer as a dataclass."""
    return lambda answer: read_as(kind, json_object(answer))


def tagged(kind: type[T]) -> Callable[[Answer], T]:
    """Return what reads an answer together with its ETag."""
    return lambda answer: read_as(kind, {**json_object(answer), "etag": answer.headers.get("etag")})


def nothing(answer: Answer) -> None:
    """Read nothing: the status says it all."""
