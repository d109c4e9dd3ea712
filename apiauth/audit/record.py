"""One decision as it stands in a spool file, and the frame around it.

A frame is a magic number, the payload's length, a CRC-32C over length and payload, and the
payload: a record in MessagePack. A reader that meets damage looks for the next magic number
and goes on, so one torn frame never hides the ones behind it.
"""

import os
import random
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache

import google_crc32c
import msgspec

MAGIC = b"\xa7KS\x01"
HEADER = struct.Struct("<4sII")
HEADER_BYTES = HEADER.size
MOST_PAYLOAD_BYTES = 64 * 1024
LAST_MOMENT_MS = 253_402_300_799_999  # the end of the year 9999
_LENGTH = struct.Struct("<I")

# Ids need to be unique, not secret: a generator seeded by the operating system, without a system call each.
_random = random.Random()  # noqa: S311  # ids have to be unique, not secret
os.register_at_fork(after_in_child=_random.seed)
_VERSION_AND_VARIANT = 0x7 << 76 | 0b10 << 62  # RFC 9562, section 5.7
_RANDOM_BITS = (1 << 76) - 1 & ~(0b11 << 62)


class Record(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """Everything that is kept of one decision. Its moment is the first 48 bits of its id."""

    id: bytes
    deployment_id: int | None
    app_id: int | None
    key_id: int | None
    key_name: str | None
    presented_start: str | None
    limits: list[str]
    """Those that it was counted against, as the wire writes them."""
    rule: str | None
    blocked_by: str | None
    method: str
    path: str
    client_ip: str | None
    peer_ip: str | None
    user_agent: str
    required_permissions: list[str]
    held_permissions: list[str] | None
    left: list[int]
    """What was left of each limit."""
    retry_after: int | None
    snapshot_age_ms: int
    duration_us: int
    node: str

    @property
    def moment_ms(self) -> int:
        """When it was decided, in milliseconds since 1970."""
        return int.from_bytes(self.id[:6], "big")


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)
_FIELDS = len(Record.__struct_fields__)
_BEFORE_ID = b"\xdc" + _FIELDS.to_bytes(2, "big") + b"\xc4\x10"  # an array of so many, and first a binary of 16 bytes


def new_decision_number(now_ms: int) -> int:
    """Return a UUIDv7 as a number; the first 48 of its 128 bits are `now_ms`."""
    return now_ms << 80 | _random.getrandbits(80) & _RANDOM_BITS | _VERSION_AND_VARIANT


def frame(record: Record) -> bytes:
    """Return the bytes that stand for a record in a spool file."""
    return frame_payload(_encoder.encode(record))


def fields(*values: object) -> bytes:
    """Return neighbouring fields of a record, at most 15, as they stand in its payload."""
    return _encoder.encode(values)[1:]  # an array of so few has a header of one byte


def frame_fields(number: int, whom: bytes, limits: bytes, call: tuple[object, ...], node: bytes) -> bytes:
    """Return what `frame` returns, from fields of which some were encoded before: half the cost.

    `whom` has the fields `deployment_id` to `presented_start`, `limits` and `node` those of their names; `call`
    holds the values of all others.
    """
    payload = b"".join((_BEFORE_ID, number.to_bytes(16, "big"), whom, limits, _encoder.encode(call)[1:], node))
    length = len(payload)  # from here on as `frame_payload`, without copying the payload once more
    return HEADER.pack(MAGIC, length, google_crc32c.extend(_crc_of_length(length), payload)) + payload


@lru_cache(maxsize=4_096)
def _crc_of_length(length: int) -> int:
    crc: int = google_crc32c.value(_LENGTH.pack(length))
    return crc


def record_of(whole: bytes) -> Record:
    """Return the record of a frame that is known to be whole."""
    return _decoder.decode(whole[HEADER_BYTES:])


def frame_payload(payload: bytes, crc: Callable[[bytes], int] = google_crc32c.value) -> bytes:
    """Return a payload with the header that lets a reader find and trust it."""
    length = len(payload)
    return HEADER.pack(MAGIC, length, crc(_LENGTH.pack(length) + payload)) + payload


class Intact(msgspec.Struct, gc=False, frozen=True):
    """A frame that can be trusted, from `start` to `end` in its file."""

    start: int
    end: int
    record: Record


class Damaged(msgspec.Struct, gc=False, frozen=True):
    """Bytes that are no frame, from `start` to `end` in their file."""

    start: int
    end: int


def read_frames(data: bytes, base: int, is_complete: bool) -> Iterator[Intact | Damaged]:
    """Yield what the bytes at offset `base` of a file hold, in order and without gaps.

    Damage is one piece up to the next frame that can be trusted, whatever looks like a frame within it.
    Where the file may still grow, the bytes from a frame that is cut short by the end of
    `data` are not yielded: they are not there yet. Where it `is_complete`, they are damaged.
    """
    position = damaged_from = 0
    while position < len(data):
        found = _frame_at(data, position)
        if isinstance(found, tuple):
            if damaged_from < position:
                yield Damaged(base + damaged_from, base + position)
            end, record = found
            yield Intact(base + position, base + end, record)
            position = damaged_from = end
        elif found is _CUT_SHORT and not is_complete:
            break
        else:
            position = _next_magic(data, position + 1, is_complete)
    if damaged_from < position:
        yield Damaged(base + damaged_from, base + position)


_CUT_SHORT = object()
_BROKEN = object()


def _frame_at(data: bytes, position: int) -> tuple[int, Record] | object:
    if len(data) - position < HEADER_BYTES:
        tail = data[position : position + len(MAGIC)]
        return _CUT_SHORT if MAGIC.startswith(tail) else _BROKEN
    magic, length, crc = HEADER.unpack_from(data, position)
    if magic != MAGIC or length > MOST_PAYLOAD_BYTES:
        return _BROKEN
    end = position + HEADER_BYTES + length
    if end > len(data):
        return _CUT_SHORT
    payload = data[position + HEADER_BYTES : end]
    if google_crc32c.value(_LENGTH.pack(length) + payload) != crc:
        return _BROKEN
    return _decoded(payload, end)


def _decoded(payload: bytes, end: int) -> tuple[int, Record] | object:
    try:
        record = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _BROKEN
    # A moment beyond what the database's readers can name is no moment of ours.
    return (end, record) if len(record.id) == 16 and record.moment_ms <= LAST_MOMENT_MS else _BROKEN


def _next_magic(data: bytes, position: int, is_complete: bool) -> int:
    """Return where the next frame may start: its magic number, or a beginning of one at the end."""
    found = data.find(MAGIC, position)
    if found >= 0:
        return found
    if not is_complete:
        for keep in range(len(MAGIC) - 1, 0, -1):
            if len(data) - keep >= position and data.endswith(MAGIC[:keep]):
                return len(data) - keep
    return len(data)
