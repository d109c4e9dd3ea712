"""The gateway, but that a scheme of NO_LIMIT limits nothing: every real key has a limit, so this is for comparison."""

from apiauth.core.limits import LimitRule
from apiauth.verify import tables
from bench.seeding import NO_LIMIT

_read = tables._readable


def _read_or_none(scheme_id: int, written: str) -> tuple[LimitRule, ...]:
    rules = _read(scheme_id, written)
    return () if rules[0].max_requests == NO_LIMIT["max_requests"] else rules


tables._readable = _read_or_none

from config.gateway_wsgi import application  # noqa: E402  # it begins to read as it is imported: after the line above

__all__ = ["application"]
