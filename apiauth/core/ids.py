"""Row ids that sort by time, and decision ids that carry their own moment.

Rows: 41 bits of milliseconds since 2025-01-01 UTC, then 22 random bits; 63 bits in all, so
that they fit a signed bigint and the clients' digit strings. Access never rests on an id
being secret. Decisions: UUIDv7 (RFC 9562, section 5.7), because at a gateway's rate 22
random bits a millisecond would clash.
"""

import os
import re
import secrets
import uuid

from apiauth.core import clock

EPOCH_MS = 1_735_689_600_000  # 2025-01-01T00:00:00Z
LAST_MS = 95_617_584_000_000  # 5000-01-01T00:00:00Z
RANDOM_BITS = 22
LARGEST_ID = (1 << 63) - 1

_REQUEST_ID = re.compile(r"req_([0-9a-f]{32})")


def new_id() -> int:
    """Return a fresh row id; two made in one millisecond clash once in four million times."""
    return (clock.now_ms() - EPOCH_MS) << RANDOM_BITS | secrets.randbits(RANDOM_BITS)


def new_decision_id(now_ms: int) -> uuid.UUID:
    """Return a UUIDv7 whose first 48 bits are `now_ms`."""
    random = int.from_bytes(os.urandom(10), "big") & ((1 << 74) - 1)
    value = now_ms << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & ((1 << 62) - 1)
    return uuid.UUID(int=value)


def decision_time_ms(decision_id: uuid.UUID) -> int:
    """Return the Unix time in milliseconds that a decision id carries."""
    return decision_id.int >> 80


def request_id(decision_id: uuid.UUID) -> str:
    """Return a decision's id as the wire writes it: `req_` and 32 hexadecimal digits."""
    return f"req_{decision_id.hex}"


def parse_request_id(text: str) -> uuid.UUID | None:
    """Return the decision id that a wire request id names, or None where it is no such id, or one of the year 5000."""
    match = _REQUEST_ID.fullmatch(text)
    decision_id = uuid.UUID(hex=match[1]) if match else None
    return decision_id if decision_id and decision_time_ms(decision_id) < LAST_MS else None


def parse_id(text: str) -> int | None:
    """Return a row id from its decimal string, or None where it is not one (ASCII digits, 63 bits)."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 19):
        return None
    value = int(text)
    return value if value <= LARGEST_ID else None
